"""Reading projected patches by hand equals autograd, and co-attention over patches equals `nn.MultiheadAttention`.

Fast paths are held against plain ones on random bags, some empty and some of one patch, in double and half precision.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fusion.models import bag_rows, patch_reading
from fusion.models.bag_rows import read_bags, segment_apply, segment_outer
from fusion.models.bag_windows import window_apply, window_outer
from fusion.models.encoders.gated_attention import GatedAttentionEncoder
from fusion.models.encoders.latent_attention import LatentAttentionEncoder
from fusion.models.patch_co_attention import PatchCoAttention
from fusion.models.patch_reading import project_and_read
from fusion.types import Samples

COUNTS = [(7, 1, 0, 40, 3), (1, 1), (0, 90), (64,)]
every_count = pytest.mark.parametrize("counts", COUNTS)


def make_samples(counts: tuple[int, ...], width: int = 6, dtype: torch.dtype = torch.double) -> Samples:
    offsets = torch.tensor([0, *counts]).cumsum(0)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(int(offsets[-1]), width, generator=generator, dtype=torch.double)
    return Samples(rows.to(dtype), offsets, torch.arange(len(counts)))


def make(dtype: torch.dtype = torch.double) -> PatchCoAttention:
    torch.manual_seed(0)
    return PatchCoAttention(num_features=6, dim=4).to(dtype)


def by_multihead_attention(module: PatchCoAttention, samples: Samples, question: Tensor) -> list[Tensor]:
    """One patient at a time, in the mathematics of MCAT."""
    plain = nn.MultiheadAttention(4, 1).to(question.dtype)
    with torch.no_grad():
        plain.in_proj_weight.copy_(torch.cat([module.query.weight, module.key.weight, module.value.weight]))
        plain.in_proj_bias.copy_(torch.cat([module.query.bias, 0 * module.query.bias, module.value.bias]))
        plain.out_proj.load_state_dict(module.out.state_dict())
    answers = []
    for rows, asked in zip(samples.rows.split(samples.offsets.diff().tolist()), question, strict=True):
        patch = module.project(rows).relu()
        answers.append(plain(asked, patch, patch)[0] if len(rows) else module.out(module.value.bias).expand_as(asked))
    return answers


@every_count
@pytest.mark.parametrize("by_hand", [True, False])
def test_co_attention_is_that_of_one_patient_at_a_time(
    counts: tuple[int, ...], by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_rows, "LARGE", 0 if by_hand else 1 << 60)
    module, samples = make(), make_samples(counts)
    question = torch.randn(len(counts), 3, 4, dtype=torch.double, requires_grad=True)
    found, expected = module(samples, question), torch.stack(by_multihead_attention(module, samples, question))
    torch.testing.assert_close(found, expected)
    wrt = (question, module.project.weight, module.project.bias)
    slope = torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, wrt, slope), torch.autograd.grad(expected, wrt, slope), strict=True
    ):
        torch.testing.assert_close(one, other)
    single = make(torch.float)(make_samples(counts, dtype=torch.float), question.float())
    torch.testing.assert_close(single.double(), expected, atol=1e-5, rtol=1e-5)


def test_gradients_by_hand_are_right_also_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_reading, "PIECE", 3)
    torch.manual_seed(0)
    shapes = ((9, 5), (4, 5), (4,), (3, 2, 4))
    given = [torch.randn(shape, dtype=torch.double, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *x: project_and_read(*x, [5, 0, 4]), given)


@every_count
@pytest.mark.parametrize("heads", [(), (2,)])
def test_windows_and_a_loop_over_samples_agree(
    counts: tuple[int, ...], heads: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_rows, "LARGE", 0)
    segment, count = make_samples(counts).sample_of_row, len(counts)
    torch.manual_seed(0)
    left, right = (torch.randn(sum(counts), *heads, k, dtype=torch.double, requires_grad=True) for k in (3, 4))
    outer, windows = segment_outer(left, right, segment, count), window_outer(left, right, segment, count)
    torch.testing.assert_close(outer, windows)
    applied, by_windows = segment_apply(left, outer, segment), window_apply(left, windows, segment)
    torch.testing.assert_close(applied, by_windows)
    slope = torch.randn_like(applied)
    for one, other in zip(
        torch.autograd.grad(applied, (left, right), slope),
        torch.autograd.grad(by_windows, (left, right), slope),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@every_count
def test_reading_agrees_both_ways(counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    samples, query = make_samples(counts), torch.randn(len(counts), 2, 6, dtype=torch.double)
    found = []
    for large in (0, 1 << 60):
        monkeypatch.setattr(bag_rows, "LARGE", large)
        found.append(read_bags(query, samples.rows, samples.sample_of_row))
    torch.testing.assert_close(*found)
    empty = [index for index, number in enumerate(counts) if not number]
    assert (found[0][empty] == 0).all()


@pytest.mark.parametrize("large", [0, 1 << 60])
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.half])
def test_half_precision_stays_near(large: int, stored: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows kept in half precision, with products in single and in bfloat16."""
    monkeypatch.setattr(bag_rows, "LARGE", large)
    counts = (400, 0, 1, 900)
    exact, kept = make_samples(counts, dtype=torch.float), make_samples(counts, dtype=stored)
    question = torch.randn(4, 2, 4)
    torch.manual_seed(1)
    encoders = [
        GatedAttentionEncoder(num_features=6, dim=8, hidden=16, patch_dropout=0.0),
        GatedAttentionEncoder(num_features=6, dim=64, hidden=2, patch_dropout=0.0),
        LatentAttentionEncoder(num_features=6, dim=8, patch_dropout=0.0),
        make(torch.float),
    ]
    encoders[0].absorbs = False
    for encoder in encoders:
        for parameter in encoder.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        asked = (question,) if isinstance(encoder, PatchCoAttention) else ()
        expected = encoder.eval()(exact, *asked)
        near = encoder(kept, *asked)
        assert near.dtype == torch.float
        torch.testing.assert_close(near, expected, atol=0.02, rtol=0.02)
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder(kept, *asked)
        rough.float().square().sum().backward()
        assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
        torch.testing.assert_close(rough.float(), expected, atol=0.1, rtol=0.1)


def test_gated_attention_is_the_same_with_and_without_projected_patches() -> None:
    torch.manual_seed(0)
    encoder = GatedAttentionEncoder(num_features=6, dim=5, hidden=3, patch_dropout=0.0).double().eval()
    for parameter in encoder.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    samples, found = make_samples((7, 1, 0, 40)), []
    for absorbs in (True, False):
        encoder.absorbs = absorbs
        token = encoder(samples)
        found.append((token, *torch.autograd.grad(token.square().sum(), [*encoder.parameters()])))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


class Calls(TorchDispatchMode):
    """Counts what would be launched on a GPU, views included."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.number += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", [PatchCoAttention, LatentAttentionEncoder, GatedAttentionEncoder])
def test_launches_do_not_grow_with_patients(kind: type[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """By windows, as on a GPU: forward and backward of any number of patients are as many operations."""
    monkeypatch.setattr(bag_rows, "LARGE", 1 << 60)
    module, numbers = kind(num_features=6, dim=4, patch_dropout=0.0), []
    for count in (2, 16):
        samples = make_samples((30,) * count, dtype=torch.float)
        asked = (torch.randn(count, 3, 4),) if kind is PatchCoAttention else ()
        with Calls() as calls:
            module(samples, *asked).sum().backward()
        numbers.append(calls.number)
    assert numbers[0] == numbers[1]
    assert numbers[1] < 400  # of which a third are views, which launch nothing
