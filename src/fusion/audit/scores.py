"""Whether the scores of a run are what its predictions and the outcomes say: who was counted, and with what weights."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.audit.finding import Finding, judged
from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.data.targets import endpoint_of, survival_tasks
from fusion.metrics import FUSION

Floats = NDArray[np.float64]
#: Durations are saved in single precision.
DAY_TOLERANCE = 1e-2
BRIER_TOLERANCE = 1e-6


def end_of(cohort: Cohort, task: str) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Day and flag of an endpoint by patient; NaN where unknown."""
    endpoint = endpoint_of(task, cohort.endpoints)
    days = cohort.outcomes[f"{endpoint}_days"].astype("Float64").astype(float)
    event = cohort.outcomes[f"{endpoint}_event"].astype("Float64").astype(float)
    return days.where(event.notna()), event


def _scored_levels(
    metrics: Mapping[str, Any], task: str, rows: pd.DataFrame
) -> Iterator[tuple[dict[str, int], float | None, pd.DataFrame]]:
    """Patients scored by model, at the baseline visit (None) and at every landmark, and the rows known by then."""
    scored = metrics.get("task", {}).get(task, {})
    levels: dict[float | None, Mapping[str, Any]] = {None: scored.get("model", {})}
    levels |= {float(day): figures for day, figures in scored.get("landmark", {}).items()}
    for landmark, figures in levels.items():
        seen = rows[rows["visit"] == 0] if landmark is None else rows[rows["day"] <= landmark]
        yield {name: int(each.get("n", 0)) for name, each in figures.items() if name != "compare"}, landmark, seen


def _when(landmark: float | None) -> str:
    return "baseline" if landmark is None else f"day {landmark:g}"


def only_those_at_risk(predictions: pd.DataFrame, metrics: Mapping[str, Any], cohort: Cohort) -> Finding:
    """Rule 2: whoever has had the event, or left, is asked nothing; counted anew from the outcomes.

    Args:
        predictions: `predictions.parquet` of the run.
        metrics: `metrics.json` of the run.
        cohort: Where the outcomes are.
    """
    faults, visits, counts = [], 0, 0
    for task, rows in predictions.groupby("task"):
        if task not in survival_tasks(cohort):
            continue
        days, event = (column.reindex(rows["patient_id"]).to_numpy() for column in end_of(cohort, str(task)))
        duration = days - rows["day"].to_numpy(dtype=np.float64)
        at_risk, flagged = duration > 0, rows["at_risk"].to_numpy(dtype=bool)
        visits += len(rows)
        wrong = int((at_risk != flagged).sum())
        if wrong:
            gone = int((flagged & ~at_risk).sum())
            faults.append(f"{task}: {wrong} visits are marked wrongly, {gone} of them count after the event")
        both = at_risk & flagged
        apart = np.abs(rows["duration"].to_numpy(dtype=np.float64) - duration)[both] > DAY_TOLERANCE
        apart |= (rows["event"].astype(bool).to_numpy() != (event == 1))[both]
        if apart.any():
            faults.append(f"{task}: duration or event of {int(apart.sum())} visits is not that of outcomes.csv")
        for figures, landmark, seen in _scored_levels(metrics, str(task), rows.assign(end=days)):
            left = seen["end"] > (seen["day"] if landmark is None else landmark)
            there = int(seen.loc[left, "patient_id"].nunique())
            counts += len(figures)
            faults += [
                f"{task}, {model} at {_when(landmark)}: {scored} scored, {there} still at risk"
                for model, scored in figures.items()
                if scored > there
            ]
    return judged(
        "Rule 2: only patients still at risk are scored",
        faults,
        f"{visits} visits and {counts} numbers of scored patients agree with outcomes.csv",
        "leave out who had the event before the prediction time, and score again: keeping them flatters every model",
    )


def patients_are_counted_once(predictions: pd.DataFrame, metrics: Mapping[str, Any]) -> Finding:
    """Rule 6: a patient is one row of a score, however many visits there were.

    Args:
        predictions: `predictions.parquet` of the run.
        metrics: `metrics.json` of the run.
    """
    faults, counts = [], 0
    keys = ["repeat", "task", "patient_id", "visit"]
    twice = int(predictions.duplicated(keys).sum())
    if twice:
        faults.append(f"{twice} visits are predicted twice in one repeat")
    at_risk = predictions[predictions["at_risk"].astype(bool)]
    for task, rows in at_risk.groupby("task"):
        for figures, landmark, seen in _scored_levels(metrics, str(task), rows):
            patients = seen["patient_id"].nunique()
            counts += len(figures)
            faults += [
                f"{task}, {model} at {_when(landmark)}: n = {scored} of {patients} patients"
                for model, scored in figures.items()
                if scored > patients
            ]
    return judged(
        "Rule 6: visits of a patient are not scored as independent",
        faults,
        f"{counts} scores of {predictions['patient_id'].nunique()} patients count each of them once",
        "score one row per patient and prediction time, and let the bootstrap draw patients: run evaluate.py again",
    )


def brier_weights(
    predictions: pd.DataFrame, splits: pd.DataFrame, metrics: Mapping[str, Any], cohort: Cohort
) -> Finding:
    """Rule 8: one Brier score worked out anew, with plain weights from the censoring curve of the training part.

    Args:
        predictions: `predictions.parquet` of the run.
        splits: `splits.csv` of the run.
        metrics: `metrics.json` of the run.
        cohort: Where the outcomes are.
    """
    rule = "Rule 8: Brier scores are weighted by the censoring curve"
    for task, horizon, value in _brier_scores(metrics):
        if f"survival_{horizon:g}" not in predictions or task not in survival_tasks(cohort):
            continue
        rows = predictions[(predictions["task"] == task) & (predictions["visit"] == 0)]
        rows = rows[rows["at_risk"].astype(bool)]

        def again(part: str, censoring: bool, rows: pd.DataFrame = rows, horizon: float = horizon) -> float:
            return _brier_again(rows, splits, cohort, horizon, part=part, censoring=censoring)

        right = again("train", True)
        text = f"{task}, Brier score at day {horizon:g}: {value:.6f}, worked out anew {right:.6f}"
        remedy = "weigh by the training patients' probability of not being censored, and score again"
        if abs(right - value) <= BRIER_TOLERANCE:
            return Finding(rule, "pass", text)
        if abs(again("test", True) - value) <= BRIER_TOLERANCE:
            return Finding(rule, "warn", f"{text}; it comes out with the censoring of the scored patients", remedy)
        if abs(again("train", False) - value) <= BRIER_TOLERANCE:
            text += "; it comes out with weights from the event curve"
        return Finding(rule, "fail", text, remedy)
    return Finding(rule, "not applicable", "no Brier score to work out anew")


def _brier_scores(metrics: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Task, horizon and value of our model's Brier scores at baseline, as far as they are defined."""
    return [
        (task, float(horizon), float(found["value"]))
        for task, scored in metrics.get("task", {}).items()
        for horizon, found in scored.get("model", {}).get(FUSION, {}).get("brier", {}).items()
        if isinstance(found, Mapping) and found.get("value") is not None  # a response has one score and no horizon
    ]


def _brier_again(
    rows: pd.DataFrame, splits: pd.DataFrame, cohort: Cohort, horizon: float, *, part: str, censoring: bool
) -> float:
    """Brier score at baseline, averaged over repeats, written out without the code of `fusion.metrics`.

    Args:
        rows: Predictions of one endpoint at baseline, of patients at risk.
        splits: `splits.csv` of the run.
        cohort: Where the outcomes are.
        horizon: Days after baseline.
        part: `train` (validation included) or `test`: whose curve gives the weights.
        censoring: Whether the weights come from the curve of censorings, as they must, or of events.
    """
    days, events = end_of(cohort, str(rows["task"].iloc[0]))
    baseline = cohort.visits.drop_duplicates("patient_id").set_index("patient_id")["day"]
    scores = []
    for (repeat, fold), scored in rows.groupby(["repeat", "fold"]):
        here = splits[(splits["repeat"] == repeat) & (splits["fold"] == fold)]
        ids = here.loc[(here["part"] == "test") == (part == "test"), "patient_id"]
        time = (days.reindex(ids) - baseline.reindex(ids)).round(3).to_numpy()
        event = events.reindex(ids).to_numpy() == 1
        curve = _product_limit(time[time > 0], event[time > 0], censoring)
        columns = (scored["duration"].astype(float).round(3), scored["event"], scored[f"survival_{horizon:g}"])
        for duration, happened, survival in zip(*columns, strict=True):
            share = 0.0
            if duration > horizon:
                share = (1 - survival) ** 2 / curve(horizon, True)
            elif happened:
                share = survival**2 / curve(duration, False)
            scores.append((repeat, share))
    return float(pd.DataFrame(scores, columns=["repeat", "share"]).groupby("repeat")["share"].mean().mean())


def _product_limit(time: Floats, event: NDArray[np.bool_], censoring: bool) -> Callable[[float, bool], float]:
    """Kaplan-Meier of censorings (events come first at a tie) or of events, as a function of day and its inclusion."""

    def curve(day: float, included: bool) -> float:
        value = 1.0
        for jump in np.unique(time[(time <= day) if included else (time < day)]):
            at_risk, died = int((time >= jump).sum()), int(((time == jump) & event).sum())
            left = int(((time == jump) & ~event).sum())
            if left if censoring else died:
                value *= 1 - (left / (at_risk - died) if censoring else died / at_risk)
        return max(value, float(np.finfo(float).tiny))

    return curve


def below_the_oracle(metrics: Mapping[str, Any], oracle: Mapping[str, Any]) -> Finding:
    """On a simulated cohort nothing ranks better than the simulator's truth.

    Args:
        metrics: `metrics.json` of the run.
        oracle: What the truth scores on the cohort; empty for real patients.
    """
    rule = "No model ranks better than the truth of the simulation"
    faults, bounds = [], []
    for task, scored in metrics.get("task", {}).items():
        name = "auroc" if task == RESPONSE else "c_index"
        bound = oracle.get(f"{task}_oracle_{name}")
        if bound is None:
            continue
        bounds.append(f"{task} {bound:.3f}")
        for model, figures in scored.get("model", {}).items():
            low = figures.get(name, {}).get("low")
            if low is not None and low > bound:
                faults.append(f"{task}, {model}: its interval begins at {low:.3f}, the oracle has {bound:.3f}")
    if not bounds:
        return Finding(rule, "not applicable", "the cohort is not simulated, or its truth was not scored")
    remedy = "look for what tells the outcome: no model can know more than the simulator did"
    return judged(rule, faults, f"oracle: {', '.join(bounds)}; no interval begins above", remedy)
