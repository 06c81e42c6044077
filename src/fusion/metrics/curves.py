"""Scores along an axis, for drawing: AUC over time, decisions over thresholds, and all of it over prediction times.

Dimension key: W weightings.

Every curve is a mapping of a place on its axis (days, or a threshold) to a figure with its interval, as elsewhere in
`metrics.json`, from fewer resamples than the printed figures.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from fusion.metrics.bootstrap import FEW_EVENTS, Floats, average, difference, figure, patient_weights, replicate
from fusion.metrics.decision import CURVE_THRESHOLDS, decision_statistics
from fusion.metrics.dynamic import ModelTable, held_out, held_out_response
from fusion.metrics.response import HeldOutResponse, response_support
from fusion.metrics.scorer import FUSION, FUSION_AT_BASELINE, Json, Scorer, is_response, nested
from fusion.metrics.survival import HeldOut, auc_at, brier_at, survival_support
from fusion.metrics.weighted import concordance

#: Days of the AUC curve, and prediction times of the dynamic curves.
AUC_DAYS = tuple(float(day) for day in range(90, 1081, 90))
PREDICTION_DAYS = tuple(float(day) for day in range(0, 169, 21))
RESAMPLES = 300
#: Plain models drawn beside ours: the best ones; and the last-value landmark model on the dynamic curves.
NUM_BEST, LAST_VALUE = 2, "landmark_cox"


def score_curves(
    models: Mapping[str, ModelTable],
    scores: Json,
    *,
    horizons: Sequence[float],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Json:
    """Curves of every task.

    Args:
        models: Predictions by model name.
        scores: Figures by task as `score_models` gives them; they tell which baselines are the best.
        horizons: Days after the prediction time; the middle one is that of decisions and the dynamic window.
        resamples: Bootstrap resamples of patients, at most `RESAMPLES`.
        seed: Of the bootstrap.

    Returns:
        For an endpoint `auc`: {model: {day: figure}}; `dynamic`: see `dynamic_curves`; for every task `decision`:
        {model or `treat_all`: {threshold: figure}}; and `horizon`, null for response.
    """
    patients = sorted({str(each) for table in models.values() for each in table.predictions["patient_id"].unique()})
    weights = patient_weights(len(patients), min(resamples, RESAMPLES), seed)
    ordered = sorted(float(horizon) for horizon in horizons)
    scorer = Scorer(tuple(patients), weights, tuple(ordered))
    window = ordered[len(ordered) // 2]
    result: Json = {}
    for task, scored in scores.items():
        best = _best(scored["model"])
        chosen = {name: models[name] for name in (FUSION, *best) if name in models}
        response = any(is_response(_rows(table, task)) for table in chosen.values())
        decision = _decisions(scorer, chosen, task, None if response else window)
        result[task] = {"horizon": None if response else window, "decision": decision}
        if not response:
            result[task]["auc"] = _auc_curves(scorer, chosen, task)
            serial = {name: models[name] for name in (FUSION, FUSION_AT_BASELINE, LAST_VALUE) if name in models}
            result[task]["dynamic"] = dynamic_curves(scorer, serial, task, window) if len(serial) > 1 else {}
    return result


def dynamic_curves(
    scorer: Scorer,
    models: Mapping[str, ModelTable],
    task: str,
    window: float,
    days: Sequence[float] = PREDICTION_DAYS,
) -> Json:
    """Discrimination and error over prediction times s: among patients at risk at s, of an event within the window.

    Every model is scored on the patients of the first one, so that curves and gains are paired.

    Returns:
        `window`; `models`: {model: {s: {c_index, auc, brier, scaled_brier, n, events}}}, `events` within the window;
        `gain`: {"first - other": {s: {c_index, auc, brier}}}.
    """
    first = next(iter(models))
    curves: Json = {name: {} for name in models}
    gains: Json = {f"{first} - {name}": {} for name in models if name != first}
    for day in days:
        known: dict[str, dict[str, Floats]] = {}
        support: dict[str, int] = {}
        patients: frozenset[str] | None = None
        for name, table in models.items():
            place = {each: at for at, each in enumerate(scorer.patients) if patients is None or each in patients}
            repeats = held_out(_rows(table, task), day, table.training_patients(), place, (window,))
            if not repeats:
                continue
            statistic = partial(_dynamic_statistics, window=window)
            known[name] = average(
                [replicate(partial(statistic, each), scorer.weights, each.patient) for each in repeats]
            )
            if name == first:
                patients = frozenset(scorer.patients[at] for each in repeats for at in each.patient)
                support = _support(repeats, window)
            figures = {key: figure(values, support[key]) for key, values in known[name].items()}
            events = int((repeats[0].event & (repeats[0].duration <= window)).sum())
            curves[name][f"{day:g}"] = {**figures, "n": len(repeats[0].patient), "events": events}
            if name == first:
                continue
            gains[f"{first} - {name}"][f"{day:g}"] = {
                key: difference(known[first][key], values, support[key])
                for key, values in known[name].items()
                if key != "scaled_brier"
            }
        if first not in known:
            break
    return {"window": window, "models": curves, "gain": gains}


def _dynamic_statistics(held_out: HeldOut, weights: Floats, window: float) -> dict[str, Floats]:
    """C-index, and AUC and errors of the probability of an event within the window, "W" each."""
    event = held_out.event
    found = {
        "c_index": concordance(
            weights, held_out.risk, held_out.duration, event, event.astype(np.float64), held_out.fold
        ),
        f"auc/{window:g}": auc_at(held_out, window, weights),
        **brier_at(held_out, window, weights),
    }
    return {name.split("/")[0]: values for name, values in found.items()}


def _support(repeats: Sequence[HeldOut], horizon: float) -> dict[str, int]:
    """Events behind the figures at one horizon."""
    names = {"c_index": "c_index", **{name: f"{name}/{horizon:g}" for name in ("auc", "brier", "scaled_brier")}}
    found = [survival_support(each, (horizon,), names.values()) for each in repeats]
    return {name: min(each[flat] for each in found) for name, flat in names.items()}


def _rows(table: ModelTable, task: str) -> pd.DataFrame:
    return table.predictions[table.predictions["task"] == task]


def _best(figures: Json) -> list[str]:
    """Baselines with the highest C-index or AUROC, best first; one that ranks nobody is not among them."""
    ranks = {name: (each.get("c_index") or each.get("auroc") or {}).get("value") for name, each in figures.items()}
    plain = {name: float(value) for name, value in ranks.items() if value is not None and name != FUSION}
    ranking = [name for name, value in plain.items() if value != 0.5]
    return sorted(ranking, key=lambda name: -plain[name])[:NUM_BEST]


def _place(scorer: Scorer) -> dict[str, int]:
    return {patient: at for at, patient in enumerate(scorer.patients)}


def _auc_curves(scorer: Scorer, models: Mapping[str, ModelTable], task: str) -> Json:
    """AUC at baseline by day, as far as enough patients had the event and enough are followed beyond."""
    curves: Json = {}
    for name, table in models.items():
        repeats = held_out(_rows(table, task), None, table.training_patients(), _place(scorer), AUC_DAYS)
        support = {day: _support(repeats, day)["auc"] for day in AUC_DAYS} if repeats else {}
        days = [day for day, events in support.items() if events >= FEW_EVENTS]
        if not days:
            continue
        values = average(
            [replicate(partial(_auc_statistics, each, days), scorer.weights, each.patient) for each in repeats]
        )
        curves[name] = {f"{day:g}": figure(values[f"{day:g}"], support[day]) for day in days}
    return curves


def _auc_statistics(held_out: HeldOut, days: Sequence[float], weights: Floats) -> dict[str, Floats]:
    return {f"{day:g}": auc_at(held_out, day, weights) for day in days}


def _decisions(scorer: Scorer, models: Mapping[str, ModelTable], task: str, horizon: float | None) -> Json:
    """Net benefit of every model and of treating all, by threshold; at a horizon, or of response where it is None."""
    curves: Json = {}
    for name, table in models.items():
        rows, training, place = _rows(table, task), table.training_patients(), _place(scorer)
        if horizon is None:
            responses = held_out_response(rows, None, training, place)
            values = [replicate(partial(_response_decision, each), scorer.weights, each.patient) for each in responses]
            support = min((response_support(each) for each in responses), default=0)
        else:
            repeats = held_out(rows, None, training, place, (horizon,))
            of_survival = partial(_survival_decision, horizon=horizon)
            values = [replicate(partial(of_survival, each), scorer.weights, each.patient) for each in repeats]
            support = min((_support([each], horizon)["brier"] for each in repeats), default=0)
        if not values:
            continue
        found = nested({key: figure(each, support) for key, each in average(values).items()})
        curves[name] = found["net_benefit"]
        curves.setdefault("treat_all", found["net_benefit_treat_all"])
    return curves


def _response_decision(held_out: HeldOutResponse, weights: Floats) -> dict[str, Floats]:
    case = held_out.label.astype(np.float64)
    return decision_statistics(held_out.probability, case, 1.0 - case, weights, thresholds=CURVE_THRESHOLDS)


def _survival_decision(held_out: HeldOut, weights: Floats, horizon: float) -> dict[str, Floats]:
    at = held_out.column(horizon)
    case, control = (each[:, at] for each in held_out.weights)
    probability = 1.0 - held_out.survival[:, at]
    if not held_out.known[at]:
        case = np.full(len(case), np.nan)
    return decision_statistics(probability, case, control, weights, thresholds=CURVE_THRESHOLDS)
