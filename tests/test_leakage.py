"""Nothing that a prediction may not know reaches it: not the test part, not the future, not the outcome."""

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from composed import FAST, composed, on_cohort
from folds import first_split, fit, predicted
from safetensors.torch import load_file
from tiny import write_tiny_cohort

from fusion.build import build_recipe
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_assays, pack_cohort
from fusion.data.read import read_cohort
from fusion.data.splits import Split
from fusion.data.targets import visit_responses
from fusion.data.visit_table import build_visit_table
from fusion.training.baselines import fit_baselines
from fusion.training.fold import Recipe, load_fold

ALL = "modality=[clinical,variants,expression,methylation,plasma_methylation,histology,plasma,labs,lesions]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("leakage") / "cohort", patients=24)


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    return read_cohort(folder)


@pytest.fixture(scope="module")
def split(cohort: Cohort) -> Split:
    return first_split(cohort)


def recipe_of(cohort: Cohort) -> Recipe:
    return build_recipe(composed(*on_cohort(cohort.folder), *FAST, ALL, "anchor=linear"))


@pytest.fixture(scope="module")
def before(cohort: Cohort, split: Split, folder: Path) -> Path:
    """The folder of a fold that was fitted to the cohort as it is."""
    fit(cohort, folder.parent / "before", recipe_of(cohort), split)
    return folder.parent / "before"


def changed_copy(source: Path, target: Path, samples: set[str], patients: set[str] = frozenset()) -> Path:
    """A copy of a cohort in which every number of these samples, and of these patients' tables, is another."""
    shutil.copytree(source, target)
    rng = np.random.default_rng(99)
    for path in target.glob("histology/*.h5"):
        if path.stem in samples:
            with h5py.File(path, "r+") as file:
                shape = file["features"].shape
                file["features"][...] = 50 * rng.normal(size=shape)
    for name in ("methylation.parquet", "methylation_coverage.parquet"):
        table = pd.read_parquet(target / name)
        for sample in samples & set(table.columns):
            other = rng.random(len(table)) if "coverage" not in name else rng.integers(20, 60, len(table))
            table[sample] = other
        table.to_parquet(target / name)
    table = pd.read_csv(target / "expression.tsv.gz", sep="\t")
    for sample in samples & set(table.columns):
        table[sample] = rng.integers(0, 5000, len(table))
    table.to_csv(target / "expression.tsv.gz", sep="\t", index=False)
    maf = pd.read_csv(target / "variants.maf", sep="\t", comment="#")
    mine = maf["Tumor_Sample_Barcode"].isin(samples)
    maf.loc[mine, ["Hugo_Symbol", "t_alt_count"]] = ["NOTCH1", 1]
    maf.to_csv(target / "variants.maf", sep="\t", index=False)
    for name, columns in {"plasma": ["tumor_fraction", "mean_vaf"], "labs": ["value"]}.items():
        table = pd.read_csv(target / f"{name}.csv")
        mine = table["sample_id"].isin(samples)
        table.loc[mine, columns] = rng.random((int(mine.sum()), len(columns)))
        table.to_csv(target / f"{name}.csv", index=False)
    table = pd.read_csv(target / "patients.csv")
    mine = table["patient_id"].isin(patients)
    table.loc[mine, ["age", "ecog", "ldh", "stage"]] = [20.0, 4, 9999.0, "unheard-of"]
    table.to_csv(target / "patients.csv", index=False)
    table = pd.read_csv(target / "outcomes.csv")
    mine = table["patient_id"].isin(patients)
    table["os_event"] = np.where(mine, 1 - table["os_event"], table["os_event"])
    table["os_days"] = np.where(mine, table["os_days"] + 4000, table["os_days"])
    table["response"] = np.where(mine, np.where(table["response"] == "PD", "CR", "PD"), table["response"])
    table.to_csv(target / "outcomes.csv", index=False)
    return target


def test_the_test_part_never_reaches_the_model(
    cohort: Cohort, split: Split, folder: Path, before: Path, tmp_path: Path
):
    mine = set(cohort.samples.index[cohort.samples["patient_id"].isin(split.test)])
    other = read_cohort(changed_copy(folder, tmp_path / "cohort", mine, set(split.test)))
    after = tmp_path / "after"
    fit(other, after, recipe_of(other), split)
    for file in ("preprocessing.json", "preprocessing.safetensors", "metrics.csv"):
        assert (before / file).read_bytes() == (after / file).read_bytes(), file
    weights, same = (load_file(place / "model.safetensors") for place in (before, after))
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_a_training_patient_does_reach_the_model(
    cohort: Cohort, split: Split, folder: Path, before: Path, tmp_path: Path
):
    mine = set(cohort.samples.index[cohort.samples["patient_id"].isin(split.train[:3])])
    other = read_cohort(changed_copy(folder, tmp_path / "cohort", mine))
    fit(other, tmp_path / "after", recipe_of(other), split)
    states = [(place / "preprocessing.safetensors").read_bytes() for place in (before, tmp_path / "after")]
    assert states[0] != states[1], "else the test above could not fail"


def test_no_member_trains_on_the_patients_it_answers_for(cohort: Cohort, split: Split, before: Path, tmp_path: Path):
    """Weights of the member that leaves the validation part out do not move with these patients' outcomes."""
    outcomes = cohort.outcomes.copy()
    val = list(split.val)
    outcomes.loc[val, "pfs_days"] = outcomes.loc[val, "pfs_days"] / 2 + 1
    other = replace(cohort, outcomes=outcomes)
    fit(other, tmp_path / "after", recipe_of(other), split)
    weights = {}
    for name, place in {"before": before, "after": tmp_path / "after"}.items():
        checkpoint = torch.load(place / "last.ckpt", weights_only=True)["state_dict"]
        weights[name] = {key: value for key, value in checkpoint.items() if key.startswith("learners.")}
    for key, value in weights["before"].items():
        if key.startswith("learners.0."):
            assert torch.equal(value, weights["after"][key]), key
    others = [key for key in weights["before"] if key.startswith("learners.1.")]
    assert any(not torch.equal(weights["before"][key], weights["after"][key]) for key in others)


def test_baselines_do_not_see_the_test_part(cohort: Cohort, split: Split, folder: Path, tmp_path: Path):
    """Fitted on changed test outcomes, baselines predict the same for the same features."""
    from hydra.utils import instantiate

    models = [instantiate(node) for node in composed("baselines=default")["baselines"].values()]
    outcomes = cohort.outcomes.copy()
    test = list(split.test)
    outcomes.loc[test, "os_days"] += 4000
    outcomes.loc[test, "os_event"] = ~outcomes.loc[test, "os_event"]
    outcomes.loc[test, "response"] = "CR"
    recipe, rows = recipe_of(cohort), []
    for one in (cohort, replace(cohort, outcomes=outcomes)):
        assays = load_assays(one, recipe.make_modalities())
        for assay in assays.values():
            placement = assay.modality.placement(one)
            seen = placement[placement["patient_id"].isin({*split.train, *split.val})]
            assay.modality.fit(assay.table, list(seen["sample_id"]))
        rows.append(fit_baselines(models, ("os", "response"), one, assays, split, recipe.times))
    numbers = [table.filter(regex="^(risk|survival_|prob_)") for table in rows]
    pd.testing.assert_frame_equal(*numbers, check_exact=True)
    assert not rows[0]["duration"].equals(rows[1]["duration"])


def test_the_future_never_reaches_the_past(cohort: Cohort, folder: Path, before: Path, tmp_path: Path):
    """Every sample after the baseline visit changed, in the raw files: predictions at baseline stay to the last bit."""
    recipe = recipe_of(cohort)
    fitted = load_fold(before, recipe)
    now = predicted(fitted, cohort, recipe)
    for visit in (0, 1):
        later = set(cohort.samples.index[cohort.samples["visit"] > visit])
        other = read_cohort(changed_copy(folder, tmp_path / f"later{visit}", later))
        after = predicted(fitted, other, recipe)
        past = now["visit"] <= visit
        pd.testing.assert_frame_equal(now[past], after[past], check_exact=True)
        changed = now.loc[~past, "risk"].to_numpy() != after.loc[~past, "risk"].to_numpy()
        assert changed[now.loc[~past, "task"] == "os"].mean() > 0.9


def test_a_result_counts_from_the_day_it_is_known(cohort: Cohort):
    """Tissue methylation of P002 was drawn before treatment and reported on day 20."""
    late = cohort.samples.loc["P002-methylation"]
    assert late["day"] < 0
    assert late["visit"] > 0
    for patient, visit, day in cohort.visits.itertuples(index=False):
        mine = cohort.samples[(cohort.samples["patient_id"] == patient) & (cohort.samples["visit"] <= visit)]
        assert (mine["available_day"] <= day).all()


def test_response_is_asked_only_before_its_assessment(cohort: Cohort):
    response = visit_responses(cohort)
    day = cohort.outcomes.loc[cohort.visits["patient_id"], "response_day"].to_numpy(dtype=float)
    assert response.known.any()
    assert (cohort.visits["day"].to_numpy()[response.known] < day[response.known]).all()


def test_outcomes_are_no_features(cohort: Cohort, split: Split):
    recipe = recipe_of(cohort)
    assays = load_assays(cohort, recipe.make_modalities())
    for assay in assays.values():
        placement = assay.modality.placement(cohort)
        seen = placement[placement["patient_id"].isin(split.train)]
        assay.modality.fit(assay.table, list(seen["sample_id"]))
    names = {f"{name}:{feature}" for name, assay in assays.items() for feature in assay.modality.feature_names}
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    names |= set(build_visit_table(cohort, pairs, split.train, ["os"], response=True).feature_names)
    assert not [name for name in names for word in ("os_", "pfs_", "response", "event", "site") if word in name]

    outcomes = cohort.outcomes.assign(os_days=7.0, os_event=True, response="CR", response_day=400.0)
    before, after = (
        pack_cohort(one, assays, cohort.patient_ids) for one in (cohort, replace(cohort, outcomes=outcomes))
    )
    assert all(torch.equal(before.samples[name].rows, after.samples[name].rows) for name in assays)
    assert torch.equal(before.day, after.day)
