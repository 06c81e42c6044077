"""Whether a cohort larger than most trains on a small machine: time by stage and peak memory against patients.

    python benchmarks/large_cohort.py [sizes=5000,20000,100000] [bags=GB] [out=FILE]

Each size is a cohort folder of clinical data and 200 genes, and one run of `scripts/train.py` in a process of its own:
read and checked, two folds fitted in mini-batches for a few epochs, predicted and scored. Peak memory is that of the
process, as its manifest tells; the goal is 8 GB at 100,000 patients. One repetition: these are minutes.

`bags=GB` instead: slides of 4,096 patches, so many GB of them as half precision, for one epoch in batches of 16. What
counts there is memory of the process's own, without the pages of mapped files, which the system takes back at will.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _scale_cohort import PATCH_DIM, Size, write_cohort
from _timing import markdown, save

ROOT = Path(__file__).parents[1]
SIZES, GENES, GOAL_GB = (5_000, 20_000, 100_000), 200, 8.0
PATCHES = 4_096
STAGES = ("cohort", "fit", "score")
SETTINGS = (
    *("data=cohort", "modality=[clinical,expression]", "task=[os]", "split.folds=2", "split.repeats=1", "workers=1"),
    *("members=1", "anchor=none", "baselines=none", "final_model=false", "trainer.batch_size=1024"),
    *("trainer.lightning.max_epochs=4", "trainer.progress=false"),
    *("evaluation.resamples=20", "evaluation.report=false"),
)


BAGS = ("modality=[clinical,histology]", "trainer.batch_size=16", "trainer.lightning.max_epochs=1")
BAGS += ("encoder@model.encoders.histology=gated_attention", "trainer.lightning.check_val_every_n_epoch=1")


def own_gb(pid: int) -> float:
    """Memory of a process without mapped files, now; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e6


def trained(folder: Path, run: Path, *more: str) -> dict[str, Any]:
    """Seconds by stage and of the whole process, and its peak memory in GB, all of it and its own."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *SETTINGS, *more, f"data.path={folder}"]
    start, own = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*command, f"hydra.run.dir={run}"], cwd=ROOT, stdout=said, stderr=said)
        while process.poll() is None:
            own = max(own, own_gb(process.pid))
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        said.seek(0)
        if process.returncode:
            raise RuntimeError(said.read().strip()[-2000:])
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    return {
        "stages": manifest["wall_seconds"],
        "seconds": seconds,
        "peak_gb": manifest["peak_memory_gb"],
        "own_gb": own,
    }


def slope(results: dict[int, dict[str, Any]], size: int, key: str) -> float | None:
    """Power of the number of patients by which a figure has grown since the size before: 1 is linear."""
    before = max((other for other in results if other < size), default=None)
    if before is None:
        return None
    return math.log(results[size][key] / results[before][key]) / math.log(size / before)


def bags(gigabytes: float) -> dict[str, Any]:
    """What a fit of so many GB of slides takes."""
    patients = round(gigabytes * 1e9 / (PATCHES * PATCH_DIM * 2))
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_cohort(Path(scratch) / "cohort", Size(patients, patches=PATCHES))
        os.environ["FUSION_STORE"] = f"{scratch}/store"
        return {"patients": patients, **trained(folder, Path(scratch) / "run", *BAGS)}


def main() -> int:
    """Measure every size, print a table, and write JSON where `out=FILE` is given."""
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    if "bags" in words:
        found = bags(float(words["bags"]))
        stages = ", ".join(f"{stage} {found['stages'][stage]:.0f} s" for stage in STAGES)
        print(
            f"{words['bags']} GB of slides of {found['patients']} patients: {stages}; {found['own_gb']:.2f} GB of its"
        )
        print(f"own, {found['peak_gb']:.2f} GB with what it has mapped")
        save({"settings": [*SETTINGS, *BAGS], "bags": found}, sys.argv[1:])
        return 0
    sizes = tuple(int(size) for size in words["sizes"].split(",")) if "sizes" in words else SIZES
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    results: dict[int, dict[str, Any]] = {}
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = write_cohort(Path(scratch) / "cohort", Size(size, genes=GENES))
            results[size] = trained(folder, Path(scratch) / "run")
        found, grown = results[size], slope(results, size, "seconds")
        rows.append(
            {
                "patients": f"{size:,}",
                **{f"{stage}, s": f"{found['stages'][stage]:.1f}" for stage in STAGES},
                "whole process, s": f"{found['seconds']:.1f}",
                "slope": "-" if grown is None else f"{grown:.2f}",
                "peak, GB": f"{found['peak_gb']:.2f}",
                "goal, GB": f"{GOAL_GB:g}",
            }
        )
        print(f"{size:,} patients: {found['seconds']:.0f} s, {found['peak_gb']:.2f} GB", flush=True)
    print(markdown(rows))
    save({"settings": SETTINGS, "genes": GENES, "sizes": results}, sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
