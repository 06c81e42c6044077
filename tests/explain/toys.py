"""A toy ensemble of three vector assays, whose losses already have a baseline."""

import torch
from aids import make_model
from torch import nn

from fusion.losses.cox import Cox
from fusion.training.ensemble import Ensemble


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
