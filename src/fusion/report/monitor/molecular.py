"""Molecular response: how far tumour DNA in plasma has fallen since before treatment, sample by sample."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

#: Calls of a sample. A sample is only called against a baseline in which tumour DNA was found.
BASELINE, NO_CALL, RISE, LESS, HALF, NINETY, CLEARED = (
    "baseline",
    "no call",
    "rise",
    "fall under 50 %",
    "fall of 50 % or more",
    "fall of 90 % or more",
    "clearance",
)


@dataclass(frozen=True)
class MolecularCall:
    """The call of one sample.

    Attributes:
        call: One of the words above.
        fall: Share by which the value lies below baseline, below zero where it rose; None where there is no call. Of a
            cleared sample it is what can be said at least, from the limit of detection.
        detected: Whether tumour DNA was found.
    """

    call: str
    fall: float | None
    detected: bool


def molecular_calls(
    day: Float[np.ndarray, " N"],
    value: Float[np.ndarray, " N"],
    lod: Float[np.ndarray, " N"],
    detected: Float[np.ndarray, " N"],
) -> list[MolecularCall]:
    """Call every sample of one patient.

    Baseline is the last sample on or before day 0. Falls of 50 % and 90 % and clearance (not detected, after a
    baseline in which it was) are the calls of trials of ctDNA-guided therapy; a rise is any value above baseline.

    Args:
        day: Day of the draw, in order of time.
        value: Tumour fraction or another measure of tumour DNA, known.
        lod: Limit of detection of the sample; NaN where not told.
        detected: 1 or 0; NaN where not told, and then a value above the limit (above 0 without one) counts as found.

    >>> import numpy as np
    >>> calls = molecular_calls(np.array([0.0, 20.0, 40.0]), np.array([0.1, 0.04, 0.0]), np.full(3, 0.001),
    ...                         np.full(3, np.nan))
    >>> [(each.call, each.fall and round(each.fall, 2)) for each in calls]
    [('baseline', None), ('fall of 50 % or more', 0.6), ('clearance', 0.99)]
    """
    limit, found = _limit_and_found(value, lod, detected)
    before = np.flatnonzero(day <= 0)
    start = int(before[-1]) if len(before) else None
    base = float(value[start]) if start is not None and found[start] and value[start] > 0 else None
    calls = []
    for i in range(len(day)):
        here = bool(found[i])
        if start is not None and i <= start:
            calls.append(MolecularCall(BASELINE if i == start else NO_CALL, None, here))
        elif base is None:
            calls.append(MolecularCall(NO_CALL, None, here))
        elif not here:
            least = 1 - float(limit[i]) / base
            calls.append(MolecularCall(CLEARED, least if limit[i] > 0 and least > 0 else None, False))
        else:
            fall = 1 - float(value[i]) / base
            calls.append(MolecularCall(_word(fall), fall, True))
    return calls


def _word(fall: float) -> str:
    # Rounding of a recorded value must not decide whether half was reached.
    for least, word in ((0.9, NINETY), (0.5, HALF), (0.0, LESS)):
        if fall >= least - 1e-9:
            return word
    return RISE


def times_lowest(
    day: Float[np.ndarray, " N"],
    value: Float[np.ndarray, " N"],
    lod: Float[np.ndarray, " N"],
    detected: Float[np.ndarray, " N"],
) -> Float[np.ndarray, " N"]:
    """Each sample that was detected as a multiple of the lowest one before it.

    An undetected sample counts as its limit of detection, so a rise from clearance is what can be said at least. NaN
    for a first sample, for one that was not detected, and after a lowest value of zero without a limit.

    >>> import numpy as np
    >>> blank = np.full(3, np.nan)
    >>> times_lowest(np.array([0.0, 20.0, 40.0]), np.array([0.1, 0.02, 0.05]), blank, blank).round(1)
    array([nan, 0.2, 2.5])
    """
    limit, found = _limit_and_found(value, lod, detected)
    level = np.where(found, value, limit)
    lowest = np.concatenate([[np.nan], np.minimum.accumulate(level)[:-1]])[: len(day)]
    usable = found & (lowest > 0)
    return np.where(usable, level / np.where(usable, lowest, 1.0), np.nan)


def _limit_and_found(
    value: NDArray[np.float64], lod: NDArray[np.float64], detected: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    limit = np.where(np.isnan(lod), 0.0, lod)
    return limit, np.where(np.isnan(detected), value > limit, detected > 0)
