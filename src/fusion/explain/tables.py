"""Contributions as tables: one row per repeat, fold, patient, visit, task and what contributes.

Dimension key: B patients, T visits, G features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.explain.feature_names import NamedValues, features_away, gene_sets, named, training_mean
from fusion.explain.genes_hit import gene_contributions
from fusion.explain.integrated_gradients import feature_contributions
from fusion.explain.modality_values import ModalityValues
from fusion.explain.view import FoldView
from fusion.explain.visit_values import VisitStep

#: Features of a visit that are written down.
TOP = 30


@dataclass(frozen=True)
class FeatureTables:
    """Contributions of features of one fold.

    Attributes:
        top: The largest of each visit.
        sets: Genes added up in their sets, every visit.
        cohort: Mean and mean absolute contribution of every feature at the first visit, over patients.
    """

    top: pd.DataFrame
    sets: pd.DataFrame
    cohort: pd.DataFrame


def _days(view: FoldView) -> np.ndarray:
    return view.held_out_batch.day.double().numpy()


def modality_table(view: FoldView, values: Mapping[str, ModalityValues], tasks: Sequence[str]) -> pd.DataFrame:
    """`patient_id, visit, day, task, modality, contribution, base, output`: modalities that the visit has seen.

    `base + sum(contribution)` is `output`.
    """
    seen = {name: view.pool.seen(name)[view.patients].numpy() for name in view.pool.modalities}
    frames = []
    for task in tasks:
        found = values[task]
        for number, name in enumerate(view.pool.modalities):
            patient, visit = np.nonzero(seen[name])
            frames.append(
                pd.DataFrame(
                    {
                        **_places(view, patient, visit),
                        "task": task,
                        "modality": name,
                        "contribution": found.contribution[number].numpy()[patient, visit],
                        "base": found.base.numpy()[patient, visit],
                        "output": found.output.numpy()[patient, visit],
                    }
                )
            )
    table = pd.concat(frames, ignore_index=True)
    return table.sort_values(["task", "patient_id", "visit"], kind="stable", ignore_index=True)


def visit_table(view: FoldView, steps: Mapping[str, Sequence[VisitStep]], tasks: Sequence[str]) -> pd.DataFrame:
    """`patient_id, visit, day, task, modality, contribution, before, after`; `modality` may be `time`.

    `before + sum(contribution)` is `after`, and `before` is the `after` of the visit before.
    """
    day = _days(view)
    rows = [
        {
            "patient_id": view.held_out[step.patient],
            "visit": step.visit,
            "day": day[step.patient, step.visit],
            "task": task,
            "modality": step.modality,
            "contribution": step.contribution,
            "before": step.before,
            "after": step.after,
        }
        for task in tasks
        for step in steps[task]
    ]
    return pd.DataFrame(rows)


def feature_tables(view: FoldView, tasks: Sequence[str], steps: int, top: int = TOP) -> FeatureTables:
    """Contributions of genes, regions, markers and covariates.

    Args:
        view: The fold.
        tasks: Tasks to write down.
        steps: Points along the way of the integrated gradients.
        top: Features of each visit and task that are kept, the largest by size.
    """
    found = feature_contributions(view.fitted.ensemble, view.held_out_batch, training_mean(view), steps)
    away = features_away(view)
    hits = {
        name: gene_contributions(view, name)
        for name, modality in view.fitted.modalities.items()
        if hasattr(modality, "genes") and modality.is_set
    }
    tops, sets, cohorts = [], [], []
    for task in tasks:
        by_modality = named(view, found[task], away)
        for name, by_task in hits.items():
            by_modality[name] = by_modality[name].merged(by_task[task])
        tops.append(_long(view, by_modality).assign(task=task))
        for name, values in by_modality.items():
            summed = gene_sets(view.fitted.modalities[name], values)
            if summed is not None:
                sets.append(_long(view, {name: summed}).assign(task=task))
            cohorts.append(_of_cohort(view, name, values).assign(task=task))
    return FeatureTables(
        top=_largest(pd.concat(tops, ignore_index=True), top),
        sets=pd.concat(sets, ignore_index=True) if sets else pd.DataFrame(),
        cohort=pd.concat(cohorts, ignore_index=True),
    )


def _places(view: FoldView, patient: NDArray[np.int64], visit: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Who and when, of rows told by the places of patient and visit in the fold."""
    return {
        "patient_id": np.array(view.held_out, dtype=object)[patient],
        "visit": visit,
        "day": _days(view)[patient, visit],
    }


def _long(view: FoldView, by_modality: Mapping[str, NamedValues]) -> pd.DataFrame:
    """One row per contribution that is not zero, of modalities that the visit has seen."""
    mask, frames = view.held_out_batch.visit_mask.numpy(), []
    for name, values in by_modality.items():
        seen = view.pool.seen(name)[view.patients].numpy() & mask
        patient, visit, feature = np.nonzero((values.values != 0) & seen[..., None])
        frames.append(
            pd.DataFrame(
                {
                    **_places(view, patient, visit),
                    "modality": name,
                    "feature": np.array(values.names, dtype=object)[feature],
                    "contribution": values.values[patient, visit, feature],
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _largest(table: pd.DataFrame, top: int) -> pd.DataFrame:
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    kept = table.loc[order].groupby(["task", "patient_id", "visit"], sort=False).head(top)
    return kept.sort_values(["task", "patient_id", "visit"], kind="stable", ignore_index=True)


def _of_cohort(view: FoldView, name: str, values: NamedValues) -> pd.DataFrame:
    seen = view.pool.seen(name)[view.patients].numpy()[:, 0]
    first = values.values[seen, 0]
    size, mean = (np.abs(first), first) if len(first) else (np.zeros((1, len(values.names))),) * 2
    return pd.DataFrame(
        {
            "modality": name,
            "feature": list(values.names),
            "mean_absolute": size.mean(axis=0),
            "mean": mean.mean(axis=0),
            "patients": int(seen.sum()),
        }
    )


def pooled(cohort: pd.DataFrame) -> pd.DataFrame:
    """Means over folds, each weighted by its patients; a feature that a fold does not know counts as zero there."""
    total = cohort.assign(
        mean_absolute=cohort["mean_absolute"] * cohort["patients"], mean=cohort["mean"] * cohort["patients"]
    )
    summed = total.groupby(["task", "modality", "feature"], as_index=False)[["mean_absolute", "mean"]].sum()
    folds = cohort.drop_duplicates(["repeat", "fold", "task", "modality"])
    patients = folds.groupby(["task", "modality"], as_index=False)["patients"].sum()
    summed = summed.merge(patients, on=["task", "modality"])
    for column in ("mean_absolute", "mean"):
        summed[column] = summed[column] / summed["patients"].clip(lower=1)
    return summed.sort_values(["task", "mean_absolute"], ascending=[True, False], kind="stable", ignore_index=True)
