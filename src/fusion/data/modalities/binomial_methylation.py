"""DNA methylation read by counts: how far a region's methylated reads lie from what is expected, in binomial sds."""

from collections.abc import Sequence

import numpy as np

from fusion.data.modalities.matrix import Floats, MatrixTable
from fusion.data.modalities.methylation import Methylation

#: Share of a region's variance that more reads do not remove: beyond some twenty reads they tell little more.
OVERDISPERSION = 0.05


class BinomialMethylation(Methylation):
    """As `Methylation`, with binomial scores in place of M values; asks for `methylation_coverage.*`.

    The score of a region goes with the root of its reads: ten times the depth at the same beta is about three times the
    score, and no read is no score. It so weighs the regions of a sample by what is known of them, where an M value,
    shrunk or not, weighs them alike. A beta without known reads counts as blank.
    """

    def _in_model_space(
        self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str], prior: Floats
    ) -> Floats:
        reads = table.take_coverage(sample_ids, features)
        if reads is None:
            raise ValueError(
                f"{self.name}: the cohort holds no {self.assay}_coverage table; add it, or take `Methylation`, which "
                "does without"
            )
        return binomial_scores(table.take(sample_ids, features), reads, prior)


def binomial_scores(beta: Floats, reads: Floats, prior: Floats) -> Floats:
    """Distance from the expected fraction in sds, by the variance-stabilising arcsine; NaN where blank.

    Reads count as `n / (1 + r n)`, with r the overdispersion, so that a deep region does not drown the others.

    Args:
        beta: Methylated fraction, "S G".
        reads: Reads behind it, "S G".
        prior: Expected fraction of each region, "G".

    >>> binomial_scores(np.array([[0.9, 0.9, 0.9]]), np.array([[0.0, 2.0, 200.0]]), np.full(3, 0.5)).round(2)
    array([[0.  , 1.25, 3.95]])
    """
    reads = np.maximum(reads, 0.0)
    distance = 2.0 * (np.arcsin(np.sqrt(np.clip(beta, 0.0, 1.0))) - np.arcsin(np.sqrt(np.clip(prior, 0.0, 1.0))))
    return distance * np.sqrt(reads / (1.0 + OVERDISPERSION * reads))
