"""What holds for every temporal module: causality, padding, identity at the start, gradients, and two toy courses."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from torch import Tensor, nn

import fusion.models.temporal
from fusion.models.base import Temporal
from fusion.models.temporal.causal_transformer import CausalTransformer
from fusion.models.temporal.change_from_baseline import ChangeFromBaseline
from fusion.models.temporal.continuous_decay import ContinuousDecay
from fusion.models.temporal.decay_gru import DecayGRU
from fusion.models.temporal.decay_lstm import DecayLSTM
from fusion.models.temporal.gru import GRU
from fusion.models.temporal.last_visit import LastVisit

PATIENTS, VISITS, DIM = 6, 7, 8
NAMES = [info.name for info in pkgutil.iter_modules(fusion.models.temporal.__path__, "fusion.models.temporal.")]
EVERY = [
    member
    for name in NAMES
    for _, member in inspect.getmembers(importlib.import_module(name), inspect.isclass)
    if issubclass(member, Temporal) and member.__module__ == name
]
every_temporal = pytest.mark.parametrize("kind", EVERY)


def make(kind: type[Temporal], *, trained: bool = True, dim: int = DIM, **settings: float) -> Temporal:
    torch.manual_seed(0)
    module = kind(dim=dim, **settings)
    if trained:  # zero-initialised projections would hide most of the module from the tests
        for parameter in module.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return module.eval()


def course(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Visits at fractional days, two of them on one day, over years; padded as a batch is, with the last day."""
    g = torch.Generator().manual_seed(seed)
    gap = 90.0 * torch.rand(PATIENTS, VISITS, generator=g).square()
    gap[:, 0], gap[:, 2], gap[0, 4] = 0.0, 0.0, 5000.0
    mask = torch.arange(VISITS) < torch.tensor([7, 4, 1, 6, 7, 2])[:, None]
    return torch.randn(PATIENTS, VISITS, DIM, generator=g), (gap * mask).cumsum(dim=1), mask


def test_all_modules_are_found() -> None:
    known = {GRU, LastVisit, DecayGRU, DecayLSTM, CausalTransformer, ContinuousDecay, ChangeFromBaseline}
    assert known <= set(EVERY)


@every_temporal
def test_begins_as_the_identity(kind: type[Temporal]) -> None:
    visits, day, mask = course()
    assert torch.equal(make(kind, trained=False).train()(visits, day, mask), visits)


@every_temporal
@pytest.mark.parametrize("seen", range(1, VISITS))
def test_the_future_changes_nothing_to_the_bit(kind: type[Temporal], seen: int) -> None:
    """Neither later values, nor later days (so not the gap to the next visit), nor whether there is a later visit."""
    module, (visits, day, mask) = make(kind), course()
    now = module(visits, day, mask)[:, :seen]
    later = torch.arange(VISITS) >= seen
    changed = torch.where(later[None, :, None], visits.flip(0) * 7 + 3, visits)
    delayed = torch.where(later, day + 400.0, day)
    for other in ((changed, day, mask), (visits, delayed, mask)):
        assert torch.equal(module(*other)[:, :seen], now)
    shorter = module(changed, delayed, mask & ~later)[:, :seen]
    if kind is ContinuousDecay:  # its products have a row for each real visit, and fewer rows may be rounded otherwise
        torch.testing.assert_close(shorter, now, rtol=1e-6, atol=1e-6)
    else:
        assert torch.equal(shorter, now)


@every_temporal
def test_padding_changes_nothing(kind: type[Temporal]) -> None:
    module, (visits, day, mask) = make(kind), course()
    out = module(visits, day, mask)
    nonsense = module(torch.where(mask[..., None], visits, 50.0), day, mask)
    assert torch.equal(nonsense[mask], out[mask])
    wide = (torch.cat([x, x[:, -1:].expand(-1, 5, *x.shape[2:])], dim=1) for x in (visits, day))
    longer = module(*wide, torch.cat([mask, mask.new_zeros(PATIENTS, 5)], dim=1))
    torch.testing.assert_close(longer[:, :VISITS][mask], out[mask])


@every_temporal
def test_other_patients_change_nothing(kind: type[Temporal]) -> None:
    module, (visits, day, mask) = make(kind), course()
    out = module(visits, day, mask)
    for patient in range(PATIENTS):
        alone = module(visits[patient, None], day[patient, None], mask[patient, None])
        torch.testing.assert_close(alone[0][mask[patient]], out[patient][mask[patient]])


@every_temporal
def test_gradients_are_finite_and_reach_every_parameter(kind: type[Temporal]) -> None:
    """Over years, with visits on one day, and with a patient of whom no visit is real."""
    module, (visits, day, mask) = make(kind).train(), course()
    mask[5] = False
    visits.requires_grad_()
    out = module(visits, day, mask)
    assert torch.isfinite(out).all()
    out[mask].square().sum().backward()
    assert torch.isfinite(visits.grad).all()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in module.parameters())


@every_temporal
@pytest.mark.parametrize(("patients", "count"), [(1, 1), (4, 1), (0, 3), (0, 1)])
def test_one_visit_and_no_patient(kind: type[Temporal], patients: int, count: int) -> None:
    module = make(kind)
    visits = torch.randn(patients, count, DIM, requires_grad=True)
    out = module(visits, torch.zeros(patients, count), torch.ones(patients, count, dtype=torch.bool))
    assert out.shape == visits.shape
    assert torch.isfinite(out).all()
    out.sum().backward()


@every_temporal
def test_a_fresh_copy_takes_over_all_that_was_learned(kind: type[Temporal]) -> None:
    module, other, (visits, day, mask) = make(kind), make(kind, trained=False), course()
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(visits, day, mask), module(visits, day, mask))


@every_temporal
def test_half_precision_stays_close(kind: type[Temporal]) -> None:
    module, (visits, day, mask) = make(kind), course()
    with torch.autocast("cpu", torch.bfloat16):
        out = module(visits, day, mask).float()
    exact = module(visits, day, mask)
    assert (out - exact)[mask].abs().mean() < 0.05 * exact[mask].abs().mean()


def error_on_new_patients(kind: type[Temporal], visits: Tensor, day: Tensor, target: Tensor, steps: int) -> float:
    """Mean squared error on the patients not fitted, as a share of their variance; the target is of the last visits."""
    fitting = {"dropout": 0.0, "num_heads": 2}
    settings = {name: value for name, value in fitting.items() if name in inspect.signature(kind).parameters}
    module, head = make(kind, trained=False, dim=visits.shape[-1], **settings), nn.Linear(visits.shape[-1], 1)
    optimizer = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=0.02)
    half = len(target) // 2

    def error(part: slice) -> Tensor:
        out = head(module(visits[part], day[part], torch.ones_like(day[part], dtype=torch.bool))).squeeze(-1)
        return (out[:, -target.shape[1] :] - target[part]).square().mean()

    for _ in range(steps):
        optimizer.zero_grad()
        error(slice(0, half)).backward()
        optimizer.step()
    with torch.no_grad():
        return float(error(slice(half, None)) / target[half:].var())


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not LastVisit])
def test_learns_the_rise_from_nadir(kind: type[Temporal]) -> None:
    """The first number of a visit matters, the others are noise; the visit alone does not know its nadir."""
    visits = torch.randn(400, 6, 4, generator=torch.Generator().manual_seed(1))
    day = (21.0 * torch.arange(6)).expand(400, -1)
    rise = visits[..., 0] - visits[..., 0].cummin(dim=1).values
    error, plain = (error_on_new_patients(k, visits, day, rise, steps=200) for k in (kind, LastVisit))
    assert error < 0.6 * plain


@pytest.mark.parametrize("kind", [DecayGRU, DecayLSTM, ContinuousDecay, CausalTransformer])
def test_forgets_an_old_peak_over_a_long_gap_and_keeps_it_over_a_short_one(kind: type[Temporal]) -> None:
    g = torch.Generator().manual_seed(2)
    gap = torch.where(torch.rand(400, generator=g) < 0.5, 7.0, 365.0) * (1 + torch.rand(400, generator=g))
    visits, day = torch.randn(400, 2, 4, generator=g), torch.stack([torch.zeros(400), gap], dim=1)
    left = (visits[:, 0, 0] * 0.5 ** (gap / 42))[:, None]
    error, plain = (error_on_new_patients(k, visits, day, left, steps=150) for k in (kind, LastVisit))
    assert error < 0.3 * plain
