"""How well predictions rank patients at one prediction time, with a bootstrap interval by patient."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.dataset import RESPONSE
from fusion.metrics.bootstrap import average, patient_weights, replicate
from fusion.metrics.dynamic import rows_at
from fusion.metrics.weighted import concordance

Floats = NDArray[np.float64]
#: Fewer events than this and a rank is not judged.
FEWEST_EVENTS = 20


@dataclass(frozen=True)
class Rank:
    """C-index of a time, or AUROC of a response.

    Attributes:
        value: Mean over repeats; NaN where no two patients can be compared.
        low: Lower end of the interval.
        high: Upper end.
        patients: Patients scored.
        events: Events among them; of a response the rarer class.
    """

    value: float
    low: float
    high: float
    patients: int
    events: int

    @property
    def judgeable(self) -> bool:
        """Whether there are events enough."""
        return self.events >= FEWEST_EVENTS and bool(np.isfinite([self.value, self.low, self.high]).all())

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def baseline_rows(predictions: pd.DataFrame, task: str) -> pd.DataFrame:
    """Predictions of a task at the baseline visit, a response as a time: responders come first."""
    rows = predictions[predictions["task"] == task]
    if task != RESPONSE:
        return rows_at(rows, None)
    rows = rows[(rows["visit"] == 0) & rows["at_risk"].astype(bool)]
    responder = rows["label"] == 1
    return rows.assign(event=responder, residual=np.where(responder, 1.0, 2.0), risk=rows["prob_responder"])


def rank_of(rows: pd.DataFrame, level: float = 0.99, resamples: int = 1000) -> Rank:
    """Concordance of `risk` with `residual` and `event`, patients compared within their fold, repeats averaged.

    Args:
        rows: `repeat`, `fold`, `patient_id`, `risk`, `residual`, `event`; one row per repeat and patient.
        level: Of the interval.
        resamples: Bootstrap resamples of patients.
    """
    place = {patient: number for number, patient in enumerate(pd.unique(rows["patient_id"]))}
    weights = patient_weights(len(place), resamples, seed=0)
    repeats = []
    for _, group in rows.groupby("repeat"):
        event, fold = group["event"].to_numpy(dtype=np.bool_), group["fold"].to_numpy(dtype=np.int64)
        risk, residual = (group[name].to_numpy(dtype=np.float64) for name in ("risk", "residual"))

        def statistic(
            weight: Floats,
            risk: Floats = risk,
            residual: Floats = residual,
            event: NDArray[np.bool_] = event,
            fold: NDArray[np.int64] = fold,
        ) -> dict[str, Floats]:
            return {"rank": concordance(weight, risk, residual, event, event.astype(np.float64), fold)}

        repeats.append(replicate(statistic, weights, group["patient_id"].map(place).to_numpy(dtype=np.int64)))
    values = average(repeats)["rank"] if repeats else np.full(resamples + 1, np.nan)
    known = values[1:][np.isfinite(values[1:])]
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = np.percentile(known, tails) if len(known) else (np.nan, np.nan)
    first = rows.drop_duplicates("patient_id")
    events, others = int(first["event"].sum()), int((~first["event"].astype(bool)).sum())
    response = bool((rows["task"] == RESPONSE).all()) if "task" in rows else False
    return Rank(
        value=float(values[0]),
        low=float(low),
        high=float(high),
        patients=len(first),
        events=min(events, others) if response else events,
    )
