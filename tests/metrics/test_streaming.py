"""The streaming metric says at the end of an epoch what the plain function says of all patients."""

import numpy as np
import pytest
import torch

from fusion.metrics.functional import concordance_index
from fusion.metrics.streaming import ConcordanceIndex


def test_batches_add_up():
    generator = np.random.default_rng(0)
    risk, duration = generator.integers(0, 5, 30) / 4, generator.integers(1, 9, 30).astype(np.float64)
    event = generator.random(30) < 0.5
    metric = ConcordanceIndex()
    for rows in np.array_split(np.arange(30), 4):
        metric.update(*(torch.from_numpy(column[rows]) for column in (risk, duration, event)))
    assert float(metric.compute()) == pytest.approx(concordance_index(risk, duration, event))
    metric.reset()
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]), torch.tensor([True, False]))
    assert float(metric.compute()) == 0.0


def test_no_pair_is_nan():
    metric = ConcordanceIndex()
    metric.update(torch.tensor([1.0]), torch.tensor([1.0]), torch.tensor([True]))
    assert torch.isnan(metric.compute())
