"""What only a refit tells: the test part changes nothing, and where there is no signal none is found."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file

from fusion.audit.copy import copy_without
from fusion.audit.finding import Finding, judged
from fusion.audit.ranks import FEWEST_EVENTS, Rank, baseline_rows, rank_of
from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE, load_assays, load_tables
from fusion.data.modalities.base import Modality
from fusion.data.read import read_cohort
from fusion.data.simulator import simulate_cohort
from fusion.data.splits import Split, StratifiedKFold
from fusion.data.targets import survival_tasks
from fusion.training.baselines import FitBaselines
from fusion.training.crossvalidate import fit_jobs, fold_jobs, read_predictions
from fusion.training.fit import fit_fold
from fusion.training.fold import Recipe

#: A leak shows from the first steps on.
EPOCHS = 4
#: Where the run tests on a part of the patients only, too few to judge by, all are tested on in so many folds.
FOLDS = 5
FILES = ("preprocessing.json", "preprocessing.safetensors", "model.safetensors")


def shorter(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with fewer epochs."""
    every = max(1, epochs // 2)
    return replace(recipe, make_trainer=partial(recipe.make_trainer, max_epochs=epochs, check_val_every_n_epoch=every))


def held_out_part_changes_nothing(
    recipe: Recipe, cohort: Cohort, split: Split, fit_baselines: FitBaselines | None = None
) -> Finding:
    """Rule 4: a fold fitted with the test patients in the files, and one without, are the same to the last bit.

    Args:
        recipe: What makes the model.
        cohort: The cohort.
        split: One fold.
        fit_baselines: What fits the plain models, if any.
    """
    seen = {*split.train, *split.val}
    unseen = sorted(set(cohort.patient_ids) - seen)
    # The plain models predict training patients here: of the test part there is nothing to predict in one copy.
    inside = replace(split, test=split.val or split.train)
    rows, files = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for name, left_out in (("with", []), ("without", unseen)):
            window = _visits_as_in(
                cohort, read_cohort(copy_without(cohort, left_out, Path(scratch) / f"{name}_cohort"))
            )
            assays = load_assays(window, recipe.make_modalities())
            folder = Path(scratch) / name
            fit_fold(window, assays, split, folder, shorter(recipe, EPOCHS))
            files.append({file: _content(folder / file) for file in FILES})
            if fit_baselines is not None:
                rows.append(fit_baselines(window, assays, inside, recipe.times))
    faults = [f"{file} depends on the test part" for file in FILES if not _same(files[0][file], files[1][file])]
    if rows and len(rows[0]):
        numbers = [
            table.filter(regex="^(risk|survival_|prob_|incidence_)").to_numpy(dtype=np.float64) for table in rows
        ]
        apart = ~((numbers[0] == numbers[1]) | (np.isnan(numbers[0]) & np.isnan(numbers[1]))).all(axis=1)
        faults += [f"plain model {name} depends on the test part" for name in rows[0].loc[apart, "model"].unique()]
    also = f" and {rows[0]['model'].nunique()} plain models" if rows and len(rows[0]) else ""
    return judged(
        "Rule 4: the test part changes nothing that is fitted",
        faults,
        f"preprocessing, cuts and weights of a fold{also} are the same with and without {len(unseen)} test patients",
        "fit scalers, vocabularies, cuts and choices on the sample ids that `fit` is given, and on no other",
    )


def _visits_as_in(cohort: Cohort, copy: Cohort) -> Cohort:
    """The copy with the visits of the cohort, whatever window those were made with."""
    visits = cohort.visits[cohort.visits["patient_id"].isin(copy.patient_ids)].reset_index(drop=True)
    samples = cohort.samples[cohort.samples["patient_id"].isin(copy.patient_ids)]
    return replace(copy, visits=visits, samples=samples)


Content = Mapping[str, NDArray[Any]] | bytes


def _content(path: Path) -> Content:
    return path.read_bytes() if path.suffix == ".json" else load_file(path)


def _same(one: Content, other: Content) -> bool:
    if isinstance(one, bytes) or isinstance(other, bytes):
        return one == other
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)


def permuted_outcomes_are_not_found(
    recipe: Recipe, cohort: Cohort, splits: Sequence[Split], seed: int, repeats: int = 1
) -> Finding:
    """With all outcomes of each patient given to another, nothing is left to be learned.

    Judged at the baseline visit: later on, how many visits there are tells of the follow-up that was.

    Args:
        recipe: What makes the model.
        cohort: The cohort.
        splits: Splits of the run. Those of its first repeat are used, or five folds where these test a part only.
        seed: Of the permutations.
        repeats: Permutations.
    """
    first = [split for split in splits if split.repeat == min(split.repeat for split in splits)]
    if {patient for split in first for patient in split.test} != set(cohort.patient_ids):
        first = StratifiedKFold(folds=FOLDS, repeats=1, seed=seed)(cohort)

    def attempt(number: int) -> pd.DataFrame:
        order = np.random.default_rng([seed, number]).permutation(cohort.num_patients)
        outcomes = cohort.outcomes.iloc[order].set_axis(cohort.outcomes.index)
        return _cross_validated(recipe, replace(cohort, outcomes=outcomes), first)

    times = "once" if repeats == 1 else f"{repeats} times"
    return _nothing_found("Permuted outcomes are not predicted", attempt, repeats, f"outcomes permuted {times}")


def null_cohort_is_not_predicted(recipe: Recipe, patients: int, folds: int, seed: int) -> Finding:
    """On a simulated cohort without any signal, of the run's size, the same recipe finds none.

    Args:
        recipe: What makes the model; modalities and tasks that the simulator lacks are left out.
        patients: Patients to simulate.
        folds: Folds of the cross-validation.
        seed: Of the simulation.
    """

    def attempt(number: int) -> pd.DataFrame:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "null"
            simulate_cohort(out=folder, preset="null", patients=max(patients, 20), seed=seed + number)
            cohort = read_cohort(folder)
            fitting = _as_far_as(recipe, cohort)
            splits = StratifiedKFold(folds=folds, repeats=1, seed=seed)(cohort)
            return _cross_validated(fitting, cohort, splits) if fitting is not None else pd.DataFrame(columns=["task"])

    return _nothing_found("A cohort without signal is not predicted", attempt, 1, "a simulated cohort without signal")


def _as_far_as(recipe: Recipe, cohort: Cohort) -> Recipe | None:
    """The recipe with the modalities and tasks that a cohort has; None where it has none."""
    made = {name for name, modality in recipe.make_modalities().items() if _reads(modality, cohort)}
    tasks = {
        task: weight for task, weight in recipe.task_weights.items() if task in (*survival_tasks(cohort), RESPONSE)
    }
    if not made or not tasks:
        return None
    return replace(
        recipe,
        make_modalities=lambda: {name: each for name, each in recipe.make_modalities().items() if name in made},
        make_losses=lambda: {task: loss for task, loss in recipe.make_losses().items() if task in tasks},
        task_weights=tasks,
    )


def _reads(modality: Modality, cohort: Cohort) -> bool:
    try:
        return bool(modality.sample_ids(cohort))
    except ValueError:  # covariates by name that the simulator does not have
        return False


def _cross_validated(recipe: Recipe, cohort: Cohort, splits: Sequence[Split]) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as scratch:
        tables = load_tables(cohort, recipe.make_modalities())
        jobs = fold_jobs(Path(scratch), splits)
        fit_jobs(cohort, tables, jobs, recipe)
        return read_predictions(jobs).predictions


def _nothing_found(rule: str, attempt: Callable[[int], pd.DataFrame], attempts: int, what: str) -> Finding:
    """Judge what was predicted without signal; a rank above chance must come out of one more attempt as well.

    With a 99 % interval for each of three tasks, one honest audit in seventy would fail by chance.
    """
    predictions = pd.concat([attempt(number).assign(repeat=number) for number in range(attempts)], ignore_index=True)
    ranks = _ranks(predictions)
    if not ranks:
        return Finding(rule, "not applicable", f"{what}; no task has {FEWEST_EVENTS} events to judge by")
    text = f"{what}; at baseline, with 99 % intervals: {_listed(ranks)}"
    above = [task for task, rank in ranks.items() if rank.low > 0.5]
    if not above:
        return Finding(rule, "pass", text)
    again = _ranks(attempt(attempts))
    still = [task for task in above if task in again and again[task].low > 0.5]
    text += f"; once more, since {' and '.join(above)} lay above chance: {_listed(again)}"
    remedy = "look for outcomes among the inputs, and for whatever is fitted outside the folds"
    return Finding(rule, "fail" if still else "pass", text, remedy if still else "")


def _ranks(predictions: pd.DataFrame) -> dict[str, Rank]:
    ranks = {str(task): rank_of(baseline_rows(predictions, str(task))) for task in predictions["task"].unique()}
    return {task: rank for task, rank in ranks.items() if rank.judgeable}


def _listed(ranks: Mapping[str, Rank]) -> str:
    return ", ".join(f"{task} {rank}" for task, rank in ranks.items())
