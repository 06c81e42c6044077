"""A tiny cohort on disk and in memory, for every test of training."""

from pathlib import Path

import pytest
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.read import read_cohort


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("training") / "cohort", patients=24)


@pytest.fixture(scope="session")
def tiny_cohort(tiny_folder: Path) -> Cohort:
    return read_cohort(tiny_folder)
