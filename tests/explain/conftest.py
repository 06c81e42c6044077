"""A toy ensemble of three vector assays, with a plain model beside the network, and a small fitted fold."""

import pytest
import torch
from aids import make_batch, make_model
from torch import nn

from fusion.explain.pool import Pool
from fusion.losses.cox import Cox
from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch


def toy_ensemble(seed: int = 0, members: int = 2) -> Ensemble:
    """Members with weights that are not at their start, where blocks are zero and models additive."""
    loss = Cox()
    ensemble = Ensemble(
        make_member=make_model_with_effects(seed),
        losses={"os": loss},
        task_weights={"os": 1.0},
        num_members=members,
        seed=seed,
    )
    loss.baseline_times[:, 0] = 0.0
    loss.baseline_times[:, 1], loss.baseline_log_hazard[:, 1] = 100.0, 0.0
    return ensemble.eval()


def make_model_with_effects(seed: int):
    number = iter(range(1000))

    def make() -> nn.Module:
        model = make_model(seed=seed + next(number))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture
def batch() -> PatientBatch:
    return make_batch(12, seed=1)


@pytest.fixture
def ensemble() -> Ensemble:
    return toy_ensemble()


@pytest.fixture
def pool(ensemble: Ensemble, batch: PatientBatch) -> Pool:
    return Pool(ensemble=ensemble, batch=batch, columns={})
