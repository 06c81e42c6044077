"""The scan agrees with the kernel of decays between all pairs of visits, for short courses and long."""

import pytest
import torch

from fusion.models.temporal.continuous_decay import ContinuousDecay, decay_scan
from fusion.models.temporal.days import gap_days


@pytest.mark.parametrize("visits", [1, 2, 3, 8, 13, 300])
def test_scan_agrees_with_the_kernel_over_all_pairs(visits: int) -> None:
    g = torch.Generator().manual_seed(visits)
    day = (50 * torch.rand(2, visits, generator=g)).cumsum(dim=1).double()
    rate = torch.tensor([0.1, 0.02, 0.002]).double()
    values = torch.randn(2, visits, 3, generator=g).double()
    lag = (day[:, :, None] - day[:, None, :]).clamp(min=0)
    kernel = torch.exp(-lag[..., None] * rate) * torch.ones(visits, visits).tril()[..., None]
    scanned = decay_scan(values, torch.exp(-gap_days(day)[..., None] * rate))
    torch.testing.assert_close(scanned, torch.einsum("btsh,bsh->bth", kernel, values))


def test_a_state_keeps_its_size_over_years() -> None:
    """A steady course with a visit each cycle neither grows nor fades with the number of visits."""
    module = ContinuousDecay(dim=4)
    rate = module.decay.rate()
    kept = torch.exp(-21 * rate).expand(1, 1000, -1)
    state = decay_scan((1 - kept), kept)
    torch.testing.assert_close(state[0, -1], torch.ones(16))
    assert state.max() <= 1.0 + 1e-4


def test_half_lives_begin_spread_from_a_week_to_a_year() -> None:
    half_life = torch.log(torch.tensor(2.0)) / ContinuousDecay(dim=4, hidden=3).decay.rate()
    torch.testing.assert_close(half_life, torch.tensor([7.0, (7 * 365) ** 0.5, 365.0]))


def test_half_lives_are_in_order() -> None:
    with pytest.raises(ValueError, match="swap them"):
        ContinuousDecay(dim=4, shortest=400.0)
