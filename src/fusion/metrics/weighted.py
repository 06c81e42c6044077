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

    `case_weight` is the weight of a pair by its earlier member: `event` for Harrell, 1 / G(T-)^2 for Uno. Memory is
    O(N) in patients: cases are taken `CHUNK` at a time.
    """
    top, bottom = np.zeros(len(weights)), np.zeros(len(weights))
    for member in np.unique(group):
        inside = np.flatnonzero(group == member)
        cases = inside[case_weight[inside] > 0]
        weights_of_group, later = weights[:, inside], ~event[inside]
        for start in range(0, len(cases), CHUNK):
            rows = cases[start : start + CHUNK]
            gap = duration[inside] - duration[rows, None]
            comparable = (gap > 0) | ((gap == 0) & later)
            order = np.sign(risk[rows, None] - risk[inside])
            weight_of_case = weights[:, rows] * case_weight[rows]
            bottom += np.einsum("wn,wn->w", weight_of_case, weights_of_group @ comparable.T.astype(np.float64))
            top += np.einsum("wn,wn->w", weight_of_case, weights_of_group @ (comparable * (0.5 + 0.5 * order)).T)
    return ratio(top, bottom)


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
