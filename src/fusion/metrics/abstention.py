"""Abstention: how good the answers are among the share of patients of whom the model is surest.

Dimension key: N patients, S shares.

Of a response the model is sure where its probability is far from one half. Of survival it is sure where its ensemble
agrees, if there is a column that says so; else where the risk is far from the middle of its fold. Mind the last one: a
C-index among extremes is higher than among all for any model with some order, so a rising curve says little by itself.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.conformal import RESPONSE
from fusion.metrics.weighted import concordance

Floats = NDArray[np.float64]

#: Shares of patients at which a curve is read.
SHARES = np.round(np.arange(0.1, 1.01, 0.1), 2)


@dataclass(frozen=True, kw_only=True)
class AbstentionCurve:
    """A score among the surest patients.

    Attributes:
        score: Which one: `brier` or `error` (lower is better), `c_index` (higher is better).
        confidence: What sureness is.
        share: Share of patients who are answered, "S".
        patients: Their number, mean over repeats, "S".
        values: Score among them, mean over repeats; NaN where undefined, "S".
    """

    score: str
    confidence: str
    share: Floats
    patients: Floats
    values: Floats

    @property
    def area(self) -> float:
        """Mean of the score over the shares at which it is defined."""
        defined = self.values[np.isfinite(self.values)]
        return float(defined.mean()) if len(defined) else float("nan")

    @property
    def gain(self) -> float:
        """Score of all patients minus the area: what choosing by sureness changes on average."""
        return float(self.values[-1]) - self.area


def surest(confidence: Floats, share: float) -> NDArray[np.intp]:
    """Places of the surest `share` of patients, at least one; ties are broken by place.

    >>> surest(np.array([0.1, 0.9, 0.5, 0.4]), 0.5)
    array([1, 2])
    """
    number = min(len(confidence), max(1, round(share * len(confidence))))
    return np.sort(np.argsort(-confidence, kind="stable")[:number])


def response_abstention(predictions: pd.DataFrame, score: str = "brier", visit: int = 0) -> AbstentionCurve:
    """Curve of the response at one visit, of patients whose assessment came after it.

    Args:
        predictions: Columns of `predictions.parquet`.
        score: `brier`, or `error`: share of patients given the wrong class at a cut of one half.
        visit: Number of the visit.

    Raises:
        ValueError: The score is another, or nobody has a response to be scored there.
    """
    if score not in ("brier", "error"):
        raise ValueError(f"score {score} is unknown; choose brier or error")
    rows = predictions[(predictions["task"] == RESPONSE) & (predictions["visit"] == visit)]
    rows = rows[rows["at_risk"].astype(bool) & rows["label"].isin((0, 1))]
    if rows.empty:
        raise ValueError(f"no response lies ahead at visit {visit}; choose an earlier visit of a run with responses")
    curves = []
    for _, inside in rows.groupby("repeat"):
        probability = inside["prob_responder"].to_numpy(dtype=np.float64)
        label = (inside["label"] == 1).to_numpy(dtype=np.float64)
        loss = (probability - label) ** 2 if score == "brier" else (probability >= 0.5) != (label == 1)
        chosen = [surest(np.abs(probability - 0.5), share) for share in SHARES]
        curves.append([(len(places), float(np.mean(loss[places]))) for places in chosen])
    return _curve(score, "distance of the probability from one half", curves)


def survival_abstention(
    predictions: pd.DataFrame, task: str, spread: str | None = None, visit: int = 0
) -> AbstentionCurve:
    """C-index (pairs within a fold) among the surest patients at one visit.

    Args:
        predictions: Columns of `predictions.parquet`.
        task: Endpoint.
        spread: Column that says how far the ensemble disagrees, or how wide an interval is; without it, the distance
            of a patient's risk from the median of its fold, in ranks.
        visit: Number of the visit.

    Raises:
        ValueError: The column is absent, or nobody is at risk at the visit.
    """
    rows = predictions[predictions["task"] == task]
    rows = rows[(rows["visit"] == visit) & rows["at_risk"].astype(bool)]
    if spread is not None and spread not in rows:
        raise ValueError(
            f"the predictions have no column {spread}; leave `spread` out to take the distance of the risk"
        )
    if rows.empty:
        raise ValueError(f"nobody is at risk of {task} at visit {visit}; choose an earlier visit")
    if spread is None:
        ranks = rows.groupby(["repeat", "fold"])["risk"].rank(pct=True, method="average")
        confidence, words = (ranks - 0.5).abs(), "distance of the risk from the median of its fold"
    else:
        confidence, words = -rows[spread].astype(np.float64), f"small {spread}"
    rows = rows.assign(confidence=confidence)
    curves = []
    for _, inside in rows.groupby("repeat"):
        curve = []
        for share in SHARES:
            some = inside.iloc[surest(inside["confidence"].to_numpy(dtype=np.float64), share)]
            event = some["event"].to_numpy(dtype=np.bool_)
            value = concordance(
                np.ones((1, len(some))),
                some["risk"].to_numpy(dtype=np.float64),
                some["duration"].to_numpy(dtype=np.float64),
                event,
                event.astype(np.float64),
                some["fold"].to_numpy(dtype=np.int64),
            )
            curve.append((len(some), float(value[0])))
        curves.append(curve)
    return _curve("c_index", words, curves)


def _curve(score: str, confidence: str, curves: list[list[tuple[int, float]]]) -> AbstentionCurve:
    mean = np.mean(np.asarray(curves, dtype=np.float64), axis=0)
    return AbstentionCurve(
        score=score, confidence=confidence, share=SHARES.copy(), patients=mean[:, 0], values=mean[:, 1]
    )
