"""The nested search: the best trial is the fold, it never meets the test part, and a killed search is taken up."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from composed import FAST, called, composed, on_cohort
from folds import FEW, first_split, predicted

from fusion.build import build_search, fold_recipe, with_settings
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables
from fusion.training.fold import load_fold
from fusion.training.tuning import Search, chosen_settings, fit_tuned_fold

SPACE = (
    "tuning=nested",
    "tuning.trials=3",
    "tuning.space.optimizer.lr={low:0.0001,high:0.1,log:true}",
    "tuning.space.model.dim={choices:[8,32]}",
    "~tuning.space.model.modality_dropout",
    "~tuning.space.optimizer.weight_decay",
)


def config_of(cohort: Cohort, *words: str) -> dict[str, Any]:
    return composed(*on_cohort(cohort.folder), *FAST, *FEW, *SPACE, *words)


def search_of(cohort: Cohort) -> Search:
    search = build_search(config_of(cohort))
    assert search is not None
    return search


def tables_of(cohort: Cohort) -> dict[str, object]:
    recipe = search_of(cohort).make_recipe({})
    return load_tables(cohort, recipe.make_modalities())


@pytest.fixture(scope="module")
def fold(tiny_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "fold"
    fit_tuned_fold(tiny_cohort, tables_of(tiny_cohort), first_split(tiny_cohort), folder, search_of(tiny_cohort))
    return folder


def test_the_best_trial_is_the_fold(tiny_cohort: Cohort, fold: Path):
    found = json.loads((fold / "tuning.json").read_text())
    losses = [trial["loss"] for trial in found["trials"]]
    assert found["loss"] == min(losses) == losses[found["best"]]
    assert found["trials"][0]["settings"] == {"optimizer.lr": 0.003, "model.dim": 32}, "the config comes first"
    assert len({json.dumps(trial["settings"]) for trial in found["trials"]}) == 3
    assert not (fold / "trials").exists()
    fitted = load_fold(fold, fold_recipe(config_of(tiny_cohort), fold))
    assert fitted.inner_loss == found["loss"]
    assert fitted.ensemble.members_of("os")[0].dim == chosen_settings(fold)["model.dim"]


def test_a_killed_search_goes_on_where_it_was(tiny_cohort: Cohort, fold: Path, tmp_path: Path):
    """Trials that were finished are not fitted again, and the search ends as if it had never stopped."""
    search, split, tables = search_of(tiny_cohort), first_split(tiny_cohort), tables_of(tiny_cohort)
    fits = []

    def stopping(settings: Any) -> Any:
        fits.append(settings)
        if len(fits) == 3:  # the third trial is never fitted
            raise KeyboardInterrupt
        return search.make_recipe(settings)

    killed = replace(search, make_recipe=stopping)
    with pytest.raises(KeyboardInterrupt):
        fit_tuned_fold(tiny_cohort, tables, split, tmp_path / "fold", killed)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "fold" / "trials").glob("*/trial.json")}
    assert len(stamps) == 2
    fit_tuned_fold(tiny_cohort, tables, split, tmp_path / "fold", search)
    straight, resumed = (json.loads((place / "tuning.json").read_text()) for place in (fold, tmp_path / "fold"))
    assert resumed["trials"] == straight["trials"]


def test_the_test_part_has_no_say(tiny_cohort: Cohort, fold: Path, tmp_path: Path):
    """Other outcomes of the test patients: the same choice and the same predictions."""
    split = first_split(tiny_cohort)
    outcomes = tiny_cohort.outcomes.copy()
    outcomes.loc[list(split.test), "os_days"] = 3.0
    outcomes.loc[list(split.test), "os_event"] = True
    spoiled = Cohort(**{**vars(tiny_cohort), "outcomes": outcomes})
    again = fit_tuned_fold(spoiled, tables_of(spoiled), split, tmp_path / "fold", search_of(spoiled))
    assert (tmp_path / "fold" / "tuning.json").read_text() == (fold / "tuning.json").read_text()
    recipe = fold_recipe(config_of(tiny_cohort), fold)
    straight = predicted(load_fold(fold, recipe), tiny_cohort, recipe, split.test)
    pd.testing.assert_series_equal(
        predicted(again, tiny_cohort, recipe, split.test)["risk"], straight["risk"], check_exact=True
    )


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("+tuning.space.optimiser.lr={low:0.1,high:1}", "has no optimiser.lr"),
        ("tuning.space.optimizer.lr={low:0.1,high:1}", "outside"),
        ("tuning.space.optimizer.lr={low:0.0,high:1.0,log:true}", "above 0 if log"),
        ("+tuning.space.trainer.patience={values:[8]}", "give choices"),
        ("+tuning.space.trainer.patience=8", "give choices"),
        ("tuning.space.model.dim={choices:[]}", "outside"),
        ("tuning.trials=0", "trials=1 or more"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(tiny_cohort: Cohort, space: str, message: str):
    config = config_of(tiny_cohort, space)
    with pytest.raises(ValueError, match=message):
        build_search(config)


def test_settings_change_a_copy():
    config = {"optimizer": {"lr": 0.1}}
    assert with_settings(config, {"optimizer.lr": 0.2}) == {"optimizer": {"lr": 0.2}}
    assert config == {"optimizer": {"lr": 0.1}}


def test_a_tuned_run_predicts_new_patients(tiny_folder: Path, tmp_path: Path):
    run = tmp_path / "run"
    words = [*on_cohort(tiny_folder), *FAST, *FEW, *SPACE, "evaluation.report=false", f"hydra.run.dir={run}"]
    assert called("train", *words) == 0
    assert all((place / "tuning.json").exists() for place in (*run.glob("fold_*"), run / "final_model"))
    for extra in ([], ["folds=true"]):
        out = tmp_path / "new.parquet"
        assert called("predict", f"run={run}", f"data.path={tiny_folder}", f"out={out}", *extra) == 0
        assert pd.read_parquet(out)["patient_id"].nunique() > 0
