"""Encoders of variants: sets in any order, empty ones too, families of genes, and two genes that turn each other."""

from collections.abc import Callable

import pytest
import torch
from packed_samples import check_finite, sets, stirred, taught

from fusion.models.base import Encoder
from fusion.models.encoders.burden import BurdenEncoder
from fusion.models.encoders.gene_burden import GeneBurdenEncoder
from fusion.models.encoders.variant_attention import VariantAttentionEncoder
from fusion.models.encoders.variant_set import VariantSetEncoder
from fusion.models.variant_rows import burden_of, genes_hit
from fusion.types import Samples

#: gene, truncating, missense, silent, VAF, burden
WIDTH, GENES = 6, 6
HIT, LOSS, BURDEN = (1, 2), (1,), (5,)
#: Genes 2 and 3 are of one family, gene 4 of another.
FAMILIES = ((0, 0), (0, 0), (1, 0), (1, 0), (0, 1), (0, 0))

MAKERS: dict[str, Callable[[], Encoder]] = {
    "variant_set": lambda: VariantSetEncoder(num_features=WIDTH, num_genes=GENES, dim=8, hidden=8),
    "variant_set_families": lambda: VariantSetEncoder(
        num_features=WIDTH, num_genes=GENES, dim=8, hidden=8, gene_groups=FAMILIES
    ),
    "variant_attention": lambda: VariantAttentionEncoder(num_features=WIDTH, num_genes=GENES, dim=8, hidden=8),
    "variant_attention_families": lambda: VariantAttentionEncoder(
        num_features=WIDTH, num_genes=GENES, dim=8, hidden=8, gene_groups=FAMILIES
    ),
    "gene_burden": lambda: gene_burden(),
    "gene_burden_families": lambda: gene_burden(gene_groups=FAMILIES),
    "burden": lambda: BurdenEncoder(burden_columns=BURDEN, dim=8),
}
every_encoder = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
with_families = pytest.mark.parametrize("name", ["variant_set", "variant_attention"])


def gene_burden(**kwargs: object) -> GeneBurdenEncoder:
    columns = {"hit_columns": HIT, "loss_columns": LOSS, "burden_columns": BURDEN}
    return GeneBurdenEncoder(**{"num_genes": GENES, **columns, "dim": 8, "hidden": 8, **kwargs})


def burden(value: float) -> list[float]:
    return [1.0, 0, 0, 0, 0, value]


def missense(gene: int, vaf: float = 0.3) -> list[float]:
    return [float(gene), 0, 1, 0, vaf, 0]


def truncating(gene: int, vaf: float = 0.3) -> list[float]:
    return [float(gene), 1, 0, 0, vaf, 0]


def silent(gene: int) -> list[float]:
    return [float(gene), 0, 0, 1, 0.3, 0]


SAMPLES = sets(
    [
        [burden(0.5), missense(2), truncating(3)],
        [],
        [burden(-1.0)],
        [burden(0.1), truncating(2), missense(2), missense(4), silent(5)],
    ],
    WIDTH,
)


@every_encoder
@pytest.mark.parametrize(
    "samples",
    [SAMPLES, sets([], WIDTH), sets([[]], WIDTH), sets([[], []], WIDTH)],
    ids=["some", "no_sample", "empty", "two_empty"],
)
def test_finite_tokens_and_gradients(make: Callable[[], Encoder], samples: Samples) -> None:
    check_finite(stirred(make()), samples, dim=8)


@every_encoder
def test_order_of_variants_and_company_are_irrelevant(make: Callable[[], Encoder]) -> None:
    encoder = stirred(make())
    whole = encoder(SAMPLES)
    turned = sets([[missense(4), silent(5), missense(2), truncating(2), burden(0.1)]], WIDTH)
    torch.testing.assert_close(encoder(turned)[0], whole[3])


@every_encoder
def test_a_fresh_encoder_is_linear_in_what_it_counts(make: Callable[[], Encoder]) -> None:
    """The non-linear parts start at zero: two genes of no common family together do what each does alone."""
    torch.manual_seed(0)
    encoder = make().eval()
    none, one, other, both = encoder(
        sets([[burden(0.2)], [burden(0.2), missense(2)], [burden(0.2), missense(4)],
              [burden(0.2), missense(2), missense(4)]], WIDTH)
    )[:, 0]  # fmt: skip
    torch.testing.assert_close(both - none, (one - none) + (other - none), atol=1e-6, rtol=1e-4)


def test_genes_hit_agrees_with_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 9, (7,), generator=generator).tolist()
    rows = [
        [
            [float(torch.randint(0, GENES, (), generator=generator)), *torch.randint(0, 2, (5,), generator=generator)]
            for _ in range(count)
        ]
        for count in counts
    ]
    expected = torch.zeros(7, GENES - 2)
    for sample, variants in enumerate(rows):
        for variant in variants:
            if variant[0] >= 2 and (variant[1] or variant[2]):
                expected[sample, int(variant[0]) - 2] = 1.0
    assert torch.equal(genes_hit(sets(rows, WIDTH), HIT, GENES), expected)


def test_burden_is_that_of_the_burden_row() -> None:
    two_biopsies = sets([[burden(0.5), missense(2), burden(1.5)], [missense(3)], []], WIDTH)
    assert burden_of(two_biopsies, BURDEN).squeeze(1).tolist() == [1.0, 0.0, 0.0]


def test_burden_alone_does_not_read_genes() -> None:
    encoder = stirred(BurdenEncoder(burden_columns=BURDEN, dim=8))
    one, other, more = encoder(sets([[burden(0.5), missense(2)], [burden(0.5), truncating(4)], [burden(0.9)]], WIDTH))
    torch.testing.assert_close(one, other)
    assert (one - more).abs().max() > 1e-3


def test_gene_burden_reads_hit_lost_and_family() -> None:
    encoder = gene_burden(gene_groups=FAMILIES)
    table = encoder.table(sets([[burden(0.5), missense(2), missense(2), truncating(3), silent(5), missense(0)]], WIDTH))
    hit, lost, family = [1, 1, 0, 0], [0, 1, 0, 0], [1, 0]
    assert table.tolist() == [[*hit, *lost, *family, 0.5]]


@with_families
def test_a_gene_starts_as_its_family(name: str) -> None:
    encoder = MAKERS[f"{name}_families"]().eval()
    one, sibling, other, loose = encoder(sets([[missense(2)], [missense(3)], [missense(4)], [missense(5)]], WIDTH))
    torch.testing.assert_close(one, sibling)
    assert (one - other).abs().max() > 1e-3
    assert (one - loose).abs().max() > 1e-3


@with_families
def test_what_a_gene_teaches_its_family_knows(name: str) -> None:
    encoder = MAKERS[f"{name}_families"]()
    before = encoder.eval()(sets([[missense(3)], [missense(5)]], WIDTH)).detach()
    optimizer = torch.optim.SGD([encoder.gene.weight, encoder.families.embedding], lr=0.1)
    encoder(sets([[missense(2)]], WIDTH)).sum().backward()
    optimizer.step()
    moved = (encoder(sets([[missense(3)], [missense(5)]], WIDTH)) - before).abs().amax(dim=(1, 2))
    assert moved[0] > 1e-3
    assert moved[1] == 0


def test_without_families_the_weights_are_those_of_before() -> None:
    """The option costs a run without it neither a weight nor a draw."""
    torch.manual_seed(0)
    encoder = VariantSetEncoder(num_features=WIDTH, num_genes=GENES, dim=8)
    after = torch.rand(1)
    assert {name.split(".")[0] for name in encoder.state_dict()} == {"gene", "dense", "variant", "sample"}
    torch.manual_seed(0)
    VariantSetEncoder(num_features=WIDTH, num_genes=GENES, dim=8, gene_groups=FAMILIES)
    assert not torch.equal(torch.rand(1), after)


def test_attention_agrees_with_a_loop() -> None:
    encoder = stirred(MAKERS["variant_attention"]())
    rows = torch.randn(9, 8)
    counts = torch.tensor([4, 0, 5])
    samples = Samples(torch.zeros(9, WIDTH), torch.tensor([0, 4, 4, 9]), torch.arange(3))
    expected = torch.zeros(3, 8)
    for sample, part in enumerate(rows.split(counts.tolist())):
        for head in range(4):
            if len(part):
                weight = encoder.score(part)[:, head].softmax(dim=0)
                width = slice(2 * head, 2 * head + 2)
                expected[sample, width] = (weight[:, None] * encoder.value(part)[:, width]).sum(dim=0)
    torch.testing.assert_close(encoder.attend(rows, samples), expected)
    with pytest.raises(ValueError, match="not a multiple of num_heads"):
        VariantAttentionEncoder(num_features=WIDTH, num_genes=GENES, dim=10)


def xor(count: int, seed: int) -> tuple[Samples, torch.Tensor]:
    """RB1 (2) or NOTCH (3), but not both; two other genes and the burden say nothing."""
    generator = torch.Generator().manual_seed(seed)
    hit = torch.rand(count, 4, generator=generator) < torch.tensor([0.6, 0.4, 0.4, 0.3])
    rows = [
        [burden(float(torch.randn((), generator=generator))), *(missense(gene + 2) for gene in range(4) if each[gene])]
        for each in hit
    ]
    return sets(rows, WIDTH), (hit[:, 0] ^ hit[:, 1]).float()


class Additive(GeneBurdenEncoder):
    """The linear part alone."""

    def forward(self, samples: Samples) -> torch.Tensor:
        return self.project(self.table(samples))[:, None]


def test_one_gene_or_the_other_is_learned_but_not_by_a_line() -> None:
    torch.manual_seed(0)
    train, test = xor(200, 0), xor(500, 1)
    columns = {"hit_columns": HIT, "loss_columns": LOSS, "burden_columns": BURDEN}
    assert taught(Additive(num_genes=GENES, **columns, dim=8), train, test) < 0.3
    assert taught(gene_burden(), train, test) > 0.8


def family_toy(gene: int, count: int, seed: int) -> tuple[Samples, torch.Tensor]:
    """A hit of this gene is bad; gene 5, of no family, is good. Else there are burden rows alone."""
    generator = torch.Generator().manual_seed(seed)
    bad, good = (torch.rand(2, count, generator=generator) < 0.4).tolist()
    rows = [
        [burden(0.0), *([missense(gene)] if b else []), *([missense(5)] if g else [])]
        for b, g in zip(bad, good, strict=True)
    ]
    return sets(rows, WIDTH), torch.tensor(bad).float() - torch.tensor(good).float()


@pytest.mark.parametrize("name", ["variant_set", "variant_attention", "gene_burden"])
def test_a_gene_that_no_training_patient_has_is_read_by_its_family(name: str) -> None:
    torch.manual_seed(0)
    train, test = family_toy(2, 150, 0), family_toy(3, 300, 1)
    # gene 5 alone gives the root of a half; what an untrained embedding says of gene 3 is chance
    assert taught(MAKERS[f"{name}_families"](), train, test) > 0.85
    assert taught(MAKERS[name](), train, test) < 0.8
