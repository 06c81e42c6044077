"""Visit weights mean what they say: no look ahead, no patient above one, no gain by splitting."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.losses.weights import visit_weights

days = st.lists(st.integers(1, 1500), min_size=1, max_size=12, unique=True).map(
    lambda days: torch.tensor([[0.0, *sorted(days)]])
)


def real(day: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(day, dtype=torch.bool)


@settings(deadline=None)
@given(days, st.floats(0.0, 1.0), st.floats(10.0, 500.0))
def test_a_patient_never_exceeds_one(day, first, scale):
    weight = visit_weights(day, real(day), first=first, scale=scale)
    assert (weight >= 0).all()
    assert float(weight.sum()) <= 1 + 1e-6
    assert float(weight[0, 0]) == pytest.approx(first)


@settings(deadline=None)
@given(days)
def test_what_comes_later_changes_no_earlier_weight(day):
    shorter = day[:, :-1]
    torch.testing.assert_close(visit_weights(day, real(day))[:, :-1], visit_weights(shorter, real(shorter)))


@settings(deadline=None)
@given(days, st.floats(0.05, 0.95))
def test_splitting_follow_up_into_more_visits_adds_nothing(day, share):
    between = day[:, -2:-1] + share * (day[:, -1:] - day[:, -2:-1])
    split = torch.cat([day[:, :-1], between, day[:, -1:]], dim=1)
    total = visit_weights(day, real(day)).sum()
    torch.testing.assert_close(visit_weights(split, real(split)).sum(), total, atol=1e-5, rtol=1e-5)


def test_longer_follow_up_approaches_one_and_visits_not_at_risk_weigh_zero():
    day = torch.tensor([[0.0, 42.0, 5000.0]])
    assert float(visit_weights(day, real(day)).sum()) == pytest.approx(1.0)
    kept = visit_weights(day, torch.tensor([[True, False, True]]))
    assert float(kept[0, 1]) == 0.0
    assert float(kept[0, 0]) == 0.5


def test_padding_weighs_nothing():
    day = torch.tensor([[0.0, 42.0, 42.0, 42.0]])
    assert (visit_weights(day, real(day))[0, 2:] == 0).all()
