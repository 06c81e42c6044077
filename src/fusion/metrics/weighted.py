"""Rank and mean statistics under many patient weightings at once: the kernels of the bootstrap.

Dimension key: W weightings, N patients.

A bootstrap resample is a row of whole-number weights, so that C_w = (w' A w) / (w' B w) with A and B fixed, and a
thousand resamples cost a few matrix products. Pairs count only within `group` (the fold): see `fusion.metrics.score`.
A patient drawn twice is never compared with itself.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Patients of a block, whose pairs are looked at one by one; between blocks they are counted by rank.
CHUNK = 512


def ratio(top: Floats, bottom: Floats) -> Floats:
    """Return top / bottom, NaN where the bottom is not positive."""
    return np.asarray(np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0))


def mean(weights: Floats, values: Floats) -> Floats:
    """Weighted mean of one value per patient, "W"."""
    return ratio(weights @ values, weights.sum(axis=1))


def concordance(
    weights: Floats, risk: Floats, duration: Floats, event: Bools, case_weight: Floats, group: Ints
) -> Floats:
    """Concordance index of every weighting, "W", over pairs within a group.

    `case_weight` is the weight of a pair by its earlier member: `event` for Harrell, 1 / G(T-)^2 for Uno; zero for
    those without an event. Takes O(N log N) time and O(N) memory in patients.
    """
    top, bottom = np.zeros(len(weights)), np.zeros(len(weights))
    for member in np.unique(group):
        inside = np.flatnonzero(group == member)
        count = _by_pair if len(inside) <= CHUNK else _by_rank
        counted = count(weights[:, inside], risk[inside], duration[inside], event[inside], case_weight[inside])
        top, bottom = top + counted[0], bottom + counted[1]
    return ratio(top, bottom)


def _by_pair(
    weights: Floats, risk: Floats, duration: Floats, event: Bools, case_weight: Floats
) -> tuple[Floats, Floats]:
    """Weight of the concordant and of the comparable pairs, "W" each, by looking at every pair."""
    cases = np.flatnonzero(case_weight > 0)
    gap = duration - duration[cases, None]
    comparable = (gap > 0) | ((gap == 0) & ~event)
    order = np.sign(risk[cases, None] - risk)
    weight_of_case = weights[:, cases] * case_weight[cases]
    return (
        np.einsum("wn,wn->w", weight_of_case, weights @ (comparable * (0.5 + 0.5 * order)).T),
        np.einsum("wn,wn->w", weight_of_case, weights @ comparable.T.astype(np.float64)),
    )


def _by_rank(
    weights: Floats, risk: Floats, duration: Floats, event: Bools, case_weight: Floats
) -> tuple[Floats, Floats]:
    """As `_by_pair`, in O(N log N)."""
    # By time, events before censorings; risk rises among tied events, so that they never count as concordant.
    rows = np.lexsort((risk, ~event, duration))
    weight = weights[:, rows]
    case, mass = weight * case_weight[rows], _mass(weight)
    end = _run_ends(duration[rows], event[rows])
    comparable = np.einsum("wn,wn->w", case, mass[:, -1:] - mass[:, end])
    concordant = _later_and_lower(risk[rows], case, weight)

    rows = np.lexsort((~event, duration, risk))
    weight = weights[:, rows]
    case, mass = weight * case_weight[rows], _mass(weight)
    end, tie_end = _run_ends(risk[rows], duration[rows], event[rows]), _run_ends(risk[rows])
    return concordant + 0.5 * np.einsum("wn,wn->w", case, mass[:, tie_end] - mass[:, end]), comparable


def _mass(weights: Floats) -> Floats:
    """Weight that lies before each patient, and before the end, "W N+1"."""
    return np.concatenate([np.zeros((len(weights), 1)), np.cumsum(weights, axis=1)], axis=1)


def _run_ends(*columns: NDArray[np.generic]) -> Ints:
    """End of the run of equal rows that each row lies in."""
    first = np.append(True, np.any([column[1:] != column[:-1] for column in columns], axis=0))
    edges = np.append(np.flatnonzero(first), len(columns[0]))
    return np.repeat(edges[1:], np.diff(edges))


def _later_and_lower(risk: Floats, case: Floats, weight: Floats) -> Floats:
    """Sum of case[i] * weight[j] over all i < j with risk[j] < risk[i], "W".

    Pairs within blocks of `CHUNK` rows by a matrix product. Then neighbouring blocks are joined, as in a merge sort:
    the right one is sorted by risk, and a cumulative sum tells each row of the left one how much lies below it.
    """
    size, total, width = len(risk), np.zeros(len(weight)), CHUNK
    for start in range(0, size, CHUNK):
        block = slice(start, start + CHUNK)
        lower = np.triu(risk[block] < risk[block, None], k=1).astype(np.float64)
        total += np.einsum("wn,wn->w", case[:, block], weight[:, block] @ lower.T)
    while width < size:
        for start in range(0, size - width, 2 * width):
            left, right = slice(start, start + width), slice(start + width, start + 2 * width)
            by_risk = np.argsort(risk[right], kind="stable")
            below = _mass(weight[:, right][:, by_risk])
            place = np.searchsorted(risk[right][by_risk], risk[left], side="left")
            total += np.einsum("wn,wn->w", case[:, left], below[:, place])
        width *= 2
    return total


def auc(weights: Floats, marker: Floats, case: Floats, control: Floats, group: Ints) -> Floats:
    """Area under the curve of cases against controls of every weighting, "W", over pairs within a group.

    `case` and `control` are the weight that a patient has as either; ties in `marker` count one half.
    """
    if not len(marker):
        return np.full(len(weights), np.nan)
    order = np.lexsort((marker, group))
    marker, group, case, control = marker[order], group[order], case[order], control[order]
    new_group = np.append(True, group[1:] != group[:-1])
    new_tie = new_group | np.append(True, marker[1:] != marker[:-1])
    tie, block = np.cumsum(new_tie) - 1, np.cumsum(new_group) - 1
    tie_edge = np.append(np.flatnonzero(new_tie), len(marker))
    group_edge = np.append(np.flatnonzero(new_group), len(marker))

    sorted_weights = weights[:, order]
    mass = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(sorted_weights * control, axis=1)], axis=1)
    cases = np.flatnonzero(case > 0)
    weight_of_case = sorted_weights[:, cases] * case[cases]
    start, end = group_edge[block[cases]], group_edge[block[cases] + 1]
    midpoint = 0.5 * (mass[:, tie_edge[tie[cases]]] + mass[:, tie_edge[tie[cases] + 1]])
    top = np.einsum("wn,wn->w", weight_of_case, midpoint - mass[:, start])
    return ratio(top, np.einsum("wn,wn->w", weight_of_case, mass[:, end] - mass[:, start]))


def average_precision(weights: Floats, score: Floats, label: Bools) -> Floats:
    """Area under the precision-recall curve as average precision, "W"; tied scores form one step."""
    if not len(score):
        return np.full(len(weights), np.nan)
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(score[order][1:] != score[order][:-1], True)
    all_above = np.cumsum(weights[:, order], axis=1)[:, last_of_tie]
    true_above = np.cumsum(weights[:, order] * label[order], axis=1)[:, last_of_tie]
    gained = np.diff(true_above, axis=1, prepend=0.0)
    precision = np.divide(true_above, all_above, out=np.zeros_like(true_above), where=all_above > 0)
    return ratio((gained * precision).sum(axis=1), true_above[:, -1])
