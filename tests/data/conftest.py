"""A good cohort, and a copy of it to spoil."""

import shutil
from pathlib import Path

import pytest
from tiny import write_tiny_cohort


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("good"), patients=8, visits=2)


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "cohort")
