"""One tiny cohort, read once, for the tests of all modalities."""

import pytest
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.read import read_cohort


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Twelve patients with every assay; some samples are missing by design."""
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("tiny")))
