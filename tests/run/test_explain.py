"""`explain` on a small run: the files, their sums, one patient, and the user's mistakes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from composed import FAST, called, on_cohort
from tiny import write_tiny_cohort

from fusion.data.dataset import load_tables
from fusion.explain.modality_values import modality_values
from fusion.explain.patches import patch_contributions
from fusion.explain.shuffled import shuffled_view
from fusion.explain.view import FoldView, open_view
from fusion.run.audit import open_study
from fusion.training.fold import load_fold

QUICK = ("permutations=2", "steps=3", "donors=6")


#: One plain model beside the network: several take most of the time.
ANCHOR = (
    "anchor=none",
    "+anchor.models.one={_target_: fusion.training.anchor.AnchorModel, first: 0.5, later: 0.5, "
    "model: {_target_: fusion.baselines.landmark.LandmarkCox, landmarks: [0.0]}}",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("explain")
    cohort, folder = write_tiny_cohort(home / "cohort", patients=20), home / "run"
    words = [word for word in FAST if word not in ("anchor=none", "baselines=core")]
    words += [
        "modality=[variants,expression,histology,plasma]",
        "task=[os,response]",
        "final_model=false",
        "trainer.lightning.max_epochs=2",
    ]
    words += ["evaluation.report=false", "baselines=none", *ANCHOR, f"hydra.run.dir={folder}"]
    assert called("train", *on_cohort(cohort), *words) == 0
    assert called("explain", f"run={folder}", *QUICK) == 0
    return folder


def test_tables_add_up_to_what_was_predicted(run: Path):
    modalities = pd.read_parquet(run / "explain" / "modalities.parquet")
    keys = ["repeat", "fold", "patient_id", "visit", "task"]
    each = modalities.groupby(keys).agg(
        total=("contribution", "sum"), base=("base", "first"), output=("output", "first")
    )
    np.testing.assert_allclose(each["base"] + each["total"], each["output"], atol=1e-5)
    predictions = pd.read_parquet(run / "predictions.parquet").set_index(keys).loc[each.index]
    survival = predictions.index.get_level_values("task") == "os"
    np.testing.assert_allclose(each["output"][survival], predictions["risk"][survival], atol=1e-4)
    odds = np.log(predictions["prob_responder"] / predictions["prob_nonresponder"])
    np.testing.assert_allclose(each["output"][~survival], odds[~survival], atol=1e-4)


def test_visits_follow_one_another(run: Path):
    visits = pd.read_parquet(run / "explain" / "visits.parquet")
    each = visits.groupby(["repeat", "fold", "task", "patient_id", "visit"]).agg(
        total=("contribution", "sum"), before=("before", "first"), after=("after", "first")
    )
    np.testing.assert_allclose(each["before"] + each["total"], each["after"], atol=1e-5)


def test_features_importance_and_next_assay_are_written(run: Path):
    folder = run / "explain"
    features = pd.read_parquet(folder / "features.parquet")
    assert set(features["modality"]) >= {"expression", "plasma", "variants"}
    assert features.groupby(["task", "repeat", "patient_id", "visit"]).size().max() <= 30
    assert "tumor_fraction" in set(features["feature"])
    figures = json.loads((folder / "importance.json").read_text())["task"]
    assert set(figures) == {"os", "response"}
    assert set(figures["os"]["baseline"]["plasma"]) >= {"value", "low", "high"}
    table = json.loads((folder / "next_assay.json").read_text())
    assert table["task"]["os"]["expression"]["patients_revealed"] > 0
    assert pd.read_parquet(folder / "next_assay.parquet")["sharpening"].ge(0).all()


def test_one_patient_is_told_in_words(run: Path, capsys: pytest.CaptureFixture[str]):
    assert called("explain", f"run={run}", "patient=P000", "task=os", *QUICK) == 0
    printed = capsys.readouterr().out
    assert "what is known:" in printed
    (folder,) = (run / "explain").glob("patient_*")
    patches = pd.read_parquet(folder / "patches.parquet")
    assert set(patches["patient_id"]) == {"P000"}
    assert patches["attention"].isna().all()  # shares of prototypes: no attention to be shown
    assert (folder / "slides" / patches["picture"].iloc[0]).read_bytes().startswith(b"<?xml")


def test_shuffled_weights_give_other_reasons(run: Path):
    """Reasons of a fitted fold rest on what it learned (Adebayo et al. 2018), assay by assay and patch by patch."""
    study = open_study(run)
    split = study.splits[0]
    place = run / f"fold_{split.repeat}_{split.fold}"
    fitted, tables = load_fold(place, study.recipe_of(place)), load_tables(study.cohort, study.recipe.make_modalities())
    view = open_view(fitted, study.cohort, tables, split.test, sorted((*split.train, *split.val)))
    other = shuffled_view(view, seed=0)

    def reasons(of: FoldView) -> list[np.ndarray]:
        values = modality_values(of.pool, of.patients)["os"].contribution
        slides = [slide for number in range(3) if (slide := patch_contributions(of, "histology", number))]
        patches = [slide.contribution["os"] for slide in slides]
        return [values[:, :, 0].flatten().double().numpy(), *(each - each.mean() for each in patches)]

    for ours, theirs in zip(reasons(view), reasons(other), strict=True):
        assert np.abs(ours).max() > 0
        assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.7
    again = reasons(shuffled_view(view, seed=0))
    np.testing.assert_array_equal(again[0], reasons(other)[0])


@pytest.mark.parametrize(("word", "told"), [("patient=P999", "held out in no fold"), ("task=pfs", "no task pfs")])
def test_mistakes_are_named(run: Path, capsys: pytest.CaptureFixture[str], word: str, told: str):
    assert called("explain", f"run={run}", word) == 1
    assert told in capsys.readouterr().err


def test_an_unfinished_run_is_refused(run: Path, tmp_path: Path):
    shutil.copy(run / "config.json", tmp_path)
    assert called("explain", f"run={tmp_path}") == 1
