"""From a table of predictions to what is scored at one prediction time: the baseline visit, or a landmark day.

Dimension key: N rows (patients), Q times after the prediction, H horizons.

At landmark s a patient counts if the event time lies after s, with the prediction of the last visit by day s, and the
residual time T - s. Those whose event came before are left out: keeping them flatters every model (on PBC2 a landmark
Cox gains .10 of C). The survival of a visit v is turned into that of s, given alive at s:
S_v(s + w - v) / S_v(s - v), read linearly between the points of the grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.functional import read_curves
from fusion.metrics.response import HeldOutResponse
from fusion.metrics.survival import HeldOut, Training
from fusion.survival import censoring_survival, kaplan_meier

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
TrainingPatients = Mapping[tuple[int, int], frozenset[str]]

PREFIX = "survival_"
#: Day plus duration is rounded to so many decimals: float32 noise must not break ties between patients.
DECIMALS = 3


@dataclass(frozen=True)
class ModelTable:
    """Out-of-fold predictions of one model, and the splits that they came from.

    Attributes:
        predictions: Columns of `predictions.parquet`.
        splits: Columns `repeat`, `fold`, `patient_id`, `part`.
    """

    predictions: pd.DataFrame
    splits: pd.DataFrame

    def training_patients(self) -> TrainingPatients:
        """Patients of every (repeat, fold) that were not held out; validation patients are no test patients either."""
        return self._training_patients

    @cached_property
    def _training_patients(self) -> TrainingPatients:
        inside = self.splits[self.splits["part"] != "test"]
        return {
            (int(repeat), int(fold)): frozenset(ids.astype(str))
            for (repeat, fold), ids in inside.groupby(["repeat", "fold"])["patient_id"]
        }


def grid_of(rows: pd.DataFrame) -> tuple[list[str], Floats]:
    """Names and days of the survival columns, in order of time."""
    days = {float(str(name).removeprefix(PREFIX)): str(name) for name in rows.columns if str(name).startswith(PREFIX)}
    return [days[day] for day in sorted(days)], np.array(sorted(days), dtype=np.float64)


def conditional_survival(survival: Floats, times: Floats, elapsed: Floats, after: Floats) -> Floats:
    """Probability of no event within `after` days of now, given none in the `elapsed` days since the visit, "N H".

    Args:
        survival: Curve from the visit, "N Q".
        times: Days after the visit of its columns, "Q".
        elapsed: Days between the visit and now, "N".
        after: Days from now, "H".
    """
    if not len(times):
        return np.full((len(survival), len(after)), np.nan)
    now = read_curves(survival, times, elapsed[:, None])
    then = read_curves(survival, times, elapsed[:, None] + after)
    # A curve that has fallen to zero by now predicted that this patient would be dead; it says zero from here on too.
    return np.where(now > 0, np.clip(then / np.where(now > 0, now, 1.0), 0.0, 1.0), np.where(np.isnan(then), then, 0.0))


def one_visit_earlier(table: ModelTable) -> ModelTable:
    """The same predictions, each offered only from the patient's next visit on: what the last visit added is missing.

    The day from which a prediction may be used is in the column `offered`; a patient's last prediction is never.
    """
    rows = table.predictions.sort_values(["task", "repeat", "fold", "patient_id", "visit"])
    offered = rows.groupby(["task", "repeat", "fold", "patient_id"])["day"].shift(-1)
    return ModelTable(rows.assign(offered=offered)[offered.notna()], table.splits)


def last_by(rows: pd.DataFrame, landmark: float) -> pd.DataFrame:
    """The last prediction of each repeat and patient that may be used on a day."""
    known = rows[rows["offered" if "offered" in rows else "day"] <= landmark].sort_values(["day", "visit"])
    return known.groupby(["repeat", "fold", "patient_id"]).tail(1)


def rows_at(rows: pd.DataFrame, landmark: float | None) -> pd.DataFrame:
    """Predictions to score at a landmark (None: at the baseline visit), one per repeat and patient.

    Adds `elapsed`, days from the visit to the prediction time, and `residual`, days from there to the event.
    """
    if landmark is None:
        first = rows[(rows["visit"] == 0) & rows["at_risk"].astype(bool)]
        return first.assign(elapsed=0.0, residual=first["duration"].round(DECIMALS))
    last = last_by(rows[rows["at_risk"].astype(bool)], landmark)
    residual = (last["day"] + last["duration"]).round(DECIMALS) - landmark
    last = last.assign(elapsed=landmark - last["day"], residual=residual)
    return last[last["residual"] > 0]


def response_rows_at(rows: pd.DataFrame, landmark: float | None) -> pd.DataFrame:
    """Predictions of a response to score at a landmark (None: at the baseline visit), one per repeat and patient.

    A patient whose last visit by the landmark was no longer before the assessment is left out, rather than scored
    with an older prediction.
    """
    last = rows[rows["visit"] == 0] if landmark is None else last_by(rows, landmark)
    return last[last["at_risk"].astype(bool)]


def _training(outcomes: pd.DataFrame, inside: frozenset[str]) -> Training:
    """Curves of the training patients; of the scored ones where no training outcome is at hand (external data)."""
    train = outcomes[outcomes.index.isin(inside)]
    train = outcomes if train.empty else train
    duration, event = train["residual"].to_numpy(dtype=np.float64), train["event"].to_numpy(dtype=np.bool_)
    return Training(censoring=censoring_survival(duration, event), survival=kaplan_meier(duration, event))


def _risk_groups(rows: pd.DataFrame) -> Ints:
    """Risk group of every row; -1, neither low nor high, where the table has none."""
    groups = rows["risk_group"] if "risk_group" in rows else pd.Series(-1, index=rows.index)
    return groups.fillna(-1).to_numpy(dtype=np.int64)


def held_out(
    rows: pd.DataFrame,
    landmark: float | None,
    training_patients: TrainingPatients,
    place: Mapping[str, int],
    horizons: Sequence[float],
) -> list[HeldOut]:
    """Build what is scored in every repeat.

    The outcomes of a fold's training part are read from the predictions themselves, in which every patient is held
    out once: event times of those at risk at the landmark.

    Args:
        rows: One model's predictions for one endpoint.
        landmark: Day, or None for the baseline visit.
        training_patients: See `ModelTable.training_patients`.
        place: Place of every patient to be scored in the list of all patients.
        horizons: Days after the prediction time.
    """
    chosen = rows_at(rows, landmark)
    chosen = chosen.assign(patient_id=chosen["patient_id"].astype(str))
    missing = chosen.loc[~np.isfinite(chosen["risk"]), "patient_id"]
    if len(missing):
        raise ValueError(
            f"no risk is predicted for patient {missing.iloc[0]} and {len(missing) - 1} more; predict again"
        )
    outcomes = chosen.drop_duplicates("patient_id").set_index("patient_id")
    columns, grid = grid_of(chosen)
    times = np.union1d(grid, np.asarray(horizons, dtype=np.float64))
    tables = []
    for repeat, group in chosen[chosen["patient_id"].isin(place)].groupby("repeat"):
        curves = group[columns].to_numpy(dtype=np.float64)
        folds = group["fold"].to_numpy(dtype=np.int64)
        tables.append(
            HeldOut(
                patient=np.array([place[patient] for patient in group["patient_id"]], dtype=np.int64),
                fold=folds,
                duration=group["residual"].to_numpy(dtype=np.float64),
                event=group["event"].to_numpy(dtype=np.bool_),
                risk=group["risk"].to_numpy(dtype=np.float64),
                risk_group=_risk_groups(group),
                survival=conditional_survival(curves, grid, group["elapsed"].to_numpy(dtype=np.float64), times),
                times=times,
                training={
                    int(fold): _training(outcomes, training_patients.get((int(repeat), int(fold)), frozenset()))
                    for fold in np.unique(folds)
                },
            )
        )
    return tables


def held_out_response(
    rows: pd.DataFrame,
    landmark: float | None,
    training_patients: TrainingPatients,
    place: Mapping[str, int],
) -> list[HeldOutResponse]:
    """Build what is scored in every repeat for a response: patients whose assessment came after their last visit."""
    rows = rows.assign(patient_id=rows["patient_id"].astype(str))
    labels = rows[rows["at_risk"].astype(bool)].drop_duplicates("patient_id").set_index("patient_id")["label"] == 1
    chosen = response_rows_at(rows, landmark)
    missing = chosen.loc[~np.isfinite(chosen["prob_responder"]), "patient_id"]
    if len(missing):
        raise ValueError(f"no response is predicted for patient {missing.iloc[0]} and {len(missing) - 1} more")
    tables = []
    for repeat, group in chosen[chosen["patient_id"].isin(place)].groupby("repeat"):
        folds = group["fold"].to_numpy(dtype=np.int64)
        threshold = {}
        for fold in np.unique(folds):
            train = labels[labels.index.isin(training_patients.get((int(repeat), int(fold)), frozenset()))]
            threshold[int(fold)] = float((labels if train.empty else train).mean())
        tables.append(
            HeldOutResponse(
                patient=np.array([place[patient] for patient in group["patient_id"]], dtype=np.int64),
                fold=folds,
                label=(group["label"] == 1).to_numpy(dtype=np.bool_),
                probability=group["prob_responder"].to_numpy(dtype=np.float64),
                threshold=threshold,
            )
        )
    return tables
