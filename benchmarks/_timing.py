"""What benchmarks share: repetitions taken in turn, their medians, peak memory, and the JSON with the machine's facts.

Ours and the peer's are timed in turn, so that a slow minute of the machine falls on both; only ratios within one run
mean much. CPU seconds count the work of all threads and hold still where others share the cores; wall seconds tell
what one waits for.
"""

import ctypes
import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusion.training.manifest import machine_facts

Work = Callable[[], Any]
Clock = Callable[[], float]

#: CPU seconds of all threads of this process.
CPU: Clock = time.process_time
#: Seconds on the wall.
WALL: Clock = time.perf_counter

REPETITIONS = 7


def timed(work: Work, clock: Clock = WALL) -> float:
    """Seconds of one call."""
    start = clock()
    work()
    return clock() - start


def interleaved(
    works: Mapping[str, Work], *, repetitions: int = REPETITIONS, clock: Clock = WALL, warm_up: int = 0
) -> dict[str, list[float]]:
    """Seconds of every repetition of every work, the works taken in turn.

    Args:
        works: What to time, by name.
        repetitions: Rounds over all of them; at least seven where the median is to be believed.
        clock: `CPU` or `WALL`.
        warm_up: Rounds before, which are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(warm_up + repetitions):
        for name, work in works.items():
            took = timed(work, clock)
            if number >= warm_up:
                seconds[name].append(took)
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Median of each list."""
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(work: Work) -> int | None:
    """Bytes of resident memory that one call takes at most beyond what was there before; None where not told (Linux).

    Call it once before, so that libraries have loaded what they keep.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, so that it is not taken again unseen
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # puts the high-water mark back to now
        before = _status_bytes("VmRSS")
        work()
        return max(_status_bytes("VmHWM") - before, 0)
    except (OSError, AttributeError):
        return None


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"no {field} in /proc/self/status")


def markdown(rows: Sequence[Mapping[str, str]], blank: str = "-") -> str:
    """Rows as a table in Markdown, its columns in the order in which they come up; `blank` where a row has none."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(row.get(column, blank) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def save(results: object, words: Iterable[str]) -> None:
    """Write results as JSON, with the facts of the machine, where the command line says `out=FILE`."""
    for word in words:
        if word.startswith("out="):
            write(word.removeprefix("out="), results=results)


def write(path: str | Path, **found: object) -> None:
    """Write what was found as JSON, beside the facts of the machine."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine_facts(), **found}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
