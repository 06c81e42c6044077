"""Recalibrates a table of predictions on some patients, and scores it before and after on others."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
import pandas as pd

from fusion.metrics.binomial import Link
from fusion.metrics.bootstrap import Floats, average, difference, patient_weights, replicate
from fusion.metrics.calibration import integrated_calibration_index
from fusion.metrics.dynamic import ModelTable, grid_of, held_out, held_out_response, response_rows_at, rows_at
from fusion.metrics.recalibration import (
    Mode,
    Recalibration,
    cumulative_hazard,
    fit_response,
    fit_survival,
    linear_predictor,
    recalibrated_probability,
    recalibrated_survival,
)
from fusion.metrics.score import score_models
from fusion.metrics.scorer import FUSION, Json, Scorer, is_response

#: The name of the model after recalibration, beside `FUSION` on the same patients.
RECALIBRATED = "fusion_recalibrated"
#: Predictions of the first visit, and of all later ones: each is recalibrated by itself.
LEVELS = ("baseline", "later")


def fit_task(rows: pd.DataFrame, horizon: float, landmarks: Sequence[float], mode: Mode) -> dict[str, Recalibration]:
    """Fit the predictions of one task to the outcomes in `rows`: at baseline, and at later visits.

    Later visits are fitted at the landmarks, stacked: each patient at risk there, with the last visit by that day,
    as they are scored. Where they have too few events for a fit of their own they stay as predicted.

    Args:
        rows: Predictions of one task for the patients to fit on.
        horizon: Where the linear predictor of a curve is read, days after the visit.
        landmarks: Days from day 0.
        mode: What to fit.

    Raises:
        ValueError: The baseline visit cannot be fitted; says why.
    """
    fit = _fit_response if is_response(rows) else partial(_fit_survival, horizon=horizon)
    fitted = {LEVELS[0]: fit(_stacked(rows, (None,)), mode)}
    if landmarks:
        later = _stacked(rows, landmarks)
        with suppress(ValueError):
            fitted[LEVELS[1]] = fit(later[later["visit"] > 0], mode)
    return fitted


def apply_task(rows: pd.DataFrame, horizon: float, fitted: Mapping[str, Recalibration]) -> pd.DataFrame:
    """Predictions of one task after recalibration; `risk` and `risk_group` stay, as do ranks."""
    changed = ["prob_responder", "prob_nonresponder"] if is_response(rows) else grid_of(rows)[0]
    result = rows.astype(dict.fromkeys(changed, np.float64))
    for level, each in fitted.items():
        chosen = ((rows["visit"] > 0) == (level == LEVELS[1])).to_numpy()
        if is_response(rows):
            probability = recalibrated_probability(rows.loc[chosen, "prob_responder"].to_numpy(dtype=np.float64), each)
            result.loc[chosen, "prob_responder"] = probability
            result.loc[chosen, "prob_nonresponder"] = 1.0 - probability
        else:
            columns, grid = grid_of(rows)
            survival = rows.loc[chosen, columns].to_numpy(dtype=np.float64)
            predictor = linear_predictor(survival, grid, min(horizon, grid[-1]))
            result.loc[chosen, columns] = recalibrated_survival(survival, predictor, each)
    return result


def _stacked(rows: pd.DataFrame, landmarks: Sequence[float | None]) -> pd.DataFrame:
    """Rows to score at each of these prediction times, one below the other."""
    at = response_rows_at if is_response(rows) else rows_at
    return pd.concat([at(rows, landmark) for landmark in landmarks])


def _fit_survival(rows: pd.DataFrame, mode: Mode, *, horizon: float) -> Recalibration:
    columns, grid = grid_of(rows)
    survival = rows[columns].to_numpy(dtype=np.float64)
    elapsed, residual = (rows[name].to_numpy(dtype=np.float64) for name in ("elapsed", "residual"))
    end = np.minimum(elapsed + residual, grid[-1])  # beyond the grid nothing is predicted: follow-up ends there
    start = np.minimum(elapsed, grid[-1])
    return fit_survival(
        linear_predictor(survival, grid, min(horizon, grid[-1])),
        cumulative_hazard(survival, grid, end) - cumulative_hazard(survival, grid, start),
        rows["event"].to_numpy(dtype=np.bool_) & (elapsed + residual <= grid[-1]),
        rows["patient_id"].to_numpy(dtype=object),
        mode,
    )


def _fit_response(rows: pd.DataFrame, mode: Mode) -> Recalibration:
    probability, label = (
        rows["prob_responder"].to_numpy(dtype=np.float64),
        (rows["label"] == 1).to_numpy(dtype=np.bool_),
    )
    return fit_response(probability, label, rows["patient_id"].to_numpy(dtype=object), mode)


def score_update(
    before: ModelTable, after: ModelTable, *, horizons: Sequence[float], landmarks: Sequence[float], resamples: int
) -> Json:
    """Score predictions before and after recalibration on the same patients, none of whom it was fitted on.

    Beside the differences of `score_models`, each `compare` holds those of `ici`, and of how far two figures are from
    their ideal: `calibration_slope_error` |slope - 1| and `observed_expected_error` |log observed / expected|. Below
    zero the recalibrated predictions are better. Resampling adds to a distance, and to a small one more than to a
    large one, so that an interval of a gain lies if anything too near to zero.
    """
    models = {FUSION: before, RECALIBRATED: after}
    pair = (RECALIBRATED, FUSION)
    result = score_models(models, [pair], horizons=horizons, landmarks=landmarks, resamples=resamples)
    ordered = tuple(result["settings"]["horizons"])
    patients = tuple(sorted(set(before.predictions["patient_id"].astype(str))))
    scorer = Scorer(patients, patient_weights(len(patients), resamples, seed=0), ordered)
    for task, scored in result["task"].items():
        levels: dict[float | None, Json] = {
            None: scored,
            **{float(day): level for day, level in scored["landmark"].items()},
        }
        for landmark, level in levels.items():
            for compared in level["compare"].values():
                compared |= _calibration_gain(scorer, after, before, task, landmark)
    return result


def _calibration_gain(scorer: Scorer, one: ModelTable, other: ModelTable, task: str, landmark: float | None) -> Json:
    values: list[dict[str, Floats]] = []
    support: Mapping[str, int] = {}
    for table in (one, other):
        scored = scorer.score(table, task, landmark)
        if scored is None:
            return {}
        support = scored.support
        with np.errstate(divide="ignore", invalid="ignore"):  # no event in a resample: no ratio, no gain
            values.append(
                {
                    "calibration_slope_error": np.abs(scored.values["calibration_slope"] - 1.0),
                    "observed_expected_error": np.abs(np.log(scored.values["observed_expected"])),
                    "ici": _ici(scorer, table, task, landmark),
                }
            )
    events = support["calibration_slope"]
    return {name: difference(values[0][name], values[1][name], events) for name in values[0]}


def _ici(scorer: Scorer, table: ModelTable, task: str, landmark: float | None) -> Floats:
    """ICI under every weighting, "W"; of a survival task at the middle horizon."""
    rows = table.predictions[table.predictions["task"] == task]
    training, place = table.training_patients(), {patient: at for at, patient in enumerate(scorer.patients)}
    horizon = scorer.horizons[len(scorer.horizons) // 2]
    repeats = []
    if is_response(rows):
        for response in held_out_response(rows, landmark, training, place):
            case = response.label.astype(np.float64)
            of = partial(_ici_statistic, probability=response.probability, case=case, control=1.0 - case, link="logit")
            repeats.append(replicate(of, scorer.weights, response.patient))
    else:
        for each in held_out(rows, landmark, training, place, (horizon,)):
            at = each.column(horizon)
            if not each.known[at]:
                return np.full(len(scorer.weights), np.nan)
            case, control = (weight[:, at] for weight in each.weights)
            probability = 1.0 - each.survival[:, at]
            of = partial(_ici_statistic, probability=probability, case=case, control=control, link="cloglog")
            repeats.append(replicate(of, scorer.weights, each.patient))
    return average(repeats)["ici"]


def _ici_statistic(
    weights: Floats, *, probability: Floats, case: Floats, control: Floats, link: Link
) -> dict[str, Floats]:
    return {"ici": integrated_calibration_index(probability, case, control, weights, link)}
