"""What starting costs: importing the package, the help of every command, one new patient predicted from cold.

    python benchmarks/overhead.py [run=RUN_FOLDER cohort=FOLDER] [out=FILE]

Every figure is the wall time of a fresh process, the processes taken in turn. `import fusion` is held against
`import torch`; a prediction needs a finished run and a folder with one patient. Where no bytecode may be written
(PYTHONDONTWRITEBYTECODE, said in the table), a start compiles what the environment was not installed with.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from _runs import ROOT
from _timing import Work, interleaved, markdown, medians, save

GOALS = {"help": "2 s", "predict": "5 s"}


def fresh(*words: str) -> None:
    """Run Python in a process of its own; it must succeed."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-400:]}")


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    works: dict[str, Work] = {
        "python": partial(fresh, "-c", "pass"),
        "import torch": partial(fresh, "-c", "import torch"),
        "import torch, fusion": partial(fresh, "-c", "import torch, fusion"),
    }
    for script in sorted((ROOT / "scripts").glob("*.py")):
        works[f"help of {script.name}"] = partial(fresh, str(script), "--help")
    with tempfile.TemporaryDirectory() as place:
        if "run" in given:
            run, cohort = (Path(given[name]).resolve() for name in ("run", "cohort"))
            paths = [f"run={run}", f"data.path={cohort}", f"out={place}/new.parquet"]
            works["predict from cold"] = partial(fresh, "scripts/predict.py", *paths)
        seconds = interleaved(works, repetitions=7, warm_up=1)
    found = medians(seconds)
    rows = [
        {"a fresh process": name, "median, s": f"{found[name]:.2f}", "goal": GOALS.get(name.split()[0], "")}
        for name in works
    ]
    beyond = found["import torch, fusion"] - found["import torch"]
    rows.append({"a fresh process": "import fusion beyond torch", "median, s": f"{beyond:.3f}", "goal": ".15 s"})
    print(markdown(rows))
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        print("PYTHONDONTWRITEBYTECODE is set")
    save({name: {"median": {"ours": found[name]}, "seconds": seconds[name]} for name in works}, words)


if __name__ == "__main__":
    main(sys.argv[1:])
