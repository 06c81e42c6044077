"""A toy ensemble of three vector assays, a batch for it, and what is asked about."""

import pytest
from aids import make_batch
from toys import toy_ensemble

from fusion.explain.pool import Pool
from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch


@pytest.fixture
def batch() -> PatientBatch:
    return make_batch(12, seed=1)


@pytest.fixture
def ensemble() -> Ensemble:
    return toy_ensemble()


@pytest.fixture
def pool(ensemble: Ensemble, batch: PatientBatch) -> Pool:
    return Pool(ensemble=ensemble, batch=batch, columns={})
