"""The log-rank test between any number of groups."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc


def log_rank(duration: NDArray[np.float64], event: NDArray[np.bool_], group: NDArray[np.int64]) -> float:
    """P value of the hypothesis that all groups share one hazard; NaN with fewer than two groups or no event.

    >>> round(log_rank(np.arange(1.0, 9.0), np.ones(8, dtype=bool), np.repeat([1, 0], 4)), 4)
    0.0067
    """
    groups = np.unique(group)
    if len(groups) < 2 or not event.any():
        return float("nan")
    times = np.unique(duration[event])
    member = group == groups[:, None]
    at_risk = np.array([(duration[mine][:, None] >= times).sum(axis=0) for mine in member], dtype=np.float64)
    dead = np.array([(duration[mine & event][:, None] == times).sum(axis=0) for mine in member], dtype=np.float64)
    total, events = at_risk.sum(axis=0), dead.sum(axis=0)
    share = at_risk / total
    surplus = (dead - share * events).sum(axis=1)
    scale = events * (total - events) / np.maximum(total - 1, 1)
    variance = np.diag((share * scale).sum(axis=1)) - (share * scale) @ share.T
    statistic = surplus[:-1] @ np.linalg.pinv(variance[:-1, :-1]) @ surplus[:-1]  # the groups' surpluses sum to zero
    return float(chdtrc(len(groups) - 1, statistic))
