"""What is searched for in every fold, and what was found there. The search itself is in `tuning.py`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fusion.training.fold import Recipe
from fusion.training.space import Range, Settings


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched for in every fold.

    Attributes:
        make_recipe: The recipe with these settings.
        space: By name of the setting, its range (see `fusion.training.space`).
        start: The settings of the config itself: they are the first trial.
        trials: Trials of a fold at most, the first one included.
        minutes: No trial of a fold begins once its trials have taken so long together; None: whatever they take.
        storage: Database of the studies; None is `study.db` in the run folder.
        seed: Seed of the run.
    """

    make_recipe: Callable[[Settings], Recipe]
    space: Mapping[str, Range]
    start: Settings
    trials: int
    minutes: float | None
    storage: str | None
    seed: int


def chosen_settings(folder: Path) -> Settings:
    """The settings of a fitted fold; none where nothing was searched for."""
    path = folder / "tuning.json"
    return json.loads(path.read_text(encoding="utf-8"))["settings"] if path.exists() else {}
