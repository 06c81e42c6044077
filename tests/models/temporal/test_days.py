"""Half-lives mean what they say, and stay finite over years."""

import pytest
import torch

from fusion.models.temporal.days import Decay, time_features


def test_half_is_left_after_a_half_life_and_nothing_is_lost_on_one_day() -> None:
    half_life = torch.tensor([0.5, 7.0, 42.0, 365.0])
    decay = Decay(half_life=half_life)
    assert torch.equal(decay(torch.zeros(3)), torch.ones(3, 4))
    torch.testing.assert_close(decay(half_life).diagonal(), torch.full((4,), 0.5))
    torch.testing.assert_close(decay(2 * half_life).diagonal(), torch.full((4,), 0.25))


@pytest.mark.parametrize("shift", [-30.0, 0.0, 30.0, 1000.0])
def test_any_rate_stays_finite_over_years(shift: float) -> None:
    decay = Decay(half_life=torch.tensor([42.0]))
    decay.shift.data.fill_(shift)
    left = decay(torch.tensor([0.0, 5000.0]))
    left.sum().backward()
    assert torch.isfinite(left).all()
    assert torch.isfinite(decay.shift.grad).all()


def test_weight_decay_draws_back_to_the_first_half_life() -> None:
    """All that is learned is a distance from the start, so zero is the start."""
    decay = Decay(half_life=torch.tensor([42.0]))
    assert [name for name, _ in decay.named_parameters()] == ["shift"]
    assert not decay.shift.any()


def test_a_half_life_is_above_zero() -> None:
    with pytest.raises(ValueError, match="raise it"):
        Decay(half_life=torch.tensor([42.0, 0.0]))


def test_time_features_grow_with_days() -> None:
    feature = time_features(torch.tensor([[0.0, 0.5, 30.0, 5000.0]]))
    assert (feature.diff(dim=1) > 0).all()
