"""How long `evaluate` takes over hundreds of runs: one finished run copied with other seeds, and with other settings.

    python benchmarks/pooling.py run=RUN_DIR [jobs=300] [out=FILE]

Predictions are shaken a little, so that no two jobs agree. Every sweep is scored by a process of its own, whose seconds
and peak memory are measured.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.training.manifest import machine_facts

ROOT = Path(__file__).parents[1]


def copy_runs(run: Path, folder: Path, jobs: int, *, settings: int = 1) -> None:
    """Copies of a finished run as the jobs of a sweep: so many settings, the jobs spread over them as seeds."""
    config = json.loads((run / "config.json").read_text())
    tables = {path.name: pd.read_parquet(path) for path in run.glob("*.parquet")}
    rates = 0.001 * 1.02 ** np.arange(settings)
    for number in range(jobs):
        place, seed, rate = folder / str(number), number // settings, float(rates[number % settings])
        place.mkdir(parents=True)
        for name in ("manifest.json", "splits.csv", "subgroups.csv"):
            shutil.copy(run / name, place)
        words = [word for word in config["overrides"] if not word.startswith("seed=")]
        words += [f"seed={seed}", f"optimizer.lr={rate:.6g}"]
        changed = {"seed": seed, "optimizer": {**config["optimizer"], "lr": rate}, "overrides": words}
        (place / "config.json").write_text(json.dumps({**config, **changed}))
        generator = np.random.default_rng(number)
        for name, rows in tables.items():
            shaken = rows.assign(risk=rows["risk"] + 0.1 * generator.standard_normal(len(rows)))
            shaken.to_parquet(place / name, index=False)


def scored(folder: Path) -> dict[str, float]:
    """Seconds and peak memory of the command that scores a sweep."""
    command = [sys.executable, str(ROOT / "scripts" / "evaluate.py"), f"runs=[{folder}]", f"out={folder}.json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed")
    seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_gb": round(usage.ru_maxrss / 2**20, 2)}


def main() -> int:
    """Measure both sweeps, print a row of each, and write JSON where `out=FILE` is given."""
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    run, jobs = Path(words["run"]), int(words.get("jobs", 300))
    found: list[dict[str, Any]] = []
    for settings in (1, max(jobs // 10, 1), jobs):
        with tempfile.TemporaryDirectory() as place:
            copy_runs(run, Path(place) / "sweep", jobs, settings=settings)
            found.append({"jobs": jobs, "settings": settings, **scored(Path(place) / "sweep")})
        row = found[-1]
        took = f"{row['seconds']:7.1f} s ({row['cpu_seconds']:.1f} of the CPU)"
        print(f"{jobs} jobs, {settings:4} settings {took} {row['peak_gb']:6.2f} GB", flush=True)
    if "out" in words:
        Path(words["out"]).write_text(json.dumps({"machine": machine_facts(), "scored": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
