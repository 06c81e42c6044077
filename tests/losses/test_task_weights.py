"""Weights of tasks: a plain sum, and weights that settle at what the losses leave."""

import pytest
import torch

from fusion.losses.task_weights import FixedWeights, UncertaintyWeights

LOSSES = {"os": torch.tensor(3.0), "response": torch.tensor(0.5)}
WEIGHTS = {"os": 1.0, "response": 2.0}


def test_uncertainty_starts_as_the_fixed_weights():
    torch.testing.assert_close(UncertaintyWeights(weights=WEIGHTS)(LOSSES), FixedWeights(weights=WEIGHTS)(LOSSES))


def test_learned_weights_settle_at_one_over_twice_the_loss():
    module = UncertaintyWeights(weights=WEIGHTS)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        module(LOSSES).backward()
        optimizer.step()
    for task, loss in LOSSES.items():
        assert float(torch.exp(-module.log_variance[task].detach())) == pytest.approx(1 / (2 * float(loss)), rel=1e-2)


def test_no_weight_leaves_its_bound():
    module = UncertaintyWeights(weights={"os": 1.0}, bound=2.0)
    module.log_variance["os"].data.fill_(-50.0)
    assert float(module({"os": torch.tensor(1.0)}).detach()) == pytest.approx(float(torch.exp(torch.tensor(2.0))) - 1.0)


def test_a_batch_without_anything_of_a_task_teaches_no_weight():
    module = UncertaintyWeights(weights=WEIGHTS)
    module({"os": torch.tensor(0.0), "response": torch.tensor(1.0)}).backward()
    assert float(module.log_variance["os"].grad) == 0.0
    assert float(module.log_variance["response"].grad) != 0.0
