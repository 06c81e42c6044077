"""Every check of a finished run, in order: the twelve rules against leakage, then what else makes figures too good."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from fusion.audit.duplicates import no_duplicates_across_parts
from fusion.audit.finding import Finding
from fusion.audit.folds import SavedFold, epochs_are_chosen_inside, open_folds, training_gap
from fusion.audit.future import future_samples_change_nothing, future_visits_change_nothing
from fusion.audit.inputs import (
    covariates_are_of_baseline,
    names_are_no_outcomes,
    no_covariate_is_too_good,
    response_is_not_told_early,
    samples_are_known_at_their_visit,
)
from fusion.audit.refit import (
    held_out_part_changes_nothing,
    null_cohort_is_not_predicted,
    permuted_outcomes_are_not_found,
)
from fusion.audit.scores import below_the_oracle, brier_weights, only_those_at_risk, patients_are_counted_once
from fusion.audit.splits import inner_folds_lie_inside, parts_are_disjoint, sites_are_whole
from fusion.audit.visits import visits_tell_nothing
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables
from fusion.data.splits import Split
from fusion.data.targets import survival_tasks
from fusion.data.visit_table import build_visit_table
from fusion.training.baselines import FitBaselines
from fusion.training.fold import Recipe
from fusion.types import VisitTable

#: Members of the ensembles that are fitted again: a leak does not need many.
MEMBERS = 2


@dataclass(frozen=True, kw_only=True)
class Study:
    """A finished run beside the cohort that it was made on.

    Attributes:
        folder: The run folder.
        cohort: The cohort.
        splits: Splits of the run.
        predictions: `predictions.parquet`.
        metrics: `metrics.json`.
        manifest: `manifest.json`.
        recipe: How the run makes and trains a model.
        recipe_of: The same for the fold in a folder, with the settings that were chosen there.
        fit_baselines: Fits the plain models of the run, or None without any.
        site_column: Column of patients.csv by which sites were held out; None under any other protocol.
    """

    folder: Path
    cohort: Cohort
    splits: tuple[Split, ...]
    predictions: pd.DataFrame
    metrics: Mapping[str, Any]
    manifest: Mapping[str, Any]
    recipe: Recipe
    recipe_of: Callable[[Path], Recipe]
    fit_baselines: FitBaselines | None = None
    site_column: str | None = None

    @cached_property
    def split_table(self) -> pd.DataFrame:
        """The splits as `splits.csv` has them."""
        rows = [
            (split.repeat, split.fold, patient, part)
            for split in self.splits
            for part in ("train", "val", "test")
            for patient in getattr(split, part)
        ]
        return pd.DataFrame(rows, columns=["repeat", "fold", "patient_id", "part"])

    @cached_property
    def tables(self) -> dict[str, object]:
        """Raw table of every modality."""
        return load_tables(self.cohort, self.recipe.make_modalities())

    @cached_property
    def folds(self) -> list[SavedFold]:
        """The fitted folds."""
        return open_folds(self.folder, self.splits, self.recipe_of)

    @cached_property
    def visit_table(self) -> VisitTable:
        """Features of all patients as the first fold reads them, beside their outcomes."""
        fitted = self.folds[0].fitted.modalities
        pairs = [(modality, self.tables[name]) for name, modality in fitted.items() if self.tables[name] is not None]
        endpoints = [task for task in self.recipe.task_weights if task in survival_tasks(self.cohort)]
        response = "response" in self.recipe.task_weights
        return build_visit_table(self.cohort, pairs, self.cohort.patient_ids, endpoints, response=response)

    @property
    def landmarks(self) -> tuple[float, ...]:
        """Days after baseline at which the run was scored."""
        return tuple(float(day) for day in self.manifest.get("landmarks", ()))

    @property
    def site(self) -> Mapping[str, str] | None:
        """Site by patient, where sites were held out."""
        return None if self.site_column is None else self.cohort.patients[self.site_column].astype(str).to_dict()


def run_checks(study: Study, refits: int = 1, say: Callable[[str], None] = lambda _: None) -> list[Finding]:
    """Run every check; one that cannot be run is a warning of its own.

    Args:
        study: The run.
        refits: Permutations of the outcomes that the recipe is fitted to; with 0 there is no null cohort either.
        say: Told what is being looked at.
    """
    cohort, predictions, metrics, splits = study.cohort, study.predictions, study.metrics, study.split_table
    fold, modalities = study.folds[0], study.folds[0].fitted.modalities
    cuts = (0.0, *study.landmarks)
    small = replace(study.recipe, num_members=min(MEMBERS, study.recipe.num_members))
    seed, folds = study.recipe.seed, max(2, len({split.fold for split in study.splits}))
    inner = {(each.split.repeat, each.split.fold): each.inner_fold for each in study.folds}
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("later samples", lambda: future_samples_change_nothing(fold, cohort, cuts)),
        ("patients at risk", lambda: only_those_at_risk(predictions, metrics, cohort)),
        ("later visits", lambda: future_visits_change_nothing(fold, cohort, cuts)),
        ("the test part", lambda: held_out_part_changes_nothing(small, cohort, fold.split, study.fit_baselines)),
        ("response", lambda: response_is_not_told_early(study.visit_table, predictions, cohort.outcomes)),
        ("patients counted", lambda: patients_are_counted_once(predictions, metrics)),
        ("the visit process", lambda: visits_tell_nothing(predictions, metrics, study.landmarks)),
        ("Brier weights", lambda: brier_weights(predictions, splits, metrics, cohort)),
        ("inner folds", lambda: inner_folds_lie_inside(splits, inner)),
        ("epochs", lambda: epochs_are_chosen_inside(study.folds, cohort, study.tables)),
        ("baseline covariates", lambda: covariates_are_of_baseline(cohort.folder)),
        ("duplicates", lambda: no_duplicates_across_parts(cohort, modalities, study.tables, splits)),
        ("sites", lambda: sites_are_whole(splits, study.site)),
        ("parts", lambda: parts_are_disjoint(splits, predictions)),
        ("days of samples", lambda: samples_are_known_at_their_visit(cohort, modalities)),
        ("single covariates", lambda: no_covariate_is_too_good(study.visit_table, cohort.patients)),
        ("names of covariates", lambda: names_are_no_outcomes(cohort.patients)),
        ("training patients", lambda: training_gap(study.folds, predictions, cohort, study.tables)),
        ("the oracle", lambda: below_the_oracle(metrics, study.manifest.get("oracle") or {})),
    ]
    if refits:
        checks += [
            (
                "permuted outcomes",
                lambda: permuted_outcomes_are_not_found(small, cohort, study.splits, seed, repeats=refits),
            ),
            (
                "a cohort without signal",
                lambda: null_cohort_is_not_predicted(small, cohort.num_patients, folds, seed),
            ),
        ]
    findings = []
    for number, (name, check) in enumerate(checks, start=1):
        say(f"{number}/{len(checks)} {name}")
        try:
            findings.append(check())
        except ValueError as error:
            remedy = "mend what the message names, and run the audit again"
            findings.append(Finding(f"The check of {name}", "warn", f"could not be run: {error}", remedy))
    return findings
