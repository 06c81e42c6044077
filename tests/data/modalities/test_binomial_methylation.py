"""Binomial methylation: few reads say little, deep ones do not drown the rest, and coverage is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from fusion.data.cohort import Cohort
from fusion.data.modalities.binomial_methylation import BinomialMethylation, binomial_scores
from fusion.data.modalities.matrix import MatrixTable


def test_few_reads_say_little() -> None:
    reads = np.array([[0.0, 1.0, 4.0, 16.0, 64.0, 1e6]])
    score = binomial_scores(np.full((1, 6), 0.9), reads, np.full(6, 0.5))[0]
    assert score[0] == 0
    assert (np.diff(score) > 0).all()
    assert score[1] < 0.25 * score[-1]
    assert score[-1] < 1.2 * score[-2]  # depth beyond what is needed adds next to nothing


def test_noise_of_counts_is_alike_at_any_depth_and_fraction() -> None:
    """Under the expected fraction the sd is about one, but for the overdispersion that is held against depth."""
    rng = np.random.default_rng(0)
    for prior in (0.2, 0.5, 0.8):
        for reads in (12, 40):
            beta = rng.binomial(reads, prior, size=(4000, 1)) / reads
            sd = binomial_scores(beta, np.full((4000, 1), float(reads)), np.array([prior])).std()
            assert sd * np.sqrt(1 + 0.05 * reads) == pytest.approx(1.0, abs=0.25)


def tables(cohort: Cohort) -> tuple[BinomialMethylation, MatrixTable, list[str]]:
    modality = BinomialMethylation(name="plasma_methylation", assay="methylation", specimen="plasma", components=None)
    table, ids = modality.load(cohort), modality.sample_ids(cohort)
    modality.fit(table, ids)
    return modality, table, ids


def with_reads(table: MatrixTable, region: str, reads: float) -> MatrixTable:
    assert table.coverage is not None
    values = table.coverage.values.copy()
    values[:, table.coverage.features.index(region)] = reads
    return replace(table, coverage=replace(table.coverage, values=values))


def test_a_region_with_few_reads_moves_the_row_less(cohort: Cohort) -> None:
    modality, table, ids = tables(cohort)
    region = modality.features[3]
    spread = [
        modality.transform(with_reads(table, region, reads), ids).rows[:, 3].std() for reads in (0.0, 2.0, 50.0, 500.0)
    ]
    assert spread[0] < 1e-6
    assert spread[1] < 0.5 * spread[2]
    assert spread[2] < spread[3] < 1.5 * spread[2]
    others = np.delete(modality.transform(with_reads(table, region, 2.0), ids).rows, 3, axis=1)
    np.testing.assert_array_equal(others, np.delete(modality.transform(table, ids).rows, 3, axis=1))


def test_a_beta_of_unknown_reads_is_blank(cohort: Cohort) -> None:
    modality, table, ids = tables(cohort)
    rows = modality.transform(with_reads(table, modality.features[3], np.nan), ids).rows
    assert (rows[:, 3] == 0).all()


def test_without_coverage_the_remedy_is_named(cohort: Cohort) -> None:
    modality, table, ids = tables(cohort)
    with pytest.raises(ValueError, match=r"no methylation_coverage table; add it, or take `Methylation`"):
        modality.transform(replace(table, coverage=None), ids)
