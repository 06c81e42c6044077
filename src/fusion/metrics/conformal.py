"""Conformal rules: lower bounds on the time to an event and sets of responses, learned from held-out predictions.

Dimension key: N rows (visits of patients).

Calibration is by visit number, among patients still at risk there. The first visit with too few patients, and all
later ones, share a group that also holds the last visit with enough. Its visits weigh the same, and together as much
as there are patients. Were all patients to weigh the same, those who die soon, and have few visits, would count more.

With a covariate, a class of patients that is large enough has levels of its own (Mondrian conformal prediction; Vovk,
Gammerman & Shafer 2005, Algorithmic Learning in a Random World, ch. 4.5): the share is then held in that class too, by
fewer patients and so less exactly. All others take the levels of all patients.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

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
#: Patients of a group still at risk that it needs at a visit for a level of its own.
FEWEST_OF_GROUP = 40


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
        group: Class of patients that it is for; empty: all.
    """

    task: str
    visit: int
    later: bool
    cut: Cut
    patients: int
    events: int
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class SetThreshold:
    """Which responses stay possible at one visit: those whose probability is at least one minus the threshold.

    Attributes:
        visit: Number of the visit.
        later: Whether it stands for this visit and all after it.
        nonresponder: Threshold of one minus the probability; 1 leaves the class possible always.
        responder: The same.
        patients: That they were learned from, or of the group those at this visit.
        group: Class of patients that it is for; empty: all.
    """

    visit: int
    later: bool
    nonresponder: float
    responder: float
    patients: int
    group: str = ""


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
    def learn(
        cls,
        predictions: pd.DataFrame,
        *,
        alpha: float = 0.1,
        label_conditional: bool = True,
        groups: Mapping[str, str] | None = None,
    ) -> "ConformalRule":
        """Learn from every held-out prediction of a run; in several repeats a patient still counts once.

        Args:
            predictions: Columns of `predictions.parquet`.
            alpha: Share of patients that may be missed.
            label_conditional: Cover each class by itself (Mondrian), rather than both on average.
            groups: Class of each patient, such as the stage; those that are large enough get bounds of their own, and
                its responders, or its others, a threshold of their own.

        Raises:
            ValueError: `alpha` is no share.
        """
        _check_alpha(alpha)
        tasks = [str(task) for task in dict.fromkeys(predictions["task"]) if task != RESPONSE]
        return cls(
            alpha=alpha,
            bounds=tuple(each for task in tasks for each in _levels_by_group(predictions, task, alpha, groups or {})),
            sets=tuple(_set_thresholds(predictions, alpha, label_conditional, groups or {})),
        )

    def lower_bounds(
        self, predictions: pd.DataFrame, task: str, groups: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """Bound of every row of an endpoint, in days after its visit.

        Args:
            predictions: Columns of `predictions.parquet`; no outcome is looked at.
            task: Endpoint.
            groups: Class of each patient, where the rule was learned with classes.

        Returns:
            `repeat fold patient_id visit` as far as present, `day`, `lower_days` (never beyond the last prediction
            time, nor the day to which enough patients were followed), `level`, `calibrated_on` (words) and
            `calibration_patients`.

        Raises:
            ValueError: The rule knows no such endpoint.
        """
        known = [each for each in self.bounds if each.task == task]
        if not known:
            raise ValueError(f"no bound was learned for task {task}; learn from predictions that hold it")
        rows = predictions[predictions["task"] == task]
        columns, times = grid_of(rows)
        curves = rows[columns].to_numpy(dtype=np.float64)
        place = _places(known, rows, groups or {})
        chosen = [known[number] for number in place]
        lower = np.zeros(len(rows))
        for number in np.unique(place):
            lower[place == number] = known[number].cut.lower(curves[place == number], times)
        return rows[[name for name in (*WHO, "day") if name in rows]].assign(
            lower_days=lower,
            level=[each.cut.level for each in chosen],
            calibrated_on=[_words(each.visit, each.later, each.group) for each in chosen],
            calibration_patients=[each.patients for each in chosen],
        )

    def response_sets(self, predictions: pd.DataFrame, groups: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Responses that stay possible at every row of the task `response`; neither, where the patient fits no class.

        Args:
            predictions: Columns of `predictions.parquet`; no outcome is looked at.
            groups: Class of each patient, where the rule was learned with classes.

        Returns:
            `repeat fold patient_id visit` as far as present, `day`, `can_be_nonresponder`, `can_be_responder`,
            `calibrated_on` and `calibration_patients`.

        Raises:
            ValueError: The rule knows no responses.
        """
        if not self.sets:
            raise ValueError("no response set was learned; learn from predictions with the task `response`")
        rows = predictions[predictions["task"] == RESPONSE]
        chosen = [self.sets[place] for place in _places(self.sets, rows, groups or {})]

        def possible(name: str) -> NDArray[np.bool_]:
            threshold = np.array([getattr(each, name) for each in chosen], dtype=np.float64)
            return np.asarray(1.0 - rows[f"prob_{name}"].to_numpy(dtype=np.float64) <= threshold)

        return rows[[name for name in (*WHO, "day") if name in rows]].assign(
            can_be_nonresponder=possible("nonresponder"),
            can_be_responder=possible("responder"),
            calibrated_on=[_words(each.visit, each.later, each.group) for each in chosen],
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


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}; 0.1 gives bounds of 90 %")


def _words(visit: int, later: bool, group: str = "") -> str:
    return (f"visits from {visit}" if later else f"visit {visit}") + (f", {group}" if group else "")


def _group(known: Mapping[int, object], visit: int) -> int:
    """Visit whose group a visit belongs to: its own, or the last one."""
    return visit if visit in known else max(known)


def _places(
    known: Sequence[BoundLevel | SetThreshold], rows: pd.DataFrame, groups: Mapping[str, str]
) -> NDArray[np.int64]:
    """Which of them each row takes: that of its class at its visit where there is one, else that of all patients."""
    everyone = {each.visit: number for number, each in enumerate(known) if not each.group}
    own = {(each.group, each.visit): number for number, each in enumerate(known) if each.group}
    classes = [groups.get(str(patient), "") for patient in rows["patient_id"]]
    pairs = zip(classes, rows["visit"].astype(int), strict=True)
    found = [own.get((group, visit), everyone[_group(everyone, visit)]) for group, visit in pairs]
    return np.array(found, dtype=np.int64)


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


def _bound_levels(
    predictions: pd.DataFrame, task: str, alpha: float, fewest: int = FEWEST_AT_RISK
) -> Iterator[BoundLevel]:
    rows = predictions[(predictions["task"] == task) & predictions["at_risk"].astype(bool)]
    columns, times = grid_of(rows)
    for visit, later, group in _groups(rows, lambda some: some["patient_id"].nunique() >= fewest):
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


def _levels_by_group(
    predictions: pd.DataFrame, task: str, alpha: float, groups: Mapping[str, str]
) -> Iterator[BoundLevel]:
    """Levels of all patients, then those of every class at the visits at which enough of it are at risk."""
    yield from _bound_levels(predictions, task, alpha)
    classes = predictions["patient_id"].astype(str).map(groups)
    for name in _named(groups):
        for level in _bound_levels(predictions[classes == name], task, alpha, FEWEST_OF_GROUP):
            if not level.later:
                yield replace(level, group=name)


def _named(groups: Mapping[str, str]) -> list[str]:
    """Classes that have a name, in order."""
    return sorted(set(groups.values()) - {""})


def _set_thresholds(
    predictions: pd.DataFrame, alpha: float, label_conditional: bool, groups: Mapping[str, str]
) -> Iterator[SetThreshold]:
    """Thresholds of all patients, then at the visits that have some those of every class with enough of a label.

    Of the label of which a class has too few it takes the threshold of all.
    """
    rows = predictions[(predictions["task"] == RESPONSE) & predictions["at_risk"].astype(bool)]
    if rows.empty:
        return
    rows = rows[rows["label"].isin((0, 1))]
    given = rows["prob_responder"].where(rows["label"] == 1, rows["prob_nonresponder"]).astype(np.float64)
    rows = rows.assign(score=1.0 - given, group=rows["patient_id"].astype(str).map(groups))

    def enough(some: pd.DataFrame) -> bool:
        return all(some.loc[some["label"] == label, "patient_id"].nunique() >= FEWEST_OF_CLASS for label in (0, 1))

    def threshold(used: pd.DataFrame) -> float:
        score, weight = used["score"].to_numpy(dtype=np.float64), used["weight"].to_numpy(dtype=np.float64)
        return score_threshold(score, weight, alpha)

    for visit, later, all_of_it in _groups(rows, enough):
        used = [all_of_it[all_of_it["label"] == label] if label_conditional else all_of_it for label in (0, 1)]
        nonresponder, responder = (threshold(some) for some in used)
        everyone = SetThreshold(
            visit=visit,
            later=later,
            nonresponder=nonresponder,
            responder=responder,
            patients=int(all_of_it["patient_id"].nunique()),
        )
        yield everyone
        if later or not label_conditional:
            continue
        for name in _named(groups):
            mine = [some[some["group"] == name] for some in used]
            many = [some["patient_id"].nunique() >= FEWEST_OF_GROUP for some in mine]
            if any(many):
                yield replace(
                    everyone,
                    nonresponder=threshold(_weighed(mine[0])) if many[0] else nonresponder,
                    responder=threshold(_weighed(mine[1])) if many[1] else responder,
                    patients=int(pd.concat(mine)["patient_id"].nunique()),
                    group=name,
                )
