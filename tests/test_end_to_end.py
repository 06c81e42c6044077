"""The whole road from the user's door: simulate, train, evaluate, predict, report, and all that a run leaves behind."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from composed import FAST, ROOT, called, on_cohort
from safetensors import safe_open

from fusion.data.read import read_cohort
from fusion.data.simulator import simulate_cohort
from fusion.data.tables import find_tables

KEYS = ["repeat", "fold", "patient_id", "visit", "day", "task"]
MODALITIES = ["clinical", "variants", "expression", "methylation", "histology", "plasma", "labs"]


def script(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Call a script as a user does."""
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def cohort_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("end_to_end") / "cohort"
    simulate_cohort(out=folder, patients=36, seed=1, patch_dim=8)
    return folder


@pytest.fixture(scope="module")
def trained(cohort_folder: Path) -> tuple[Path, str]:
    """A finished run, and what was printed."""
    folder = cohort_folder.parent / "run"
    words = [*on_cohort(cohort_folder), *FAST, "experiment=demo_fast", "split.repeats=2", "workers=2"]
    words.append(f"hydra.run.dir={folder}")
    done = script("train", *words, "trainer.lightning.max_epochs=8")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder, done.stdout


@pytest.fixture(scope="module")
def run(trained: tuple[Path, str]) -> Path:
    return trained[0]


@pytest.fixture(scope="module")
def predictions(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "predictions.parquet")


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def test_every_file_of_the_contract_is_there(run: Path):
    files = ["manifest.json", "splits.csv", "predictions.parquet", "baselines.parquet", "metrics.json"]
    files += [
        "final_model/model_card.json",
        "final_model/MODEL_CARD.md",
        "report/index.html",
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        "qc.json",
    ]
    of_fold = ["model.safetensors", "preprocessing.json", "preprocessing.safetensors", "last.ckpt", "best.ckpt"]
    files += [f"fold_{r}_{k}/{name}" for r in range(2) for k in range(2) for name in [*of_fold, "metrics.csv"]]
    assert [name for name in files if not (run / name).is_file()] == []
    assert [*run.glob("worker_*.log"), *run.glob(".*.lock")] == [], "the second process ended as it should"
    assert [path.name for path in run.rglob("*.part")] == []
    assert [path.name for path in run.rglob("*.log")] == []


def test_the_table_and_the_path_of_the_report_are_printed(trained: tuple[Path, str]):
    folder, said = trained
    for word in ("fusion", "cox_clinical", "landmark_cox", "os C-index", "pfs C-index", "response AUROC", "day 42"):
        assert word in said
    assert str(folder / "report" / "index.html") in said.replace("\n", "")
    assert max(len(line) for line in said.splitlines() if "/" not in line) <= 80, "paths are left whole, to be copied"


def test_manifest_tells_where_the_numbers_come_from(run: Path, cohort_folder: Path):
    manifest = read_json(run / "manifest.json")
    assert manifest["seed"] == 0
    assert manifest["modalities"] == MODALITIES
    assert manifest["tasks"] == ["os", "pfs", "response"]
    assert (manifest["folds"], manifest["repeats"], manifest["members"]) == (2, 2, 2)
    assert manifest["cohort"]["patients"] == 36
    assert {path.name for path in cohort_folder.iterdir() if path.is_file()} <= manifest["inputs"].keys()
    assert all(
        re.fullmatch("[0-9a-f]{64}", value) for value in [*manifest["inputs"].values(), manifest["split_sha256"]]
    )
    assert {"commit", "dirty"} == manifest["git"].keys()
    assert {"python", "torch", "fusion-oncology"} <= manifest["versions"].keys()
    assert {"cohort", "fit", "score", "report"} <= manifest["wall_seconds"].keys()
    assert manifest["peak_memory_gb"] > 0
    assert manifest["host"]
    assert manifest["device"]
    assert manifest["oracle"], "a simulated cohort knows what could be reached"
    assert not any(str(cohort_folder.parent) in text for text in map(str, manifest.values()))


def test_splits_are_disjoint_and_cover_everyone(run: Path):
    splits = pd.read_csv(run / "splits.csv")
    assert not splits.duplicated(["repeat", "fold", "patient_id"]).any()
    assert set(splits["part"]) == {"train", "val", "test"}
    tested = splits[splits["part"] == "test"]
    assert tested.groupby("repeat")["patient_id"].apply(lambda ids: ids.is_unique and len(ids) == 36).all()


def test_the_final_model_is_locked_and_says_what_it_is_for(run: Path, cohort_folder: Path, tmp_path: Path, capfd):
    card = read_json(run / "final_model" / "model_card.json")
    assert card["research_use_only"] is True
    assert "Decisions on the treatment" in card["facts"]["Not made for"]
    assert "Gives no medical advice" in (run / "final_model" / "MODEL_CARD.md").read_text()
    changed = tmp_path / "changed"
    shutil.copytree(run / "final_model", changed / "final_model")
    for name in ("config.json", "manifest.json"):
        shutil.copy(run / name, changed)
    weights = changed / "final_model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    words = [f"data.path={cohort_folder}", f"out={tmp_path / 'x.json'}"]
    assert called("predict", f"run={changed}", *words) == 1
    assert "model.safetensors is not the file that model_card.json names" in capfd.readouterr().err
    assert called("predict", f"run={run}", *words) == 0
    answer = read_json(tmp_path / "x.json")
    assert answer["model"]["files_sha256"] == card["files_sha256"]
    assert called("predict", f"run={run}", f"data.path={cohort_folder}", f"out={tmp_path / 'x.parquet'}") == 0
    rows = pd.read_parquet(tmp_path / "x.parquet").query("task == 'os'").set_index(["patient_id", "visit"])
    for patient in answer["patients"]:
        for visit in patient["visits"]:
            said = visit["tasks"]["os"]["probabilities"]["survival_365"]
            assert abs(said - rows.loc[(patient["patient_id"], visit["visit"]), "survival_365"]) < 1e-5


def test_what_is_handed_on_predicts_the_same_and_names_nobody(run: Path, cohort_folder: Path, tmp_path: Path):
    """The guide's list: no table, no checkpoint, no inner fold; and no id of a patient in what is left."""
    given = tmp_path / "given"
    shutil.copytree(run / "final_model", given / "final_model", ignore=shutil.ignore_patterns("*.parquet", "*.ckpt"))
    shutil.copy(run / "config.json", given)
    preprocessing = given / "final_model" / "preprocessing.json"
    preprocessing.write_text(json.dumps({k: v for k, v in read_json(preprocessing).items() if k != "inner_fold"}))
    rows = []
    for folder in (run, given):
        out = tmp_path / f"{folder.name}.parquet"
        assert called("predict", f"run={folder}", f"data.path={cohort_folder}", f"out={out}") == 0
        rows.append(pd.read_parquet(out))
    pd.testing.assert_frame_equal(*rows)
    left = b"".join(path.read_bytes() for path in given.rglob("*") if path.is_file())
    assert not [patient for patient in rows[0]["patient_id"].unique() if patient.encode() in left]


@pytest.mark.parametrize("name", ["predictions", "baselines"])
def test_predictions_are_of_held_out_patients_each_visit_once_per_repeat(name: str, run: Path, cohort_folder: Path):
    rows = pd.read_parquet(run / f"{name}.parquet")
    model = ["model"] if name == "baselines" else []
    assert set(KEYS + model) <= set(rows.columns)
    assert not rows.duplicated(["repeat", "patient_id", "visit", "task", *model]).any()
    splits = pd.read_csv(run / "splits.csv")
    held_out = splits[splits["part"] == "test"].set_index(["repeat", "fold", "patient_id"]).index
    assert set(rows.set_index(["repeat", "fold", "patient_id"]).index) == set(held_out)
    visits = read_cohort(cohort_folder).visits
    groups = rows.groupby(["repeat", "task", *model]).size()
    assert (groups == len(visits)).all()


@pytest.mark.parametrize("name", ["predictions", "baselines"])
def test_curves_fall_and_probabilities_sum_to_one(name: str, run: Path):
    rows = pd.read_parquet(run / f"{name}.parquet")
    times = read_json(run / "manifest.json")["survival_times"]
    columns = [f"survival_{time:g}" for time in times]
    curves = rows[rows["task"].isin(["os", "pfs"])]
    survival = curves[columns].to_numpy()
    assert np.isfinite(survival).all()
    assert ((survival >= 0) & (survival <= 1)).all()
    assert (np.diff(survival, axis=1) <= 1e-9).all()
    assert np.isfinite(curves["risk"]).all()
    assert set(curves["risk_group"]) <= {0, 1, 2}
    response = rows[rows["task"] == "response"]
    np.testing.assert_allclose(response["prob_responder"] + response["prob_nonresponder"], 1, atol=1e-6)
    assert response["prob_responder"].between(0, 1).all()
    assert response["risk"].isna().all()


def test_targets_are_those_of_the_cohort(predictions: pd.DataFrame, cohort_folder: Path):
    outcomes = read_cohort(cohort_folder).outcomes
    rows = predictions[(predictions["task"] == "os") & predictions["at_risk"]]
    truth = outcomes.loc[rows["patient_id"]]
    np.testing.assert_allclose(rows["day"] + rows["duration"], truth["os_days"].to_numpy(dtype=float))
    assert (rows["event"].to_numpy() == truth["os_event"].to_numpy(dtype=bool)).all()
    rows = predictions[(predictions["task"] == "response") & predictions["at_risk"].astype(bool)]
    assert (rows["day"].to_numpy() < outcomes.loc[rows["patient_id"], "response_day"].to_numpy(dtype=float)).all()


def test_metrics_hold_every_figure_of_the_schema(run: Path):
    metrics = read_json(run / "metrics.json")["task"]
    assert metrics.keys() == {"os", "pfs", "response"}
    figures = metrics["os"]["model"]["fusion"]
    assert {"c_index", "c_index_uno", "ibs", "auc", "brier", "calibration_slope", "n", "events"} <= figures.keys()
    assert {"value", "low", "high"} <= figures["c_index"].keys()
    assert figures["c_index"]["low"] <= figures["c_index"]["value"] <= figures["c_index"]["high"]
    assert {"180", "365"} <= figures["auc"].keys()
    assert figures["n"] == 36
    assert {"km", "cox_stage", "cox_clinical", "cox_all", "landmark_cox", "fusion"} <= metrics["os"]["model"].keys()
    assert {"42", "84"} == metrics["os"]["landmark"].keys()
    assert {"value", "low", "high", "p"} <= metrics["os"]["compare"]["fusion - cox_clinical"]["c_index"].keys()
    assert {"auroc", "auprc", "brier", "calibration_slope"} <= metrics["response"]["model"]["fusion"].keys()
    assert {"logistic_clinical", "logistic_all"} <= metrics["response"]["model"].keys()


def test_report_is_made_and_made_again(run: Path, capfd: pytest.CaptureFixture[str]):
    page = run / "report" / "index.html"
    before = page.read_text()
    page.unlink()
    assert called("report", f"run={run}") == 0
    assert re.sub(r", report \d+ s", "", page.read_text()) == before, "all but the time that the report itself took"
    assert "report:" in capfd.readouterr().out


def test_evaluate_gives_the_same_scores(run: Path, tmp_path: Path):
    out = tmp_path / "scores.json"
    assert called("evaluate", f"runs=[{run}]", f"out={out}", "resamples=20") == 0
    (scores,) = read_json(out)["runs"].values()
    assert (scores["settings"].pop("runs"), scores["settings"].pop("runs_in_full")) == (1, 1)
    assert scores == read_json(run / "metrics.json")


def test_weights_are_plain_tensors(run: Path):
    for path in run.rglob("model.safetensors"):
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys() if name.startswith("members.")}  # noqa: SIM118
        assert len(weights) > 20
        assert all(weight.isfinite().all() for weight in weights.values())


# --- another cohort --------------------------------------------------------------------------------------------------


def predict(run: Path, cohort: Path, out: Path) -> pd.DataFrame:
    assert called("predict", f"run={run}", f"data.path={cohort}", f"out={out}") == 0
    return pd.read_parquet(out).sort_values(["task", "patient_id", "visit"], ignore_index=True)


def rewrite_matrix(folder: Path, name: str, change: object) -> None:
    (path,) = find_tables(folder, name)
    change(pd.read_parquet(path)).to_parquet(path, index=False)  # type: ignore[operator]


@pytest.fixture(scope="module")
def others(cohort_folder: Path) -> Path:
    """Other patients, as the same assays would measure them."""
    folder = cohort_folder.parent / "others"
    simulate_cohort(out=folder, patients=20, seed=2, patch_dim=8)
    return folder


@pytest.fixture(scope="module")
def of_others(run: Path, others: Path) -> pd.DataFrame:
    return predict(run, others, run.parent / "others.parquet")


def numbers(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.filter(regex="^(risk$|survival_|prob_)")


def test_predictions_of_the_training_cohort_are_finite(run: Path, cohort_folder: Path, tmp_path: Path):
    rows = predict(run, cohort_folder, tmp_path / "deep" / "out.parquet")
    assert rows["patient_id"].nunique() == 36
    values = numbers(rows[rows["task"] == "os"].drop(columns=["prob_responder", "prob_nonresponder"], errors="ignore"))
    assert np.isfinite(values.to_numpy()).all()


def test_order_of_genes_and_genes_beyond_the_model_change_nothing(
    run: Path, others: Path, of_others: pd.DataFrame, tmp_path: Path
):
    copy = tmp_path / "cohort"
    copy_cohort(others, copy)

    def shuffled(table: pd.DataFrame) -> pd.DataFrame:
        extra = table.iloc[:3].copy()
        extra.iloc[:, 0] = ["extra1", "extra2", "extra3"]
        return pd.concat([table, extra]).sample(frac=1, random_state=0)

    for name in ("expression", "methylation"):
        (path,) = find_tables(copy, name)
        table = pd.read_parquet(path)
        first = table.columns[0]
        # library size is over all genes, so that further genes of a count matrix have to carry no reads
        table = shuffled(table)
        extra = table[first].astype(str).str.startswith("extra")
        if name == "expression":
            table.loc[extra, table.columns[1:]] = 0
        table.to_parquet(path, index=False)
    rows = predict(run, copy, tmp_path / "out.parquet")
    np.testing.assert_allclose(numbers(rows), numbers(of_others), atol=1e-6)


def test_missing_genes_and_modalities_are_said_and_survived(
    run: Path, others: Path, of_others: pd.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    copy = tmp_path / "cohort"
    copy_cohort(others, copy)
    rewrite_matrix(copy, "expression", lambda table: table.iloc[: len(table) // 2])
    samples = pd.read_csv(copy / "samples.csv")
    samples[~samples["modality"].isin(["labs", "histology"])].to_csv(copy / "samples.csv", index=False)
    (copy / "labs.csv").unlink()
    for path in (copy / "histology").iterdir():
        path.unlink()
    (copy / "histology").rmdir()
    rows = predict(run, copy, tmp_path / "out.parquet")
    said = capfd.readouterr().out.replace("\n", " ")
    assert re.search(r"expression: \d+ features not in this cohort", said)
    assert "labs: no sample" in said
    assert "histology: no sample" in said
    values = numbers(rows[rows["task"] == "os"]).dropna(axis=1, how="all").to_numpy()
    assert np.isfinite(values).all()
    assert set(rows["patient_id"]) == set(of_others["patient_id"])


def test_a_cohort_with_no_modality_of_the_model_is_refused(
    run: Path, others: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    values = read_json(run / "config.json")
    del values["modalities"]["clinical"]
    bare = tmp_path / "run"
    bare.mkdir()
    (bare / "config.json").write_text(json.dumps(values))
    (bare / "fold_0_0").symlink_to(run / "fold_0_0")
    copy = tmp_path / "cohort"
    copy.mkdir()
    for name in ("cohort.yaml", "patients.csv", "outcomes.csv"):
        (copy / name).write_bytes((others / name).read_bytes())
    (copy / "samples.csv").write_text("sample_id,patient_id,day,modality\n")
    assert called("predict", f"run={bare}", f"data.path={copy}", f"out={tmp_path / 'x.parquet'}") == 1
    assert "no sample of any modality" in capfd.readouterr().err


def copy_cohort(source: Path, target: Path) -> None:
    """A copy of a cohort without the simulator's truth."""
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_file() and "truth" not in place.parts:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())


# --- sweeps ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep(cohort_folder: Path) -> Path:
    folder = cohort_folder.parent / "sweep"
    words = [*on_cohort(cohort_folder), *FAST, "baselines=none", "task=[os]", "members=1", "evaluation.report=false"]
    choice = "modality=[clinical],[clinical,expression]"
    assert called("train", "-m", "seed=0,1", choice, *words, f"hydra.sweep.dir={folder}") == 0
    return folder


def test_a_sweep_has_a_run_folder_per_job(sweep: Path):
    assert {path.parent.name for path in sweep.glob("*/predictions.parquet")} == {"0", "1", "2", "3"}


def test_evaluate_pools_the_jobs_by_seed_and_compares_by_modality(sweep: Path, tmp_path: Path):
    out = tmp_path / "sweep.json"
    assert called("evaluate", f"runs=[{sweep}]", f"out={out}", "resamples=20") == 0
    scores = read_json(out)
    one, both = "modality=[clinical]", "modality=[clinical,expression]"
    assert set(scores["runs"]) == {one, both}
    assert scores["compare"]["task"]["os"]["model"].keys() == {one, both}
    assert f"{one} - {both}" in scores["compare"]["task"]["os"]["compare"]
    seeds = [
        read_json(sweep / job / "metrics.json")["task"]["os"]["model"]["fusion"]["c_index"]["value"] for job in "02"
    ]
    pooled = scores["runs"][one]["task"]["os"]["model"]["fusion"]["c_index"]["value"]
    assert {read_json(sweep / job / "manifest.json")["modalities"][-1] for job in "02"} == {"clinical"}
    assert pooled == pytest.approx(np.mean(seeds)), "repeats are averaged"
