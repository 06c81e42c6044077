"""Pathway tokens: each set reads its own genes, in agreement with a loop over sets; the rest has a token of its own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_samples import check_finite, stirred, taught, vectors

from fusion.models.encoders.pathway_tokens import PathwayTokensEncoder
from fusion.models.encoders.vector import VectorEncoder
from fusion.types import Samples

GROUPS = {"big": (0, 1, 2, 3, 4), "none": (), "one": (7,), "shares": (4, 7, 8)}
GENES = 11


def make(groups: dict[str, tuple[int, ...]] = GROUPS, genes: int = GENES) -> PathwayTokensEncoder:
    return stirred(PathwayTokensEncoder(num_features=genes, groups=groups, dim=8))


def by_loop(encoder: PathwayTokensEncoder, groups: dict[str, tuple[int, ...]], rows: torch.Tensor) -> torch.Tensor:
    """The same tokens, one set and one gene after another; weights are found by asking what a gene adds alone."""
    tokens = []
    for place, genes in enumerate(groups.values()):
        hidden = torch.zeros(len(rows), encoder.linear.shape[1])
        for gene in genes:
            alone = torch.zeros(1, rows.shape[1])
            alone[0, gene] = 1.0
            hidden += rows[:, gene, None] * encoder.signatures(alone)[0, place]
        bent = hidden * torch.tanh(hidden + encoder.shift[place])
        token = hidden @ encoder.linear[place] + bent @ encoder.curved[place]
        tokens.append(token + encoder.bias[place])
    outside = [gene for gene in range(rows.shape[1]) if all(gene not in genes for genes in groups.values())]
    rest = rows[:, outside] @ encoder.rest_in @ encoder.rest_out / max(len(outside), 1) ** 0.5
    return torch.stack([*tokens, rest + encoder.bias[-1]], dim=1)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_finite_tokens_and_gradients(count: int) -> None:
    check_finite(make(), vectors(torch.randn(count, GENES)), dim=8)


@settings(max_examples=25, deadline=None)
@given(members=st.lists(st.sets(st.integers(0, GENES - 1)), min_size=1, max_size=9))
def test_agrees_with_a_loop_over_sets(members: list[set[int]]) -> None:
    groups = {f"set{i}": tuple(sorted(genes)) for i, genes in enumerate(members)}
    encoder = make(groups)
    rows = torch.randn(4, GENES, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoder(vectors(rows)), by_loop(encoder, groups, rows), atol=1e-5, rtol=1e-4)


def test_a_gene_moves_the_tokens_of_its_sets_alone() -> None:
    encoder = make()
    for gene in range(GENES):
        rows = torch.zeros(2, GENES)
        rows[1, gene] = 1.0
        moved = (encoder(vectors(rows)).diff(dim=0)[0].abs().amax(dim=1) > 1e-7).tolist()
        inside = [gene in genes for genes in GROUPS.values()]
        assert moved == [*inside, not any(inside)], gene


def test_all_genes_may_be_in_sets() -> None:
    encoder = make({"all": tuple(range(GENES))})
    rows = torch.randn(3, GENES)
    assert encoder.num_tokens == 2
    torch.testing.assert_close(encoder(vectors(rows))[:, 1], encoder.bias[1].expand(3, -1))


def test_a_fresh_token_is_a_linear_read_out_near_the_mean() -> None:
    torch.manual_seed(0)
    encoder = PathwayTokensEncoder(num_features=40, groups={"all": tuple(range(40))}, dim=8).eval()
    one, other = torch.randn(2, 6, 40)
    both = encoder(vectors(one + other))
    torch.testing.assert_close(both, encoder(vectors(one)) + encoder(vectors(other)), atol=1e-5, rtol=1e-4)
    hidden = encoder.signatures(torch.ones(1, 40)).squeeze()
    assert ((hidden > 0.7) & (hidden < 1.3)).all()


def test_a_set_is_put_in_units_of_its_training_sd() -> None:
    torch.manual_seed(0)
    encoder, restored = (PathwayTokensEncoder(num_features=GENES, groups=GROUPS, dim=8) for _ in range(2))
    rows = torch.randn(50, GENES) * torch.arange(1, GENES + 1) + 3.0
    encoder.prepare(vectors(rows[:0]))  # no sample, nothing to learn
    before = encoder.scale.clone()
    encoder.prepare(vectors(rows))
    sums = [rows[:, genes].sum(dim=1) for genes in GROUPS.values() if genes]
    expected = torch.stack([total.std(correction=0) for total in sums])
    torch.testing.assert_close(encoder.scale[[0, 2, 3]], expected)
    assert encoder.scale[1] == before[1]  # a set without genes
    restored.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(restored.eval()(vectors(rows)), encoder.eval()(vectors(rows)))


def toy(count: int, seed: int) -> tuple[Samples, torch.Tensor]:
    """Twenty noisy genes of one programme, whose distance from its middle matters; eighty others say nothing."""
    generator = torch.Generator().manual_seed(seed)
    activity = torch.randn(count, generator=generator)
    rows = torch.randn(count, 100, generator=generator)
    rows[:, :20] = 0.5 * activity[:, None] + 0.87 * rows[:, :20]
    return vectors(rows), activity.abs()


def test_what_a_noisy_programme_does_is_learned_better_than_from_loose_genes() -> None:
    torch.manual_seed(0)
    train, test = toy(150, 0), toy(500, 1)
    groups = {"programme": tuple(range(20)), "another": tuple(range(20, 50))}
    encoder = PathwayTokensEncoder(num_features=100, groups=groups, dim=16)
    encoder.prepare(train[0])
    sets = taught(encoder, train, test)
    genes = taught(VectorEncoder(num_features=100, dim=16), train, test)
    assert sets > 0.4
    assert genes < 0.3


def test_refuses_what_it_cannot_read() -> None:
    with pytest.raises(ValueError, match="name them with `gene_sets`"):
        PathwayTokensEncoder(num_features=3, groups={}, dim=8)
    with pytest.raises(ValueError, match="fit the modality anew"):
        PathwayTokensEncoder(num_features=3, groups={"up": (3,)}, dim=8)
    with pytest.raises(ValueError, match="use a set encoder"):
        make()(Samples(torch.zeros(3, GENES), torch.tensor([0, 3]), torch.tensor([0])))
