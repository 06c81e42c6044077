"""Region tokens: each group reads its own regions, in agreement with a loop; a curve of the mean knows both ends."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_samples import check_finite, stirred, taught, vectors

from fusion.models.encoders.region_tokens import RegionTokensEncoder
from fusion.models.encoders.vector import LinearEncoder

GROUPS = {"chr1": (0, 1, 2), "chr2": (3, 4), "both": (2, 3), "none": ()}


def normal(rows: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, features, generator=torch.Generator().manual_seed(seed))


def make(groups: dict[str, tuple[int, ...]] = GROUPS, regions: int = 6) -> RegionTokensEncoder:
    encoder = RegionTokensEncoder(num_features=regions, groups=groups, dim=8)
    encoder.prepare(vectors(normal(40, regions, seed=2)))
    return stirred(encoder)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_finite_tokens_and_gradients(count: int) -> None:
    check_finite(make(), vectors(normal(count, 6)), dim=8)


@settings(max_examples=25, deadline=None)
@given(members=st.lists(st.sets(st.integers(0, 5)), min_size=1, max_size=7))
def test_agrees_with_a_loop_over_groups(members: list[set[int]]) -> None:
    groups = {f"g{i}": tuple(sorted(regions)) for i, regions in enumerate(members)}
    encoder, rows = make(groups), normal(4, 6)
    sums, pair = [], 0
    for k, regions in enumerate(groups.values()):
        total = torch.zeros(4, 3)
        for region in regions:
            weight = torch.cat([torch.ones(1), 1 + encoder.deviation[pair] / len(regions) ** 0.5])
            total += rows[:, region, None] * weight / len(regions) / encoder.sd[k]
            pair += 1
        sums.append(total)
    sum_SKI = torch.stack(sums, dim=1)
    torch.testing.assert_close(encoder.sums(rows), sum_SKI, atol=1e-5, rtol=1e-5)
    expected = [
        sum_SKI[:, k, 1:] @ encoder.project[k] + encoder.bins(sum_SKI[..., 0])[:, k] @ encoder.bend[k] + encoder.bias[k]
        for k in range(len(groups))
    ]
    torch.testing.assert_close(encoder(vectors(rows)), torch.stack(expected, dim=1), atol=1e-5, rtol=1e-4)


def test_a_region_moves_the_tokens_of_its_groups_alone() -> None:
    encoder, rows = make(), normal(1, 6)
    for region in range(6):
        changed = rows.clone()
        changed[:, region] += 1.0
        moved = (encoder(vectors(changed)) - encoder(vectors(rows))).abs().amax(dim=2)[0] > 0
        assert moved.tolist() == [region in regions for regions in GROUPS.values()]


def test_a_fresh_encoder_is_linear() -> None:
    encoder = RegionTokensEncoder(num_features=6, groups=GROUPS, dim=8).eval()
    encoder.prepare(vectors(normal(40, 6)))
    one, other = normal(5, 6, seed=3), normal(5, 6, seed=4)
    both = encoder(vectors(one)) + encoder(vectors(other))
    torch.testing.assert_close(encoder(vectors(one + other)), both, atol=1e-5, rtol=1e-5)


def test_another_encoder_takes_over_what_was_prepared() -> None:
    encoder, rows = make(), normal(5, 6)
    again = RegionTokensEncoder(num_features=6, groups=GROUPS, dim=8).eval()
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(vectors(rows)), encoder(vectors(rows)))


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="fit the modality anew"):
        RegionTokensEncoder(num_features=4, groups=GROUPS, dim=8)
    with pytest.raises(ValueError, match="name them with"):
        RegionTokensEncoder(num_features=4, groups={}, dim=8)


def test_learns_that_both_ends_of_a_class_of_regions_are_bad() -> None:
    """40 noisy regions follow one process, 60 others do not; a line over all of them sees nothing."""
    process = normal(500, 1)
    rows = torch.cat([process + 2.0 * normal(500, 40, seed=1), normal(500, 60, seed=2)], dim=1)
    label = process[:, 0].abs()
    train, test = (vectors(rows[:200]), label[:200]), (vectors(rows[200:]), label[200:])
    groups = {"cimp": tuple(range(40)), "other": tuple(range(40, 100))}
    torch.manual_seed(0)
    encoder = RegionTokensEncoder(num_features=100, groups=groups, dim=8)
    encoder.prepare(train[0])
    assert taught(LinearEncoder(num_features=100, dim=8), train, test) < 0.05
    assert taught(encoder, train, test) > 0.4
