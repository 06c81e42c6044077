"""Runs of `scripts/train.py` that benchmarks share: one folder each, a finished one is never run again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import _timing

ROOT = Path(__file__).parents[1]
#: Those that `scripts/train.py` reads unless it is told otherwise.
MODALITIES = ("clinical", "variants", "expression", "methylation", "histology", "plasma", "labs")
#: Of a score: baseline, week 6, week 12.
DAYS = ("0", "42", "84")


def train(folder: Path, words: Sequence[str]) -> float:
    """Train into a folder unless it holds a finished run; returns the seconds of fitting, NaN where it failed."""
    if not finished(folder):
        command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words, f"hydra.run.dir={folder}"]
        alone = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone, check=False)
        if done.returncode:
            print(f"{folder.name}: {done.stderr.strip()[-600:]}", flush=True)
    return fit_seconds(folder)


def finished(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    return (folder / "metrics.json").exists()


def fit_seconds(folder: Path) -> float:
    """Seconds that a run spent on fitting; NaN of an unfinished one."""
    if not finished(folder):
        return float("nan")
    return float(json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["wall_seconds"]["fit"])


def scores_of(folder: Path, measure: str = "c_index") -> dict[str, list[float]]:
    """C-index, or another measure, of every model at baseline, week 6 and week 12; NaN where it has none."""
    task = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["task"]["os"]
    levels = [task["model"], *(task["landmark"].get(day, {}) for day in DAYS[1:])]
    names = [name for name in levels[0] if measure in levels[0][name]]

    def value(level: dict, name: str) -> float:
        found = level.get(name, {}).get(measure, {}).get("value") if isinstance(level.get(name), dict) else None
        return float("nan") if found is None else float(found)

    return {name: [value(level, name) for level in levels] for name in names}


def train_all(runs: Mapping[Path, Sequence[str]], jobs: int, said: Callable[[str], None] = print) -> None:
    """Train all of these, some side by side."""

    def one(folder: Path) -> None:
        said(f"{folder.name}: {train(folder, runs[folder]):.0f} s of fitting")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, runs))


#: Rows as a table in Markdown; a cell that a row lacks stays empty.
markdown = partial(_timing.markdown, blank="")
