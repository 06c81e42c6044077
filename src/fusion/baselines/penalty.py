"""Ridge penalties, one per block of columns, weighed by a cross-validated score.

N patients, D columns of the design, M blocks, R columns after rotation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Expected variance of the linear predictor: from hardly any effect to a predictor that decides everything.
VARIANCES = (0.02, 0.05, 0.12, 0.3, 0.8, 2.0, 5.0)
#: The same for the few columns of a block that is tuned apart.
VARIANCES_APART = (0.05, 0.15, 0.4, 1.0)

#: Once the held-out log likelihood of ever larger models lies this far below its best, it does not come back.
GIVE_UP = 5.0

Model = TypeVar("Model")


def walked(walk: Iterable[tuple[Model, float]]) -> list[tuple[Model, float]]:
    """Ever larger models and their scores, as far as is worth the time: to the first that fell by `GIVE_UP`.

    >>> walked([("small", -9.0), ("middle", -7.0), ("large", -20.0), ("never asked", 0.0)])
    [('small', -9.0), ('middle', -7.0), ('large', -20.0)]
    """
    found: list[tuple[Model, float]] = []
    for model, score in walk:
        found.append((model, score))
        if score < max(known for _, known in found) - GIVE_UP:
            break
    return found


def belief(scores: Sequence[float]) -> Floats:
    """Weight of each model by its held-out log likelihood; they sum to one.

    With a hundred events the best penalty is best by chance, and an average over those that do about as well is
    better than any (`docs/decisions/016-penalties-are-averaged.md`).

    >>> belief([-9.0, -7.0, -7.0]).round(2)
    array([0.06, 0.47, 0.47])
    """
    likelihood = np.exp(np.array(scores, dtype=np.float64) - max(scores))
    return np.asarray(likelihood / likelihood.sum())


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


def square_root(design: Floats, variance: Floats) -> Floats:
    """The columns of `rotate` but for a rotation of their own; ten times faster, and no coefficient can be led back."""
    scaled = design * np.sqrt(variance)
    if scaled.shape[1] <= scaled.shape[0]:
        return scaled
    gram = scaled @ scaled.T
    gram[np.diag_indices(len(gram))] += 1e-9 * max(float(gram.trace()), 1e-300)  # centred columns leave a rank missing
    return np.asarray(np.linalg.cholesky(gram), dtype=np.float64)


def variances(blocks: Sequence[str], shares: Mapping[str, float]) -> Floats:
    """Prior variance of every column's coefficient, "D"; its inverse is the ridge penalty, zero leaves a column out.

    Args:
        blocks: Block of each column, "D".
        shares: Variance of the predictor that each block gets, spread evenly over its columns; none for others.
    """
    names, block, size = np.unique(np.array(blocks, dtype=np.str_), return_inverse=True, return_counts=True)
    return (np.array([shares.get(str(name), 0.0) for name in names]) / size)[block]


def tune_shares(
    design: Floats,
    blocks: Sequence[str],
    scores: Callable[[Floats, Sequence[float]], Iterator[float]],
    *,
    apart: str | None = None,
) -> dict[str, float]:
    """Variance of the predictor that each block of columns gets.

    The variance of the predictor is shared evenly by the blocks, so that a hundred regions of an assay weigh no more
    than ten clinical columns. How large it is, is the mean of a grid, weighed by the score; for the block `apart` on
    its own, as clinical covariates tell more per column than any assay. (A penalty for every block, found by
    coordinate search, and a stack of one model per block were tried on simulated cohorts of 240: neither did better
    than one for all.)

    Args:
        design: Standardised columns, "N D".
        blocks: Block of each column, "D".
        scores: Cross-validated log likelihood of a ridge on (rotated) columns, for each of these falling penalties.
        apart: Block whose variance is chosen apart from that of the others.
    """
    names, block, size = np.unique(np.array(blocks, dtype=np.str_), return_inverse=True, return_counts=True)
    is_apart = names == apart
    empty = np.zeros(len(names)), next(scores(design[:, :0], (1.0,)))

    def beside(own: float) -> Iterator[tuple[Floats, float]]:
        for others in (0.0, *VARIANCES):
            shares = np.where(is_apart, own, others / np.sum(~is_apart))
            yield shares, next(scores(square_root(design, (shares / size)[block]), (1.0,)))

    if is_apart.any() and not is_apart.all():
        found = [empty, *chain.from_iterable(walked(beside(own)) for own in VARIANCES_APART)]
    else:
        columns = square_root(design, (1.0 / (len(names) * size))[block])
        each = [np.full(len(names), variance) / len(names) for variance in VARIANCES]
        scored = scores(columns, [1.0 / variance for variance in VARIANCES])
        found = walked(chain([empty], zip(each, scored, strict=True)))
    tried, score = zip(*found, strict=True)
    return dict(zip(names.tolist(), (belief(score) @ np.array(tried)).tolist(), strict=True))
