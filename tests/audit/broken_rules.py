"""For each of the twelve rules against leakage a variant of an honest run that breaks it, and what should find it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from composed import composed, on_cohort
from leaks import with_column, with_twin

from fusion.audit import Finding, Study
from fusion.audit.duplicates import no_duplicates_across_parts
from fusion.audit.folds import epochs_are_chosen_inside, open_folds
from fusion.audit.future import future_samples_change_nothing, future_visits_change_nothing
from fusion.audit.inputs import covariates_are_of_baseline, response_is_not_told_early
from fusion.audit.refit import held_out_part_changes_nothing
from fusion.audit.scores import brier_weights, only_those_at_risk, patients_are_counted_once
from fusion.audit.splits import inner_folds_lie_inside, sites_are_whole
from fusion.audit.visits import visits_tell_nothing
from fusion.build import build_recipe
from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays
from fusion.data.read import read_cohort
from fusion.data.simulator import simulate_cohort
from fusion.metrics import score_run
from fusion.run.folder import config_of
from fusion.survival import kaplan_meier
from fusion.training.predictions import target_rows


def leaking_recipe(study: Study, **targets: str) -> Study:
    """The study with other classes in its config, by the name of the node."""
    values = config_of(study.folder)
    for name, target in targets.items():
        node = values["model"]["temporal"] if name == "temporal" else values["modalities"][name]
        node["_target_"] = f"leaks.{target}"
    recipe = build_recipe(values)
    return replace(study, recipe=recipe, recipe_of=lambda _: recipe)


def looking_ahead(study: Study, tmp_path: Path) -> Finding:
    leaking = leaking_recipe(study, temporal="LooksAhead")
    return future_samples_change_nothing(leaking.folds[0], study.cohort, (0.0, 42.0))


def feature_looking_ahead(study: Study, tmp_path: Path) -> Finding:
    leaking = leaking_recipe(study, labs="LabsLookingAhead")
    return future_samples_change_nothing(leaking.folds[0], study.cohort, (0.0, 42.0))


def the_dead_kept(study: Study, tmp_path: Path) -> Finding:
    kept = study.predictions.assign(at_risk=True)
    return only_those_at_risk(kept, study.metrics, study.cohort)


def the_dead_scored(study: Study, tmp_path: Path) -> Finding:
    metrics = json.loads(json.dumps(study.metrics))
    at_day_84 = metrics["task"]["os"]["landmark"]["84"]["fusion"]
    at_day_84["n"] = study.cohort.num_patients
    return only_those_at_risk(study.predictions, metrics, study.cohort)


def gap_to_the_next_visit(study: Study, tmp_path: Path) -> Finding:
    leaking = leaking_recipe(study, temporal="ReadsNextGap")
    return future_visits_change_nothing(leaking.folds[0], study.cohort, (0.0, 42.0))


def scaler_of_everybody(study: Study, tmp_path: Path) -> Finding:
    leaking = leaking_recipe(study, labs="LabsOfEverybody")
    return held_out_part_changes_nothing(leaking.recipe, study.cohort, study.splits[0])


def response_among_the_labs(study: Study, tmp_path: Path) -> Finding:
    cohort = study.cohort
    responder = cohort.outcomes["response"].isin(["CR", "PR"])
    labs = pd.read_csv(cohort.folder / "labs.csv")
    patient = labs["sample_id"].str.rsplit("-", n=1).str[0]
    marker = 5 + 3 * responder.loc[patient].to_numpy() + np.random.default_rng(0).random(len(labs))
    told = read_cohort(with_column(cohort.folder, tmp_path / "cohort", "labs", marker=marker))
    return response_is_not_told_early(refitted(study, told).visit_table, study.predictions, cohort.outcomes)


def response_asked_too_late(study: Study, tmp_path: Path) -> Finding:
    rows = study.predictions
    late = rows.assign(at_risk=rows["at_risk"].where(rows["task"] != "response", True))
    return response_is_not_told_early(study.visit_table, late, study.cohort.outcomes)


def visits_counted(study: Study, tmp_path: Path) -> Finding:
    metrics = json.loads(json.dumps(study.metrics))
    rows = study.predictions[(study.predictions["task"] == "os") & (study.predictions["day"] <= 42)]
    metrics["task"]["os"]["landmark"]["42"]["fusion"]["n"] = len(rows)
    return patients_are_counted_once(study.predictions, metrics)


def informative_visits(study: Study, tmp_path: Path) -> Finding:
    simulate_cohort(
        out=tmp_path / "cohort", preset="strong", patients=240, seed=0, patch_dim=1, informative_visits=True
    )
    cohort = read_cohort(tmp_path / "cohort")
    rows = target_rows(cohort, cohort.visits, "os").assign(repeat=0, fold=0, risk=0.0)
    return visits_tell_nothing(rows, {}, (84.0, 168.0))


def weights_from_events(study: Study, tmp_path: Path) -> Finding:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusion.metrics.dynamic.censoring_survival", kaplan_meier)
        metrics = score_run(study.predictions, None, study.split_table, resamples=2)
    return brier_weights(study.predictions, study.split_table, metrics, study.cohort)


def held_out_patients_in_inner_folds(study: Study, tmp_path: Path) -> Finding:
    inner = {(f.split.repeat, f.split.fold): {**f.inner_fold, f.split.test[0]: 1} for f in study.folds}
    return inner_folds_lie_inside(study.split_table, inner)


def epoch_of_another_choice(study: Study, tmp_path: Path) -> Finding:
    folds = open_folds(study.folder, study.splits, study.recipe_of)
    ensemble = folds[0].fitted.ensemble
    state = torch.load(folds[0].folder / "last.ckpt", weights_only=True)["state_dict"]
    learners = {name.removeprefix("learners."): value for name, value in state.items() if name.startswith("learners.")}
    for task in ensemble.losses:
        ensemble.members_of(task).load_state_dict(learners)  # of the last step, whatever the inner folds said
    return epochs_are_chosen_inside(folds, study.cohort, study.tables)


def covariate_of_day_30(study: Study, tmp_path: Path) -> Finding:
    return covariates_are_of_baseline(
        with_column(study.cohort.folder, tmp_path / "cohort", "patients", marker=1.5, marker_day=30)
    )


def twin_in(kind: str) -> Callable[[Study, Path], Finding]:
    """Looks for a patient whose data of one kind are there under another id too, on the other side of the split."""

    def check(study: Study, tmp_path: Path) -> Finding:
        split = study.splits[0]
        made = build_recipe(composed(*on_cohort(study.cohort.folder))).make_modalities()
        owners = set(made[kind].placement(study.cohort)["patient_id"])
        patient = next(patient for patient in split.test if patient in owners)
        folder = with_twin(study.cohort.folder, tmp_path / "cohort", patient, "P-9999", {made[kind].assay})
        cohort = read_cohort(folder)
        rows = [(0, 0, p, "test") for p in split.test] + [(0, 0, p, "train") for p in (*split.train, "P-9999")]
        splits = pd.DataFrame(rows, columns=["repeat", "fold", "patient_id", "part"])
        chosen = {kind: made[kind]}
        tables = {name: assay.table for name, assay in load_assays(cohort, chosen).items()}
        return no_duplicates_across_parts(cohort, chosen, tables, splits)

    return check


def site_on_both_sides(study: Study, tmp_path: Path) -> Finding:
    return sites_are_whole(study.split_table, study.cohort.patients["site"].to_dict())


def refitted(study: Study, cohort: Cohort) -> Study:
    """A study of another cohort, of which only the preprocessing of the first fold is made anew."""
    modalities = study.recipe.make_modalities()
    assays = load_assays(cohort, modalities)
    fit_assays(cohort, assays, study.folds[0].inside)
    fold = study.folds[0]
    changed = replace(study, cohort=cohort)
    changed.__dict__["folds"] = [replace(fold, fitted=replace(fold.fitted, modalities=modalities))]
    return changed


@dataclass(frozen=True)
class Leak:
    """A variant that breaks a rule, and what finds it."""

    rule: int
    check: Callable[[Study, Path], Finding]
    says: str


LEAKS = [
    Leak(1, looking_ahead, "earlier predictions change"),
    Leak(1, feature_looking_ahead, "earlier predictions change"),
    Leak(2, the_dead_kept, "count after the event"),
    Leak(2, the_dead_scored, "still at risk"),
    Leak(3, gap_to_the_next_visit, "delayed"),
    Leak(4, scaler_of_everybody, "preprocessing.json depends on the test part"),
    Leak(5, response_among_the_labs, "labs:marker alone"),
    Leak(5, response_asked_too_late, "assessed already"),
    Leak(6, visits_counted, "of 70 patients"),
    Leak(7, informative_visits, "number of visits alone"),
    Leak(8, weights_from_events, "weights from the event curve"),
    Leak(9, held_out_patients_in_inner_folds, "test patients are in inner folds"),
    Leak(9, epoch_of_another_choice, "saved weights have"),
    Leak(10, covariate_of_day_30, "marker_day"),
    Leak(11, twin_in("labs"), "P-9999"),
    Leak(12, site_on_both_sides, "on both sides"),
]
