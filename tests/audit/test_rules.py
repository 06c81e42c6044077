"""The audit finds every breach of a rule, and none in an honest run."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from broken_rules import LEAKS, Leak, leaking_recipe, refitted, twin_in
from leaks import with_column

from fusion.audit import Study, run_checks
from fusion.audit.folds import epochs_are_chosen_inside
from fusion.audit.inputs import (
    names_are_no_outcomes,
    no_covariate_is_too_good,
    samples_are_known_at_their_visit,
)
from fusion.audit.refit import permuted_outcomes_are_not_found
from fusion.audit.scores import below_the_oracle
from fusion.audit.splits import parts_are_disjoint, sites_are_whole
from fusion.data.read import read_cohort
from fusion.data.splits import SiteHeldOut


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: f"rule {leak.rule}, {leak.check.__name__}")
def test_a_leak_is_caught(leak: Leak, study: Study, tmp_path: Path):
    finding = leak.check(study, tmp_path)
    assert finding.rule.startswith(f"Rule {leak.rule}:")
    assert finding.verdict == ("warn" if leak.rule == 7 else "fail"), finding
    assert leak.says in finding.found
    assert finding.remedy


def test_all_twelve_rules_have_a_leak():
    assert {leak.rule for leak in LEAKS} == set(range(1, 13))


def test_where_no_inner_loss_can_be_worked_out_nothing_is_said_to_have_passed(study: Study):
    finding = epochs_are_chosen_inside([], study.cohort, study.tables)
    assert finding.verdict == "not applicable"
    assert finding.rule.startswith("Rule 9:")


@pytest.mark.parametrize("kind", ["clinical", "variants", "expression", "methylation", "histology", "plasma", "labs"])
def test_a_twin_is_found_by_any_kind_of_data(kind: str, study: Study, tmp_path: Path):
    finding = twin_in(kind)(study, tmp_path)
    assert finding.verdict == "fail"
    assert "P-9999" in finding.found
    assert ";" not in finding.found, "nobody else is taken for a twin"


def test_sites_held_out_whole_pass(study: Study):
    splits = SiteHeldOut()(study.cohort)
    by_site = replace(study, splits=tuple(splits), site_column="site")
    assert sites_are_whole(by_site.split_table, by_site.site).verdict == "pass"


def test_shared_patients_are_found(study: Study):
    first = study.splits[0]
    both = replace(first, train=(*first.train, first.test[0]))
    overlapping = replace(study, splits=(both, *study.splits[1:]))
    assert "in two parts" in parts_are_disjoint(overlapping.split_table, study.predictions).found
    twice = replace(study.splits[1], test=(*study.splits[1].test, first.test[0]))
    assert (
        "by more than one fold"
        in parts_are_disjoint(replace(study, splits=(first, twice)).split_table, study.predictions).found
    )
    strangers = study.predictions.assign(fold=1 - study.predictions["fold"])
    assert "not of its test part" in parts_are_disjoint(study.split_table, strangers).found


def test_a_covariate_that_is_the_outcome_is_found(study: Study, tmp_path: Path):
    days = study.cohort.outcomes["os_days"].to_numpy(dtype=float)
    noisy = days * np.random.default_rng(0).uniform(0.8, 1.2, len(days))
    folder = with_column(study.cohort.folder, tmp_path / "cohort", "patients", death_marker=noisy)
    cohort = read_cohort(folder)
    finding = no_covariate_is_too_good(refitted(study, cohort).visit_table, cohort.patients)
    assert finding.verdict == "fail"
    assert "patients.csv:death_marker alone has C" in finding.found
    named = names_are_no_outcomes(cohort.patients)
    assert (named.verdict, named.found) == ("warn", "column death_marker of patients.csv")
    innocent = pd.DataFrame(columns=["ecog_status", "performance_status", "progesterone", "smoking", "dose"])
    assert names_are_no_outcomes(innocent).verdict == "pass"


def test_a_sample_placed_too_early_is_found(study: Study):
    samples = study.cohort.samples.copy()
    late = samples.index[(samples["modality"] == "plasma") & (samples["visit"] > 0)][:5]
    samples.loc[late, "visit"] = 0
    finding = samples_are_known_at_their_visit(replace(study.cohort, samples=samples), study.recipe.make_modalities())
    assert (finding.verdict, finding.found[:10]) == ("fail", "plasma: 5 ")


def test_outcomes_among_the_inputs_are_found_in_permuted_outcomes(study: Study):
    leaking = leaking_recipe(study, clinical="ClinicalWithOutcome")
    finding = permuted_outcomes_are_not_found(leaking.recipe, study.cohort, study.splits, seed=0)
    assert finding.verdict == "fail"
    assert "once more, since" in finding.found


def test_a_score_above_the_truth_is_found(study: Study):
    oracle = study.manifest["oracle"]
    assert below_the_oracle(study.metrics, oracle).verdict == "pass"
    assert below_the_oracle(study.metrics, {}).verdict == "not applicable"
    low = {"os_oracle_c_index": 0.3}
    assert below_the_oracle(study.metrics, low).verdict == "fail"


def test_a_check_that_cannot_be_run_is_a_warning(study: Study, honest_run: Path, tmp_path: Path):
    other = shutil.copytree(study.cohort.folder, tmp_path / "cohort")
    (other / "labs.csv").unlink()
    cohort = replace(study.cohort, folder=other)
    findings = run_checks(replace(study, cohort=cohort), refits=0)
    broken = [each for each in findings if "could not be run" in each.found]
    assert broken
    assert {each.verdict for each in broken} == {"warn"}


def test_weights_of_another_version_are_named(study: Study):
    larger = replace(study.recipe, num_members=study.recipe.num_members + 1)
    with pytest.raises(ValueError, match="do not fit this version of the code"):
        _ = replace(study, recipe_of=lambda _: larger).folds
