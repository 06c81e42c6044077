"""Ridge penalties, one per block of columns, chosen by a cross-validated score.

N patients, D columns of the design, M blocks, R columns after rotation.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Expected variance of the linear predictor: from hardly any effect to a predictor that decides everything.
VARIANCES = np.geomspace(0.02, 5.0, 7)
#: What a block's share of that variance is multiplied with in the search over blocks.
FACTORS = np.array([0.0, 0.25, 4.0])


def inner_folds(event: NDArray[np.bool_], num_folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Fold of each patient, shuffled, with the events spread evenly."""
    shuffled = np.random.default_rng(seed).permutation(len(event))
    order = shuffled[np.argsort(event[shuffled], kind="stable")]
    fold = np.empty(len(event), dtype=np.int64)
    fold[order] = np.arange(len(event)) % num_folds
    return fold


def rotate(design: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Fewest columns "N R" on which a unit ridge is the same model as a ridge of `1 / variance` on the design.

    Returns:
        The rotated columns, and the matrix "D R" that takes their coefficients back to the design's.
    """
    scale = np.sqrt(variance)
    scaled = design * scale
    if scaled.shape[1] <= scaled.shape[0]:
        keep = scale > 0
        return scaled[:, keep], np.diag(scale)[:, keep]
    values, vectors = np.linalg.eigh(scaled @ scaled.T)
    keep = values > 1e-8 * max(values[-1], 1e-300)
    roots = np.sqrt(values[keep])
    return vectors[:, keep] * roots, scale[:, None] * (scaled.T @ (vectors[:, keep] / roots))


def tune_variances(
    design: Floats, blocks: Sequence[str], score: Callable[[Floats, float], float], *, search_blocks: bool
) -> Floats:
    """Prior variance of every column's coefficient, "D"; its inverse is the ridge penalty, zero leaves a column out.

    First one overall variance is chosen, shared evenly by the blocks, so that a hundred regions of an assay weigh no
    more than ten clinical columns. Then, if `search_blocks`, each block's share is lowered, raised or set to zero
    where the score gains by it: multi-penalty ridge (van de Wiel 2021) by coordinate search.

    Args:
        design: Standardised columns, "N D".
        blocks: Block of each column, "D".
        score: Cross-validated score of a ridge with this penalty on these (rotated) columns, higher is better.
        search_blocks: Tune one penalty per block, not one overall.
    """
    names, block, size = np.unique(np.array(blocks, dtype=np.str_), return_inverse=True, return_counts=True)
    even = np.full(len(names), 1.0 / max(len(names), 1))
    columns, _ = rotate(design, (even / size)[block])
    best, overall = score(columns[:, :0], 1.0), 0.0
    for variance in VARIANCES:
        scored = score(columns, 1.0 / variance)
        if scored > best:
            best, overall = scored, float(variance)
    chosen = even * overall
    if search_blocks and overall > 0 and len(names) > 1:
        for place in np.argsort(-size):  # the largest first: most is to be gained by leaving out its noise
            shares = np.repeat(chosen[None], len(FACTORS), axis=0)
            shares[:, place] *= FACTORS
            for trial in shares:
                columns, _ = rotate(design, (trial / size)[block])
                scored = score(columns, 1.0)
                if scored > best:
                    best, chosen = scored, trial
    return (chosen / size)[block]
