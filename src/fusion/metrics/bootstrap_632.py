"""The .632+ estimate: what a model of all patients would score on new ones, from models that saw .632 of them.

Models trained on a subsample are worse than the final one, and the final one scored on its own patients looks better
than it is. The estimate lies between the two, nearer to the first the more the model over-fits (Efron & Tibshirani,
J Am Stat Assoc 1997; for censored times Gerds & Schumacher, Biometrics 2007).

Dimension key: W weightings.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.metrics.bootstrap import Floats, figure, patient_weights, replicate
from fusion.metrics.dynamic import ModelTable, held_out, held_out_response
from fusion.metrics.scorer import Json, Scored, Scorer, is_response, nested
from fusion.metrics.weighted import mean

#: Scores that reward rank are .5 without information; of the Brier score it is computed.
RANK = ("c_index", "c_index_uno", "auc", "auroc")


def estimate_632_plus(apparent: Floats, out_of_bag: Floats, no_information: Floats) -> Floats:
    """Combine errors (lower is better), "W" each.

    With R the share of the way from the apparent error to that of no information at which the out-of-bag error lies,
    the weight of the latter is .632 / (1 - .368 R): .632 without over-fitting, one where nothing was learned.

    >>> estimate_632_plus(np.array([0.0, 0.2]), np.array([0.5, 0.2]), np.array([0.5, 0.5])).round(3)
    array([0.5, 0.2])
    """
    bounded = np.minimum(out_of_bag, no_information)
    room = no_information - apparent
    overfit = np.divide(bounded - apparent, room, out=np.zeros(len(room)), where=room > 0)
    weight = 0.632 / (1.0 - 0.368 * np.clip(overfit, 0.0, 1.0))
    return (1.0 - weight) * apparent + weight * bounded


def score_632_plus(
    out_of_bag: Mapping[str, ModelTable],
    apparent: pd.DataFrame,
    *,
    horizons: Sequence[float],
    resamples: int = 1000,
    seed: int = 0,
) -> Json:
    """Baseline figures of every model corrected for optimism.

    Args:
        out_of_bag: Predictions of patients outside each subsample, by model name.
        apparent: Those of the final models for their own training patients, with a `model` column.
        horizons: Days after the prediction time.
        resamples: Bootstrap resamples of patients, for the intervals.
        seed: Of the bootstrap.

    Returns:
        {task: {model: {score: figure with `apparent` and `out_of_bag`}}}, scores as in `score_models`.
    """
    patients = tuple(sorted(apparent["patient_id"].astype(str).unique()))
    everyone = pd.DataFrame({"repeat": 0, "fold": 0, "patient_id": patients, "part": "train"})
    ordered = tuple(sorted(float(horizon) for horizon in horizons))
    scorer = Scorer(patients, patient_weights(len(patients), resamples, seed), ordered)
    result: Json = {}
    for (task, name), rows in apparent.groupby(["task", "model"], sort=False):
        seen = ModelTable(rows, everyone)
        both = [scorer.score(table, task, None) for table in (seen, out_of_bag[name])]
        if both[0] is not None and both[1] is not None:
            figures = _figures(both[0], both[1], _no_information(scorer, seen, task))
            result.setdefault(task, {})[name] = figures
    return result


def _figures(apparent: Scored, out_of_bag: Scored, no_information: Mapping[str, Floats]) -> Json:
    figures = {}
    for name, error in no_information.items():
        sign, offset = (-1.0, 1.0) if name.split("/")[0] in RANK else (1.0, 0.0)
        seen, unseen = (offset + sign * each.values[name] for each in (apparent, out_of_bag))
        values = offset + sign * estimate_632_plus(seen, unseen, error)
        figures[name] = {
            **figure(values, apparent.support[name]),
            **{
                key: _or_none(each.values[name][0])
                for key, each in (("apparent", apparent), ("out_of_bag", out_of_bag))
            },
        }
    return nested(figures)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _no_information(scorer: Scorer, table: ModelTable, task: str) -> dict[str, Floats]:
    """Error of every score if predictions and outcomes were paired at random, "W" each."""
    rows = table.predictions[table.predictions["task"] == task]
    place = {patient: number for number, patient in enumerate(scorer.patients)}
    half = np.full(len(scorer.weights), 0.5)
    if is_response(rows):
        (response,) = held_out_response(rows, None, table.training_patients(), place)
        label, survival = response.label.astype(np.float64), 1.0 - response.probability
        terms = {"brier": (label, 1.0 - label, survival)}
        patient, ranks = response.patient, ["auroc"]
    else:
        (survivors,) = held_out(rows, None, table.training_patients(), place, scorer.horizons)
        columns = {f"{horizon:g}": survivors.column(horizon) for horizon in scorer.horizons}
        case, control = survivors.weights
        terms = {
            f"brier/{name}": (case[:, at], control[:, at], survivors.survival[:, at]) for name, at in columns.items()
        }
        patient, ranks = survivors.patient, ["c_index", "c_index_uno", *(f"auc/{name}" for name in columns)]

    def of_pairs(weights: Floats) -> dict[str, Floats]:
        return {
            name: mean(weights, case) * mean(weights, free**2) + mean(weights, control) * mean(weights, (1 - free) ** 2)
            for name, (case, control, free) in terms.items()
        }

    return {**dict.fromkeys(ranks, half), **replicate(of_pairs, scorer.weights, patient)}
