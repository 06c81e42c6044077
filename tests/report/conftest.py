"""Fake runs that several tests look at; none of them changes one."""

from pathlib import Path

import pytest
from chromium import browser  # noqa: F401 (a fixture)
from fake_run import write_run

from fusion.report import build_report


@pytest.fixture(scope="session")
def complete_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything."""
    return write_run(tmp_path_factory.mktemp("complete"))


@pytest.fixture(scope="session")
def complete_page(complete_run: Path) -> Path:
    """Its report."""
    return build_report(complete_run)


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose every text from users is a script."""
    return build_report(write_run(tmp_path_factory.mktemp("hostile"), hostile=True))
