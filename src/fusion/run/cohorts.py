"""`simulate` and `validate`, and how every other command opens a cohort."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig
from rich.console import Console

from fusion.build import plain
from fusion.data.cohort import Cohort
from fusion.data.read import read_cohort
from fusion.data.store import open_store
from fusion.run.console import console


def simulate(config: DictConfig) -> int:
    """Write a simulated cohort."""
    values = plain(config)
    values.pop("debug")
    _simulated(**values)
    console.print(f"wrote {values['out']}")
    return 0


def _simulated(*, out: str | Path, preset: str | None, **settings: Any) -> None:
    """Simulate a cohort; `preset=null` is the one without signal, though YAML reads the word as nothing."""
    from fusion.data.simulator import simulate_cohort  # most cohorts are there already

    simulate_cohort(out=out, preset=preset or "null", **settings)


def validate(config: DictConfig) -> int:
    """Check a cohort folder: 0 and a summary, or 1 and every problem."""
    from fusion.data.qc import validate as validate_folder

    return validate_folder(Path(config.data.path), console, config.data.visit_window, errors=Console(stderr=True))


def open_cohort(data: Mapping[str, Any]) -> Cohort:
    """Read a cohort folder; a simulated one is made first if it is absent."""
    folder = Path(data["path"])
    if data["simulate_if_absent"] and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):  # the other jobs of a sweep want it too
            if not folder.exists():
                console.print(f"there is no {folder} yet: simulating it")
                _simulated(out=folder, **data["simulate"])
    if not folder.is_dir():
        raise ValueError(f"{folder} is {'no folder' if folder.exists() else 'not there'}; set data.path=DIR")
    store = open_store(data.get("store", "auto"), partial(console.print, markup=False))
    return read_cohort(folder, visit_window=data["visit_window"], store=store)
