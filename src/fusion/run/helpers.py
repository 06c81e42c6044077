"""Processes that help the one that began a run: they work in its folder, and end with it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Seconds to wait for a run to begin: it may have to simulate or read its cohort first.
WAIT = 600


@contextmanager
def helped(module: str, folder: Path, helpers: int) -> Iterator[None]:
    """With so many processes `python -m fusion.run.MODULE FOLDER` beside this one."""
    command = [sys.executable, "-m", f"fusion.run.{module}", str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"worker_{number + 1}.log" for number in range(helpers)]
    running = []
    for log in logs:
        with log.open("w", encoding="utf-8") as file:
            running.append(subprocess.Popen(command, stdout=file, stderr=file))
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        for log in logs:
            if not log.stat().st_size:  # nothing went wrong
                log.unlink()


def help_with(run: Callable[[Path], None]) -> None:
    """The body of such a process: wait until the run of the command line has begun, and work on it."""
    folder = Path(sys.argv[1])
    for _ in range(WAIT):
        if (folder / "config.json").exists():
            break
        time.sleep(1)
    else:
        raise ValueError(f"{folder} holds no run (no config.json)")
    try:
        run(folder)
    except KeyboardInterrupt:
        sys.exit(130)
