"""Permutation importance of each assay: the loss of rank when patients are given one another's.

Within a fold the held-out patients swap the whole profile of one assay, all its visits together, with what is missing
in it (Breiman 2001). What the rank loses is what the model owes to this assay and cannot make up from the others.
It speaks of this model, not of the biology: of two assays that say the same, each alone looks dispensable.

Dimension key: N rows scored, K permutations, W weightings of patients.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fusion.data.dataset import RESPONSE
from fusion.explain.pool import Part
from fusion.explain.view import FoldView
from fusion.metrics.bootstrap import Figure, average, difference, patient_weights, replicate
from fusion.metrics.dynamic import rows_at
from fusion.metrics.weighted import concordance

Floats = NDArray[np.float64]

#: Resamples of patients for the interval.
RESAMPLES = 200


@dataclass(frozen=True)
class Permuted:
    """Scores of the held-out patients of one fold, as they are and with the profiles of one assay swapped.

    Attributes:
        patient_ids: The patients.
        own: By task, score of every visit, "B T".
        swapped: By task and modality, the same in each permutation, "K B T".
    """

    patient_ids: tuple[str, ...]
    own: Mapping[str, Floats]
    swapped: Mapping[str, Mapping[str, Floats]]


def permuted_scores(view: FoldView, permutations: int, seed: int) -> Permuted:
    """Swap the profiles of every assay among the held-out patients of a fold, so many times."""
    generator = torch.Generator().manual_seed(seed)
    count = len(view.held_out)
    own = {task: answer.score.double().numpy() for task, answer in view.pool.answers(Part(view.patients)).items()}
    swapped: dict[str, dict[str, Floats]] = {task: {} for task in own}
    for name in view.pool.modalities:
        order = torch.cat([torch.randperm(count, generator=generator) for _ in range(permutations)])
        part = Part(recipient=view.patients.repeat(permutations), source={name: order})
        for task, answer in view.pool.answers(part).items():
            swapped[task][name] = answer.score.double().view(permutations, count, -1).numpy()
    return Permuted(patient_ids=view.held_out, own=own, swapped=swapped)


def importance(
    predictions: pd.DataFrame,
    folds: Mapping[tuple[int, int], Permuted],
    landmarks: Sequence[float],
    resamples: int = RESAMPLES,
) -> dict[str, dict[str, dict[str, Figure]]]:
    """Loss of C-index (of response: AUROC) by task, time of prediction and modality, mean over permutations.

    Patients are compared within their fold; the interval is over resamples of patients.

    Args:
        predictions: `predictions.parquet` of the run.
        folds: Permuted scores by repeat and fold.
        landmarks: Days at which later predictions are scored, beside the baseline visit.
        resamples: Of patients.
    """
    kept = [key in folds for key in zip(predictions["repeat"], predictions["fold"], strict=True)]
    predictions = predictions[kept]
    result: dict[str, dict[str, dict[str, Figure]]] = {}
    for task in next(iter(folds.values())).own if folds else ():
        result[task] = {}
        for landmark in (None, *(() if task == RESPONSE else landmarks)):
            rows = _rows(predictions[predictions["task"] == task], task, landmark)
            when = "baseline" if landmark is None else f"{landmark:g}"
            result[task][when] = _losses(rows, folds, task, resamples) if len(rows) else {}
    return result


def _rows(rows: pd.DataFrame, task: str, landmark: float | None) -> pd.DataFrame:
    """Rows to score with `residual` and `event`; a response is a time at which responders come first."""
    if task != RESPONSE:
        return rows_at(rows, landmark)
    rows = rows[(rows["visit"] == 0) & rows["at_risk"].astype(bool)]
    responder = rows["label"] == 1
    return rows.assign(event=responder, residual=np.where(responder, 1.0, 2.0))


def _losses(
    rows: pd.DataFrame, folds: Mapping[tuple[int, int], Permuted], task: str, resamples: int
) -> dict[str, Figure]:
    place = {patient: number for number, patient in enumerate(pd.unique(rows["patient_id"]))}
    weights = patient_weights(len(place), resamples, seed=0)
    modalities = next(iter(folds.values())).swapped[task]
    events = int(rows.drop_duplicates("patient_id")["event"].sum())
    repeats: dict[str, list[dict[str, Floats]]] = {"own": [], **{name: [] for name in modalities}}
    for _, group in rows.groupby("repeat"):
        patients = group["patient_id"].map(place).to_numpy(dtype=np.int64)
        own, swapped = _scores(group, folds, task)
        repeats["own"].append(_rank(group, own[None], weights, patients))
        for name, score in swapped.items():
            repeats[name].append(_rank(group, score, weights, patients))
    values = {name: average(each)["rank"] for name, each in repeats.items()}
    return {name: difference(values["own"], values[name], events) for name in modalities}


def _scores(
    group: pd.DataFrame, folds: Mapping[tuple[int, int], Permuted], task: str
) -> tuple[Floats, dict[str, Floats]]:
    """Scores of the rows, "N", and with each assay swapped, "K N"."""
    own, swapped = [], []
    places = {key: {p: i for i, p in enumerate(fold.patient_ids)} for key, fold in folds.items()}
    for repeat, fold, patient, visit in group[["repeat", "fold", "patient_id", "visit"]].itertuples(index=False):
        found, place = folds[(repeat, fold)], places[(repeat, fold)][patient]
        own.append(found.own[task][place, visit])
        swapped.append([found.swapped[task][name][:, place, visit] for name in found.swapped[task]])
    stacked = np.array(swapped, dtype=np.float64).transpose(1, 2, 0)
    return np.array(own, dtype=np.float64), dict(zip(found.swapped[task], stacked, strict=True))


def _rank(
    group: pd.DataFrame, scores: Floats, weights: NDArray[np.int16], patients: NDArray[np.int64]
) -> dict[str, Floats]:
    """Concordance of every weighting, mean over the permutations."""
    event, fold = group["event"].to_numpy(dtype=np.bool_), group["fold"].to_numpy(dtype=np.int64)
    residual = group["residual"].to_numpy(dtype=np.float64)

    def statistic(weight: Floats) -> dict[str, Floats]:
        case = event.astype(np.float64)
        return {"rank": np.mean([concordance(weight, s, residual, event, case, fold) for s in scores], axis=0)}

    return replicate(statistic, weights, patients)
