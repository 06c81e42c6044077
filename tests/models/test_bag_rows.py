"""Products within samples equal a loop; dropping rows keeps their order and the first of every sample."""

import pytest
import torch

from fusion.models.bag_rows import RowDropout, segment_apply, segment_outer
from fusion.types import Samples

COUNTS = [(5, 1, 0, 190, 3), (1, 1, 1), (0, 0), (), (130,), (0, 300, 0, 2)]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("heads", [(), (2,)])
def test_products_agree_with_a_loop(counts: tuple[int, ...], heads: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    num, count = sum(counts), len(counts)
    segment = torch.repeat_interleave(torch.arange(count), torch.tensor(counts, dtype=torch.long))
    left, right = torch.randn(num, *heads, 3), torch.randn(num, *heads, 4)
    outer = left[..., :, None] * right[..., None, :]
    expected = torch.stack([outer[segment == s].sum(dim=0) for s in range(count)]) if count else outer[:0]
    total = segment_outer(left, right, segment, count)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-4)
    applied = segment_apply(left, total, segment)
    matrix_of_row = torch.stack([total[s] for s in segment.tolist()]) if num else total.new_zeros(0, *heads, 3, 4)
    torch.testing.assert_close(applied, (left[..., :, None] * matrix_of_row).sum(dim=-2), rtol=1e-4, atol=1e-3)


def test_gradients_are_right() -> None:
    torch.manual_seed(0)
    segment = torch.tensor([0, 0, 0, 2, 2])
    left = torch.randn(5, 2, dtype=torch.double, requires_grad=True)
    right = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b: segment_apply(a, segment_outer(a, b, segment, 3), segment), (left, right)
    )


def test_dropped_rows() -> None:
    torch.manual_seed(0)
    samples = Samples(torch.arange(60.0)[:, None], torch.tensor([0, 1, 1, 40, 60]), torch.arange(4))
    drop = RowDropout(0.75)
    rows_RF, segment_R = drop(samples)
    assert 4 < len(rows_RF) < 40
    assert (rows_RF[1:] > rows_RF[:-1]).all()
    assert {0.0, 1.0, 40.0} <= set(rows_RF.flatten().tolist())
    assert torch.equal(segment_R, samples.sample_of_row[rows_RF[:, 0].long()])
    assert torch.equal(drop.eval()(samples)[0], samples.rows)
    assert torch.equal(RowDropout(0.0)(samples)[0], samples.rows)
