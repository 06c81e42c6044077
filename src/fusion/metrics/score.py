"""Scores of a run from its saved tables: what `metrics.json` holds.

Rank metrics (C-index, Uno's C, AUC, AUROC) compare patients of the same fold only. The risks of two folds come from
two models, and the zero of a Cox risk is arbitrary, so a pair across folds compares scales rather than patients; even
a model without covariates, which is constant in a fold, then falls below .5, since a fold with few events leaves many
to its training part. Within folds such a model scores exactly .5. Errors of probabilities (Brier, calibration, AUPRC)
are on an absolute scale and are pooled over folds. Each repeat is scored by itself, and repeats are averaged.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from fusion.metrics.bootstrap import patient_weights
from fusion.metrics.bootstrap_632 import score_632_plus
from fusion.metrics.curves import score_curves
from fusion.metrics.dynamic import ModelTable, one_visit_earlier
from fusion.metrics.scorer import (
    FUSION,
    FUSION_AT_BASELINE,
    FUSION_ONE_VISIT_EARLIER,
    HELD_TO_LESS,
    Json,
    Scored,
    Scorer,
)
from fusion.metrics.subgroups import score_subgroups

HORIZONS = (180.0, 365.0, 730.0)
LANDMARKS = (42.0, 84.0)


def _level(
    scorer: Scorer,
    models: Mapping[str, ModelTable],
    pairs: Sequence[tuple[str, str]],
    task: str,
    landmark: float | None,
    only: Collection[str] | None,
    reduced: Collection[str],
) -> tuple[Json, Json]:
    """Figures by model, and differences by pair, at one prediction time."""
    scored: dict[str, Scored] = {}
    for name, table in models.items():
        # What the model held to less predicts is scored on the very patients of the landmark.
        basis = scored[FUSION].patients if name in reduced and FUSION in scored else only
        result = scorer.score(table, task, landmark, basis)
        if result is not None:
            scored[name] = result
    compared = {
        f"{one} - {other}": scorer.compare(models[one], models[other], task, landmark, (scored[one], scored[other]))
        for one, other in pairs
        if one in scored and other in scored
    }
    return {name: each.figures() for name, each in scored.items()}, compared


def score_models(
    models: Mapping[str, ModelTable],
    pairs: Sequence[tuple[str, str]],
    *,
    horizons: Sequence[float] = HORIZONS,
    landmarks: Sequence[float] = LANDMARKS,
    resamples: int = 1000,
    seed: int = 0,
    only: Collection[str] | None = None,
    reduced: Collection[str] = (),
    brief: bool = False,
) -> Json:
    """Score models at the baseline visit and at landmarks, and compare the `pairs` of them.

    A landmark is left out where no model saw a visit between baseline and it: nothing was learned in between.

    Args:
        models: Predictions by model name.
        pairs: Names (a, b) of models whose difference a - b is wanted.
        horizons: Days after the prediction time.
        landmarks: Days from day 0.
        resamples: Bootstrap resamples of patients.
        seed: Of the bootstrap.
        only: Score these patients alone (a subgroup); what was fitted on training patients stays as it is.
        reduced: Names of models that are `fusion` held to less than was known: scored at landmarks alone.
        brief: See `Scorer`; the rest takes most of the time.
    """
    patients = sorted(
        {str(patient) for table in models.values() for patient in table.predictions["patient_id"].unique()}
    )
    ordered = tuple(sorted(float(horizon) for horizon in horizons))
    if not ordered or ordered[0] <= 0:
        raise ValueError(f"horizons are days after the prediction, at least one, above zero; found {list(horizons)}")
    scorer = Scorer(tuple(patients), patient_weights(len(patients), resamples, seed), ordered, brief)
    tasks = list(dict.fromkeys(str(task) for table in models.values() for task in table.predictions["task"].unique()))
    at_visit = {name: table for name, table in models.items() if name not in reduced}
    result: Json = {}
    for task in tasks:
        figures, compared = _level(scorer, at_visit, pairs, task, None, only, reduced)
        result[task] = {"model": figures, "landmark": {}, "compare": compared}
        for landmark in landmarks:
            if any(_later_visit(table.predictions, task, float(landmark)) for table in models.values()):
                figures, compared = _level(scorer, models, pairs, task, float(landmark), only, reduced)
                result[task]["landmark"][f"{landmark:g}"] = {**figures, "compare": compared}
    settings = {"horizons": list(ordered), "landmarks": list(landmarks), "resamples": resamples, "seed": seed}
    return {"task": result, "settings": settings}


def _later_visit(rows: pd.DataFrame, task: str, landmark: float) -> bool:
    """Whether anybody was seen between baseline and the landmark."""
    return bool(
        ((rows["task"] == task) & (rows["visit"] > 0) & (rows["day"] <= landmark) & rows["at_risk"].astype(bool)).any()
    )


def score_run(
    predictions: pd.DataFrame,
    baselines: pd.DataFrame | None,
    splits: pd.DataFrame,
    *,
    horizons: Sequence[float] = HORIZONS,
    landmarks: Sequence[float] = LANDMARKS,
    resamples: int = 1000,
    seed: int = 0,
    only: Collection[str] | None = None,
    subgroups: pd.DataFrame | None = None,
    held_back: pd.DataFrame | None = None,
    apparent: pd.DataFrame | None = None,
) -> Json:
    """Score a run and its baselines: the content of `metrics.json`.

    Beside `task` (see `score_models`) it has the `curves` that the report draws (see `score_curves`), where all
    patients are scored, and the `subgroups` (see `score_subgroups`), where covariates are given.

    Args:
        predictions: `predictions.parquet` of the run.
        baselines: `baselines.parquet`, with its `model` column; None if there are none.
        splits: `splits.csv` of the run.
        horizons: See `score_models`, as all that follow.
        landmarks: At each, also `fusion_at_baseline` and `fusion_one_visit_earlier`: what the visits since baseline,
            or the last one, added is `fusion` minus that.
        resamples: As there.
        seed: As there.
        only: As there.
        subgroups: `subgroups.csv` of the run: `patient_id` and covariates as text; None if there is none.
        held_back: `held_back.parquet` of the run, with its `model` column; None if there is none.
        apparent: What the final models, with their `model` column, predict of their own training patients, where the
            splits are subsamples: adds `bootstrap_632` (see `score_632_plus`).
    """
    ours = ModelTable(predictions, splits)
    reduced: dict[str, ModelTable] = {}
    if (predictions["visit"] > 0).any():
        reduced[FUSION_AT_BASELINE] = ModelTable(predictions[predictions["visit"] == 0], splits)
        reduced[FUSION_ONE_VISIT_EARLIER] = one_visit_earlier(ours)
    if held_back is not None:
        first = predictions[predictions["visit"] == 0]  # nothing is held back there
        for name, rows in held_back.groupby("model", sort=False):
            reduced[str(name)] = ModelTable(pd.concat([first, rows], ignore_index=True), splits)
    models = {FUSION: ours, **reduced}
    if baselines is not None:
        models.update({str(name): ModelTable(rows, splits) for name, rows in baselines.groupby("model", sort=False)})
    pairs = [(FUSION, name) for name in models if name != FUSION]
    result = score_models(
        models,
        pairs,
        horizons=horizons,
        landmarks=landmarks,
        resamples=resamples,
        seed=seed,
        only=only,
        reduced=reduced,
    )
    if only is None:
        result["curves"] = score_curves(models, result["task"], horizons=horizons, resamples=resamples, seed=seed)
    if apparent is not None:
        result["bootstrap_632"] = score_632_plus(models, apparent, horizons=horizons, resamples=resamples, seed=seed)
    if subgroups is not None:
        result["subgroups"] = score_subgroups(
            models[FUSION], subgroups, horizons=horizons, resamples=resamples, seed=seed
        )
    return result


def pool_runs(runs: Sequence[ModelTable]) -> ModelTable:
    """Join runs that differ only in their seed as further repeats of one run."""
    predictions, splits, offset = [], [], 0
    for run in runs:
        predictions.append(run.predictions.assign(repeat=run.predictions["repeat"] + offset))
        splits.append(run.splits.assign(repeat=run.splits["repeat"] + offset))
        offset += int(run.splits["repeat"].max()) + 1
    return ModelTable(pd.concat(predictions, ignore_index=True), pd.concat(splits, ignore_index=True))


def compare_runs(
    runs: Mapping[str, ModelTable],
    *,
    horizons: Sequence[float] = HORIZONS,
    landmarks: Sequence[float] = LANDMARKS,
    resamples: int = 1000,
    seed: int = 0,
    many: bool = False,
) -> Json:
    """Score several runs side by side, each by its own splits, with paired differences on common patients.

    Args:
        runs: Predictions by name of the run.
        horizons: See `score_models`, as all that follow.
        landmarks: As there.
        resamples: As there.
        seed: As there.
        many: Compare with the first run alone rather than every two, and in brief: time is then linear in the runs.
    """
    first = next(iter(runs))
    pairs = [(name, first) for name in runs if name != first] if many else list(combinations(runs, 2))
    return score_models(runs, pairs, horizons=horizons, landmarks=landmarks, resamples=resamples, seed=seed, brief=many)


def summary_table(metrics: Json, landmark: float = 42.0) -> list[dict[str, str]]:
    """Rows for a printed table: one per task and model, its C-index or AUROC with interval at baseline and later."""
    rows = []
    for task, scores in metrics["task"].items():
        levels = {"baseline": scores["model"], f"day {landmark:g}": scores["landmark"].get(f"{landmark:g}", {})}
        models = dict.fromkeys(name for figures in levels.values() for name in figures if name != "compare")
        for model in (name for name in models if not name.startswith(HELD_TO_LESS)):
            shown = {level: figures[model] for level, figures in levels.items() if model in figures}
            name = "auroc" if "auroc" in next(iter(shown.values())) else "c_index"
            score = f"{task} {'AUROC' if name == 'auroc' else 'C-index'}"
            texts = {level: as_text(shown[level][name]) if level in shown else "" for level in levels}
            rows.append({"score": score, "model": model, **texts})
    return rows


def as_text(one: Mapping[str, Any]) -> str:
    """Write a figure as `.712 (.650-.770)`; an asterisk marks too few events, a dash an undefined one.

    >>> as_text({"value": 0.7123, "low": 0.65, "high": 0.77})
    '0.712 (0.650-0.770)'
    """
    if one["value"] is None:
        return "-"
    interval = "" if one["low"] is None else f" ({one['low']:.3f}-{one['high']:.3f})"
    return f"{one['value']:.3f}{interval}{'*' if one.get('note') == 'too few events' else ''}"
