"""Training of a fold: it can learn, members stay apart, and every lack of data has a defined result."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from composed import FAST, called, on_cohort
from filelock import FileLock
from folds import first_split, fit, predicted, recipe_for
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays, load_tables, pack_cohort
from fusion.data.read import read_cohort
from fusion.data.scans import LESIONS
from fusion.data.splits import StratifiedKFold
from fusion.report import build_report
from fusion.training.crossvalidate import fit_jobs, fold_jobs, read_predictions
from fusion.training.ensemble import Ensemble
from fusion.training.fold import Recipe
from fusion.training.inner_folds import training_parts
from fusion.types import PatientBatch

ALL = "modality=[clinical,variants,expression,methylation,histology,plasma,labs]"


def packed(cohort: Cohort, recipe: Recipe) -> tuple[PatientBatch, Ensemble]:
    assays = load_assays(cohort, recipe.make_modalities())
    fit_assays(cohort, assays, cohort.patient_ids)
    batch = pack_cohort(cohort, assays, cohort.patient_ids, tuple(recipe.task_weights))
    ensemble = recipe.make_ensemble({name: assay.modality for name, assay in assays.items()}, seed=0)
    ensemble.prepare(batch)
    return batch, ensemble


def test_one_batch_can_be_learnt_by_heart(tiny_cohort: Cohort):
    recipe = recipe_for(tiny_cohort, ALL, "task=[os,response]", "members=1", "model.modality_dropout.rate=0")
    batch, ensemble = packed(tiny_cohort, recipe)
    inner = torch.full((batch.num_patients,), 9)
    learners = ensemble.fresh_members()
    optimizer = torch.optim.Adam(learners.parameters(), lr=0.01)
    torch.manual_seed(0)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = ensemble.training_loss(learners, training_parts(batch, inner, len(learners)))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.5 * losses[0]


def test_gradient_reaches_every_parameter(tiny_cohort: Cohort):
    recipe = recipe_for(tiny_cohort, ALL, "task=[os,pfs,response]", "model.modality_dropout.rate=0")
    batch, ensemble = packed(tiny_cohort, recipe)
    inner = torch.arange(batch.num_patients) % 2
    learners = ensemble.fresh_members()
    optimizer = torch.optim.Adam(learners.parameters(), lr=0.01)
    for _ in range(4):  # layers that begin at zero let gradients through only after a step
        optimizer.zero_grad()
        ensemble.training_loss(learners, training_parts(batch, inner, len(learners))).backward()
        optimizer.step()
    silent = [name for name, p in learners.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert [name for name in silent if not name.endswith("heads.os.bias")] == []  # a Cox loss knows no intercept


def test_a_member_learns_from_its_own_patients_alone(tiny_cohort: Cohort):
    recipe = recipe_for(tiny_cohort)
    batch, ensemble = packed(tiny_cohort, recipe)
    learners = ensemble.fresh_members().eval()
    inner = torch.arange(batch.num_patients) % 2
    outputs = [learner(batch) for learner in learners]
    for index, output in enumerate(outputs):
        share = (inner != index).float()
        (gradient,) = torch.autograd.grad(ensemble.total(ensemble.loss(output, batch, share)), output["os"])
        assert gradient[inner == index].abs().sum() == 0
        assert gradient[inner != index].abs().sum() > 0
    loss = ensemble.training_loss(learners, training_parts(batch, torch.zeros_like(inner), len(learners)))
    others = torch.autograd.grad(loss, list(learners[0].parameters()), allow_unused=True)
    assert all(gradient is None or not gradient.abs().sum() for gradient in others), "member 0 leaves everyone out"


def test_mini_batches_train_too(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort, "trainer.batch_size=1", "trainer.lightning.max_epochs=2")
    rows = predicted(fit(tiny_cohort, tmp_path, recipe), tiny_cohort, recipe)
    assert np.isfinite(rows.loc[rows["task"] == "os", "risk"]).all()


def test_same_seed_same_run_other_seed_other_run(tiny_cohort: Cohort, tmp_path: Path):
    risks = []
    for number, seed in enumerate((0, 0, 1)):
        recipe = recipe_for(tiny_cohort, f"seed={seed}")
        rows = predicted(
            fit(tiny_cohort, tmp_path / str(number), recipe, first_split(tiny_cohort)), tiny_cohort, recipe
        )
        risks.append(rows.loc[rows["task"] == "os", "risk"].to_numpy())
    np.testing.assert_array_equal(risks[0], risks[1])
    assert not np.array_equal(risks[0], risks[2])


# --- lacks -----------------------------------------------------------------------------------------------------------


def finite(rows: pd.DataFrame) -> bool:
    survival = rows[rows["task"] != "response"].filter(regex="^(risk|survival_)")
    response = rows[rows["task"] == "response"].filter(regex="^prob_")
    return bool(np.isfinite(survival.to_numpy(float)).all() and np.isfinite(response.to_numpy(float)).all())


def test_a_training_part_without_any_event(tiny_cohort: Cohort, tmp_path: Path):
    outcomes = tiny_cohort.outcomes.assign(os_event=pd.array([False] * tiny_cohort.num_patients, dtype="boolean"))
    cohort = replace(tiny_cohort, outcomes=outcomes)
    recipe = recipe_for(cohort)
    assert finite(predicted(fit(cohort, tmp_path, recipe), cohort, recipe))


@pytest.mark.parametrize("response", ["NE", "CR", "PD"])
def test_a_training_part_without_two_classes_of_response(response: str, tiny_cohort: Cohort, tmp_path: Path):
    cohort = replace(tiny_cohort, outcomes=tiny_cohort.outcomes.assign(response=response))
    recipe = recipe_for(cohort)
    rows = predicted(fit(cohort, tmp_path, recipe), cohort, recipe)
    assert finite(rows)


def test_a_modality_that_no_training_patient_has_is_named(tiny_cohort: Cohort, tmp_path: Path):
    split = first_split(tiny_cohort)
    samples = tiny_cohort.samples
    samples = samples[~((samples["modality"] == "plasma") & ~samples["patient_id"].isin(split.test))]
    cohort = replace(tiny_cohort, samples=samples)
    with pytest.raises(ValueError, match="no training patient has a sample of modality 'plasma'"):
        fit(cohort, tmp_path, recipe_for(cohort), split)


def test_a_modality_that_no_test_patient_has(tiny_cohort: Cohort, tmp_path: Path):
    split = first_split(tiny_cohort)
    samples = tiny_cohort.samples
    samples = samples[~((samples["modality"] == "plasma") & samples["patient_id"].isin(split.test))]
    cohort = replace(tiny_cohort, samples=samples)
    recipe = recipe_for(cohort)
    assert finite(predicted(fit(cohort, tmp_path, recipe, split), cohort, recipe, split.test))


def test_a_patient_without_any_sample_gets_a_prediction(tiny_cohort: Cohort, tmp_path: Path):
    bare = tiny_cohort.patient_ids[-1]
    samples = tiny_cohort.samples
    assert bare not in set(samples.loc[samples["modality"] != LESIONS, "patient_id"])
    recipe = recipe_for(tiny_cohort, "modality=[plasma,expression]")
    rows = predicted(fit(tiny_cohort, tmp_path, recipe), tiny_cohort, recipe, [bare])
    assert len(rows) == 2
    assert finite(rows)


def test_company_in_a_batch_does_not_matter(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort, ALL)
    fitted = fit(tiny_cohort, tmp_path, recipe)
    together = predicted(fitted, tiny_cohort, recipe)
    for patient in tiny_cohort.patient_ids[::6]:
        alone = predicted(fitted, tiny_cohort, recipe, [patient])
        mine = together[together["patient_id"] == patient].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, mine, atol=1e-5, check_exact=False)


# --- small and poor cohorts, through the command ---------------------------------------------------------------------

PAGES = "evaluation.report=true"


def run(cohort: Path, folder: Path, *words: str) -> pd.DataFrame:
    """Predictions of a run, which can be reported too; `PAGES` among the words asks for every page."""
    last = [*FAST, "anchor=linear", "final_model=false", f"hydra.run.dir={folder}", "evaluation.report=false", *words]
    assert called("train", *on_cohort(cohort), *last) == 0
    report = folder / "report" / "index.html" if PAGES in words else build_report(folder)
    assert report.exists()
    rows = pd.read_parquet(folder / "predictions.parquet")
    assert finite(rows)
    return rows


def drop_columns(path: Path, pattern: str) -> None:
    table = pd.read_csv(path)
    table.drop(columns=table.filter(regex=pattern).columns).to_csv(path, index=False)


def test_twelve_patients(tmp_path: Path):
    rows = run(write_tiny_cohort(tmp_path / "cohort", patients=12), tmp_path / "run")
    assert rows["patient_id"].nunique() == 12


def test_one_visit_each(tmp_path: Path):
    cohort = write_tiny_cohort(tmp_path / "cohort", patients=20, visits=1)
    samples = pd.read_csv(cohort / "samples.csv")
    samples.assign(available_day=samples["day"]).to_csv(cohort / "samples.csv", index=False)
    rows = run(cohort, tmp_path / "run", "members=1")
    assert (rows["visit"] == 0).all()


def test_without_response_and_without_progression(tmp_path: Path):
    cohort = write_tiny_cohort(tmp_path / "cohort", patients=16)
    drop_columns(cohort / "outcomes.csv", "^(pfs|response)")
    settings = (cohort / "cohort.yaml").read_text().replace("[os, pfs]", "[os]")
    (cohort / "cohort.yaml").write_text(settings)
    assert set(run(cohort, tmp_path / "run")["task"]) == {"os"}


def test_nobody_died(tmp_path: Path):
    cohort = write_tiny_cohort(tmp_path / "cohort", patients=16)
    outcomes = pd.read_csv(cohort / "outcomes.csv")
    outcomes["pfs_event"] = outcomes["pfs_event"].where(outcomes["pfs_event"].isna(), 0)
    outcomes.assign(os_event=0).to_csv(cohort / "outcomes.csv", index=False)
    run(cohort, tmp_path / "run", PAGES)


def test_clinical_covariates_alone(tmp_path: Path):
    source = write_tiny_cohort(tmp_path / "source", patients=16)
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    for name in ("patients.csv", "outcomes.csv", "cohort.yaml"):
        shutil.copy(source / name, cohort / name)
    (cohort / "samples.csv").write_text("sample_id,patient_id,day,modality\n")
    rows = run(cohort, tmp_path / "run", PAGES)
    assert (rows["visit"] == 0).all()


def test_finished_folds_are_kept(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort)
    jobs = fold_jobs(tmp_path, StratifiedKFold(folds=2, repeats=1)(tiny_cohort))
    tables = load_tables(tiny_cohort, recipe.make_modalities())
    fit_jobs(tiny_cohort, tables, jobs, recipe)
    first = read_predictions(jobs)
    assert first.baselines.empty
    stamp = (tmp_path / "fold_0_0" / "model.safetensors").stat().st_mtime_ns
    fit_jobs(tiny_cohort, tables, jobs, recipe)
    assert (tmp_path / "fold_0_0" / "model.safetensors").stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(first.predictions, read_predictions(jobs).predictions)


def test_a_fold_that_another_process_is_at_is_left_to_it(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_for(tiny_cohort)
    first, second = fold_jobs(tmp_path, StratifiedKFold(folds=2, repeats=1)(tiny_cohort))
    tables = load_tables(tiny_cohort, recipe.make_modalities())
    with FileLock(tmp_path / ".fold_0_0.lock"):
        fit_jobs(tiny_cohort, tables, [first, second], recipe, stay=False)
        assert (first.done, second.done) == (False, True)
    fit_jobs(tiny_cohort, tables, [first, second], recipe)  # what a process that was killed has left
    assert first.done


def test_a_cohort_read_twice_is_the_same(tiny_folder: Path, tiny_cohort: Cohort):
    again = read_cohort(tiny_folder)
    pd.testing.assert_frame_equal(again.samples, tiny_cohort.samples)
