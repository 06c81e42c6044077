"""The scan agrees with the kernel of decays between all pairs of visits, for short courses and long."""

import pytest
import torch
from torch.func import vmap

from fusion.models.temporal.continuous_decay import ContinuousDecay, decay_scan
from fusion.models.temporal.days import gap_days
from fusion.models.temporal.packed_visits import PackedVisits


@pytest.mark.parametrize("visits", [1, 2, 3, 8, 13, 300])
def test_scan_agrees_with_the_kernel_over_all_pairs(visits: int) -> None:
    g = torch.Generator().manual_seed(visits)
    day = (50 * torch.rand(2, visits, generator=g)).cumsum(dim=1).double()
    rate = torch.tensor([0.1, 0.02, 0.002]).double()
    values = torch.randn(2, visits, 3, generator=g).double()
    at = PackedVisits.of(torch.arange(visits) < torch.tensor([visits // 2, visits])[:, None])
    lag = (day[:, :, None] - day[:, None, :]).clamp(min=0)
    kernel = torch.exp(-lag[..., None] * rate) * torch.ones(visits, visits).tril()[..., None]
    kept = torch.exp(-gap_days(day)[..., None] * rate)
    scanned = decay_scan(at.pack(values), at.pack(kept), at.sizes)
    torch.testing.assert_close(scanned, at.pack(torch.einsum("btsh,bsh->bth", kernel, values)))


def test_gradients_of_the_scan_agree_with_finite_differences_also_when_stacked() -> None:
    g = torch.Generator().manual_seed(0)
    sizes = (3, 3, 1)
    values, kept = (torch.rand(2, 7, 2, generator=g, dtype=torch.double).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(lambda v, k: decay_scan(v, k, sizes), (values[0], kept[0]))

    stacked = vmap(lambda v, k: decay_scan(v, k, sizes), in_dims=(0, None))
    one_by_one = torch.stack([decay_scan(each, kept[1], sizes) for each in values])
    assert torch.equal(stacked(values, kept[1]), one_by_one)
    slopes = [
        torch.autograd.grad(said.square().sum(), (values, kept)) for said in (stacked(values, kept[1]), one_by_one)
    ]
    torch.testing.assert_close(*slopes)

    said = decay_scan(values[0], kept[0], sizes)
    both = torch.eye(said.numel(), dtype=torch.double).view(-1, *said.shape)[:2]
    at_once = torch.autograd.grad(said, (values, kept), both, is_grads_batched=True, retain_graph=True)
    by_turns = [torch.autograd.grad(said, (values, kept), each, retain_graph=True) for each in both]
    for found, expected in zip(at_once, zip(*by_turns, strict=True), strict=True):
        torch.testing.assert_close(found, torch.stack(expected))


def test_a_state_keeps_its_size_over_years() -> None:
    """A steady course with a visit each cycle neither grows nor fades with the number of visits."""
    module = ContinuousDecay(dim=4)
    rate = module.decay.rate()
    kept = torch.exp(-21 * rate).expand(1000, -1)
    state = decay_scan((1 - kept), kept, [1] * 1000)
    torch.testing.assert_close(state[-1], torch.ones(16))
    assert state.max() <= 1.0 + 1e-4


def test_half_lives_begin_spread_from_a_week_to_a_year() -> None:
    half_life = torch.log(torch.tensor(2.0)) / ContinuousDecay(dim=4, hidden=3).decay.rate()
    torch.testing.assert_close(half_life, torch.tensor([7.0, (7 * 365) ** 0.5, 365.0]))


def test_half_lives_are_in_order() -> None:
    with pytest.raises(ValueError, match="swap them"):
        ContinuousDecay(dim=4, shortest=400.0)
