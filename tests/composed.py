"""Configs composed as a command would, and commands called in this process, for the tests of the whole road."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from fusion.build import plain
from fusion.cli import CONFIGS

ROOT = Path(__file__).parents[1]

#: The least that goes the whole way.
FAST = (
    "split.folds=2",
    "split.repeats=1",
    "members=2",
    "workers=1",
    "baselines=core",
    "anchor=none",
    "trainer=quiet",
    "trainer.lightning.max_epochs=4",
    "evaluation.resamples=20",
)


def composed(*overrides: str, experiment: str = "demo") -> dict[str, Any]:
    """The resolved config of train.py."""
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        return plain(compose("train", [f"name={experiment}", f"experiment={experiment}", *overrides]))


def on_cohort(folder: Path) -> list[str]:
    """The overrides that name a cohort folder."""
    return ["data=cohort", f"data.path={folder}"]


def called(command: str, *words: str) -> int:
    """Call a command in this process; returns its exit code."""
    from fusion import cli

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"fusion-{command}", *words])
        try:
            getattr(cli, command)()
        except SystemExit as stopped:
            return int(stopped.code or 0)
    return 0
