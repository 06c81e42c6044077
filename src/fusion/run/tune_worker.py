"""Takes trials of a tuning run beside the process that began it: `python -m fusion.run.tune_worker RUN_DIR`.

Start as many as there are cores, on any machine that sees the folder (and the storage, if it is not the file in the
folder). Each ends when no trial is left, and may be stopped at any time: another takes its trial up.
"""

import sys
import time
from pathlib import Path

from fusion.run.tune import help_search

#: Seconds to wait for the run to begin: it may have to simulate or read its cohort first.
WAIT = 600


def main(folder: Path) -> None:
    """Wait until the run has begun, and help it."""
    for _ in range(WAIT):
        if (folder / "config.json").exists():
            return help_search(folder)
        time.sleep(1)
    raise ValueError(f"{folder} holds no run (no config.json)")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
