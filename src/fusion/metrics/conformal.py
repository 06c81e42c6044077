"""Conformal bounds on the time to an event, and conformal sets of responses, calibrated on held-out predictions.

Dimension key: N rows (visits of patients).

A patient of fold k is bounded by a level learned from the held-out predictions of all folds but k (cross-conformal;
Vovk 2015, Ann. Math. Artif. Intell. 74). Nobody's own outcome, and no outcome of the fold, has part in it. The models
of two folds differ, and each has trained on the other's patients, so the coverage is nominal up to that difference: it
is measured (`fusion.metrics.coverage`), not proved. It holds on average over patients, not for every kind of patient.

Calibration is by visit number, among patients still at risk there. The first visit with too few patients, and all
later ones, share a group that also holds the last visit with enough. Its visits weigh the same, and together as much
as there are patients. Were all patients to weigh the same, those who die soon, and have few visits, would count more.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.conformal_levels import Cut, score_threshold, survival_cut
from fusion.metrics.dynamic import grid_of

Floats = NDArray[np.float64]

RESPONSE = "response"
WHO = ["repeat", "fold", "patient_id", "visit"]
#: Patients still at risk that a visit needs for a level of its own.
FEWEST_AT_RISK = 50
#: Patients of each class that a visit needs for thresholds of its own.
FEWEST_OF_CLASS = 20


@dataclass(frozen=True, kw_only=True)
class BoundLevel:
    """Where to cut the curves of one endpoint at one visit.

    Attributes:
        task: Endpoint.
        visit: Number of the visit.
        later: Whether it stands for this visit and all after it.
        cut: How a bound is read from a curve.
        patients: That it was learned from.
        events: Of these, with an event.
    """

    task: str
    visit: int
    later: bool
    cut: Cut
    patients: int
    events: int


@dataclass(frozen=True, kw_only=True)
class SetThreshold:
    """Which responses stay possible at one visit: those whose probability is at least one minus the threshold.

    Attributes:
        visit: Number of the visit.
        later: Whether it stands for this visit and all after it.
        nonresponder: Threshold of one minus the probability; 1 leaves the class possible always.
        responder: The same.
        patients: That they were learned from.
    """

    visit: int
    later: bool
    nonresponder: float
    responder: float
    patients: int


@dataclass(frozen=True, kw_only=True)
class ConformalRule:
    """What was learned from held-out predictions of a run, to be applied to predictions of others.

    Attributes:
        alpha: Share of patients that may be missed; 0.1 for bounds of 90 %.
        bounds: By endpoint and visit.
        sets: By visit.
    """

    alpha: float
    bounds: tuple[BoundLevel, ...] = ()
    sets: tuple[SetThreshold, ...] = ()

    @classmethod
    def learn(cls, predictions: pd.DataFrame, *, alpha: float = 0.1, label_conditional: bool = True) -> "ConformalRule":
        """Learn from every held-out prediction of a run; in several repeats a patient still counts once.

        Args:
            predictions: Columns of `predictions.parquet`.
            alpha: Share of patients that may be missed.
            label_conditional: Cover each class by itself (Mondrian), rather than both on average.

        Raises:
            ValueError: `alpha` is no share.
        """
        _check_alpha(alpha)
        tasks = [str(task) for task in dict.fromkeys(predictions["task"]) if task != RESPONSE]
        return cls(
            alpha=alpha,
            bounds=tuple(each for task in tasks for each in _bound_levels(predictions, task, alpha)),
            sets=tuple(_set_thresholds(predictions, alpha, label_conditional)),
        )

    def lower_bounds(self, predictions: pd.DataFrame, task: str) -> pd.DataFrame:
        """Bound of every row of an endpoint, in days after its visit.

        Returns:
            `repeat fold patient_id visit` as far as present, `day`, `lower_days` (never beyond the last prediction
            time, nor the day to which enough patients were followed), `level`, `calibrated_on` (words) and
            `calibration_patients`.

        Raises:
            ValueError: The rule knows no such endpoint.
        """
        known = {each.visit: each for each in self.bounds if each.task == task}
        if not known:
            raise ValueError(f"no bound was learned for task {task}; learn from predictions that hold it")
        rows = predictions[predictions["task"] == task]
        columns, times = grid_of(rows)
        curves = rows[columns].to_numpy(dtype=np.float64)
        group = np.array([_group(known, int(visit)) for visit in rows["visit"]], dtype=np.int64)
        chosen = [known[visit] for visit in group]
        lower = np.zeros(len(rows))
        for visit in np.unique(group):
            lower[group == visit] = known[visit].cut.lower(curves[group == visit], times)
        return rows[[name for name in (*WHO, "day") if name in rows]].assign(
            lower_days=lower,
            level=[each.cut.level for each in chosen],
            calibrated_on=[_words(each.visit, each.later) for each in chosen],
            calibration_patients=[each.patients for each in chosen],
        )

    def response_sets(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Responses that stay possible at every row of the task `response`; neither, where the patient fits no class.

        Returns:
            `repeat fold patient_id visit` as far as present, `day`, `can_be_nonresponder`, `can_be_responder`,
            `calibrated_on` and `calibration_patients`.

        Raises:
            ValueError: The rule knows no responses.
        """
        known = {each.visit: each for each in self.sets}
        if not known:
            raise ValueError("no response set was learned; learn from predictions with the task `response`")
        rows = predictions[predictions["task"] == RESPONSE]
        chosen = [known[_group(known, int(visit))] for visit in rows["visit"]]

        def possible(name: str) -> NDArray[np.bool_]:
            threshold = np.array([getattr(each, name) for each in chosen], dtype=np.float64)
            return np.asarray(1.0 - rows[f"prob_{name}"].to_numpy(dtype=np.float64) <= threshold)

        return rows[[name for name in (*WHO, "day") if name in rows]].assign(
            can_be_nonresponder=possible("nonresponder"),
            can_be_responder=possible("responder"),
            calibrated_on=[_words(each.visit, each.later) for each in chosen],
            calibration_patients=[each.patients for each in chosen],
        )

    def to_json(self) -> str:
        """The rule as text; it holds counts and levels, and no patient."""
        return json.dumps({"schema": 1, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "ConformalRule":
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is of another schema, or no such text.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("schema") != 1:
            raise ValueError("this is no conformal rule of schema 1; write it again with `ConformalRule.to_json`")
        return cls(
            alpha=float(found["alpha"]),
            bounds=tuple(BoundLevel(**{**each, "cut": Cut(**each["cut"])}) for each in found["bounds"]),
            sets=tuple(SetThreshold(**each) for each in found["sets"]),
        )


def conformal_bounds(predictions: pd.DataFrame, task: str, alpha: float = 0.1) -> pd.DataFrame:
    """Lower bound on the time to the event, of every held-out prediction, from the other folds of its repeat.

    Args:
        predictions: Columns of `predictions.parquet`.
        task: Endpoint.
        alpha: Share of patients whose event may come before their bound.

    Returns:
        One row per repeat, fold, patient and visit; see `ConformalRule.lower_bounds`. A row that is no longer at risk
        is answered as if it were.

    Raises:
        ValueError: The endpoint is absent, a repeat has one fold alone, or `alpha` is no share.
    """
    rows = predictions[predictions["task"] == task]

    def learn(others: pd.DataFrame) -> ConformalRule:
        return ConformalRule.learn(others, alpha=alpha)

    return _across_folds(rows, task, learn, lambda rule, own: rule.lower_bounds(own, task))


def conformal_sets(predictions: pd.DataFrame, alpha: float = 0.1, *, label_conditional: bool = True) -> pd.DataFrame:
    """Responses that stay possible, of every held-out prediction, from the other folds of its repeat.

    Args:
        predictions: Columns of `predictions.parquet`.
        alpha: Share of patients whose response may be missing from their set.
        label_conditional: Hold that share among responders and among non-responders, rather than on average.

    Returns:
        One row per repeat, fold, patient and visit; see `ConformalRule.response_sets`.

    Raises:
        ValueError: There is no task `response`, a repeat has one fold alone, or `alpha` is no share.
    """
    rows = predictions[predictions["task"] == RESPONSE]

    def learn(others: pd.DataFrame) -> ConformalRule:
        return ConformalRule.learn(others, alpha=alpha, label_conditional=label_conditional)

    return _across_folds(rows, RESPONSE, learn, lambda rule, own: rule.response_sets(own))


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}; 0.1 gives bounds of 90 %")


def _across_folds(
    rows: pd.DataFrame,
    task: str,
    learn: Callable[[pd.DataFrame], ConformalRule],
    apply: Callable[[ConformalRule, pd.DataFrame], pd.DataFrame],
) -> pd.DataFrame:
    if rows.empty:
        raise ValueError(f"there is no prediction of task {task}; name a task of the run")
    parts = []
    for repeat, inside in rows.groupby("repeat"):
        if inside["fold"].nunique() < 2:
            raise ValueError(
                f"repeat {repeat} of task {task} has one fold alone, so nobody else is held out to calibrate on; "
                "train with at least two folds"
            )
        for _, own in inside.groupby("fold"):
            # By patient as well as by fold: nobody may be judged by an outcome of their own.
            others = inside[(inside["fold"] != own["fold"].iloc[0]) & ~inside["patient_id"].isin(own["patient_id"])]
            parts.append(apply(learn(others), own))
    return pd.concat(parts).sort_index()


def _words(visit: int, later: bool) -> str:
    return f"visits from {visit}" if later else f"visit {visit}"


def _group(known: dict[int, BoundLevel] | dict[int, SetThreshold], visit: int) -> int:
    """Visit whose group a visit belongs to: its own, or the last one."""
    return visit if visit in known else max(known)


def _groups(rows: pd.DataFrame, enough: Callable[[pd.DataFrame], bool]) -> Iterator[tuple[int, bool, pd.DataFrame]]:
    """Visits with enough patients, each by itself, then all from the last of these on; with the weight of every row."""
    visit = 0
    while enough(rows[rows["visit"] == visit]):
        yield visit, False, _weighed(rows[rows["visit"] == visit])
        visit += 1
    # This group has a number of its own, so that the last visit with enough patients keeps a level of its own too.
    yield visit, True, _weighed(rows[rows["visit"] >= max(visit - 1, 0)])


def _weighed(rows: pd.DataFrame) -> pd.DataFrame:
    """With the weight of every row: all the same, and in sum the number of patients."""
    return rows.assign(weight=rows["patient_id"].nunique() / max(len(rows), 1))


def _bound_levels(predictions: pd.DataFrame, task: str, alpha: float) -> Iterator[BoundLevel]:
    rows = predictions[(predictions["task"] == task) & predictions["at_risk"].astype(bool)]
    columns, times = grid_of(rows)
    for visit, later, group in _groups(rows, lambda some: some["patient_id"].nunique() >= FEWEST_AT_RISK):
        event = group["event"].to_numpy(dtype=np.bool_)
        curves, duration = group[columns].to_numpy(dtype=np.float64), group["duration"].to_numpy(dtype=np.float64)
        cut = survival_cut(curves, times, duration, event, group["weight"].to_numpy(dtype=np.float64), alpha)
        yield BoundLevel(
            task=task,
            visit=visit,
            later=later,
            cut=cut,
            patients=int(group["patient_id"].nunique()),
            events=int(group.loc[event, "patient_id"].nunique()),
        )


def _set_thresholds(predictions: pd.DataFrame, alpha: float, label_conditional: bool) -> Iterator[SetThreshold]:
    rows = predictions[(predictions["task"] == RESPONSE) & predictions["at_risk"].astype(bool)]
    if rows.empty:
        return
    rows = rows[rows["label"].isin((0, 1))]
    given = rows["prob_responder"].where(rows["label"] == 1, rows["prob_nonresponder"]).astype(np.float64)
    rows = rows.assign(score=1.0 - given)

    def enough(some: pd.DataFrame) -> bool:
        return all(some.loc[some["label"] == label, "patient_id"].nunique() >= FEWEST_OF_CLASS for label in (0, 1))

    for visit, later, group in _groups(rows, enough):
        found = []
        for label in (0, 1):
            used = group[group["label"] == label] if label_conditional else group
            score, weight = used["score"].to_numpy(dtype=np.float64), used["weight"].to_numpy(dtype=np.float64)
            found.append(score_threshold(score, weight, alpha))
        yield SetThreshold(
            visit=visit,
            later=later,
            nonresponder=found[0],
            responder=found[1],
            patients=int(group["patient_id"].nunique()),
        )
