"""The nested search: the best trial is the fold, it never meets the test part, and a killed search is taken up."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from composed import FAST, called, composed, on_cohort
from folds import FEW, first_split, predicted

from fusion.build import build_search, fold_recipe
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables
from fusion.training import tuning
from fusion.training.fold import load_fold
from fusion.training.search import Search, chosen_settings
from fusion.training.tuning import fit_tuned_fold, take_trials

SPACE = (
    "tuning=nested",
    "tuning.trials=3",
    "tuning.space.optimizer.lr={low:0.0001,high:0.1,log:true}",
    "tuning.space.model.dim={choices:[8,16]}",
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


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """Every trial of a fitted fold, less the time that it took."""
    trials = json.loads((folder / "tuning.json").read_text())["trials"]
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in trials]


@pytest.fixture(scope="module")
def fold(tiny_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned") / "fold"
    fit_tuned_fold(tiny_cohort, tables_of(tiny_cohort), first_split(tiny_cohort), folder, search_of(tiny_cohort))
    return folder


def test_the_best_trial_is_the_fold(tiny_cohort: Cohort, fold: Path):
    found = json.loads((fold / "tuning.json").read_text())
    losses = [trial["loss"] for trial in found["trials"]]
    assert found["loss"] == min(losses) == losses[found["best"]]
    assert found["trials"][0]["settings"] == {"optimizer.lr": 0.003, "model.dim": 16}, "the config comes first"
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
    assert trials_of(tmp_path / "fold") == trials_of(fold)


def test_the_test_part_has_no_say(tiny_cohort: Cohort, fold: Path, tmp_path: Path):
    """Other outcomes of the test patients: the same choice and the same predictions."""
    split = first_split(tiny_cohort)
    outcomes = tiny_cohort.outcomes.copy()
    outcomes.loc[list(split.test), "os_days"] = 3.0
    outcomes.loc[list(split.test), "os_event"] = True
    spoiled = Cohort(**{**vars(tiny_cohort), "outcomes": outcomes})
    again = fit_tuned_fold(spoiled, tables_of(spoiled), split, tmp_path / "fold", search_of(spoiled))
    assert trials_of(tmp_path / "fold") == trials_of(fold)
    assert chosen_settings(tmp_path / "fold") == chosen_settings(fold)
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


def test_a_tuned_run_predicts_new_patients(tiny_folder: Path, tmp_path: Path):
    run = tmp_path / "run"
    words = [*on_cohort(tiny_folder), *FAST, *FEW, *SPACE, "evaluation.report=false", f"hydra.run.dir={run}"]
    assert called("train", *words) == 0
    assert all((place / "tuning.json").exists() for place in (*run.glob("fold_*"), run / "final_model"))
    for extra in ([], ["folds=true"]):
        out = tmp_path / "new.parquet"
        assert called("predict", f"run={run}", f"data.path={tiny_folder}", f"out={out}", *extra) == 0
        assert pd.read_parquet(out)["patient_id"].nunique() > 0


# --- several processes ------------------------------------------------------------------------------------------------
# Threads stand for processes here: the lock of a trial belongs to whoever opened its file.

Work = Callable[[int], None]


@pytest.fixture
def worker(tiny_cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Takes the trials of one fold; a fit is what the test says, and its loss the number of the trial."""
    works: dict[str, Work] = {}

    def fit(cohort: Any, assays: Any, split: Any, place: Path, *rest: Any) -> SimpleNamespace:
        place.mkdir(parents=True, exist_ok=True)
        works[threading.current_thread().name](int(place.name))
        return SimpleNamespace(inner_loss=float(place.name))

    monkeypatch.setattr(tuning, "fit_fold", fit)
    search, split, tables = search_of(tiny_cohort), first_split(tiny_cohort), tables_of(tiny_cohort)

    def take(work: Work, **changes: Any) -> None:
        works[threading.current_thread().name] = work
        take_trials(tiny_cohort, tables, split, tmp_path / "run" / "fold", replace(search, **changes))

    return take


def finished(tmp_path: Path) -> set[int]:
    return {int(path.parent.name) for path in (tmp_path / "run" / "fold" / "trials").glob("*/trial.json")}


def test_workers_take_trials_in_turn_and_take_up_those_of_the_dead(worker: Callable[..., None], tmp_path: Path):
    begun, killed = threading.Event(), threading.Event()
    mine: list[int] = []

    def hang(number: int) -> None:
        if number == 1:
            begun.set()
            killed.wait()
            raise SystemExit

    def dies() -> None:
        with contextlib.suppress(SystemExit):
            worker(hang)

    other = threading.Thread(target=dies)
    other.start()
    begun.wait()
    worker(mine.append)
    assert mine == [2], "trial 0 is finished, trial 1 is being fitted by the other"
    assert finished(tmp_path) == {0, 2}
    killed.set()
    other.join()
    worker(mine.append)
    assert mine == [2, 1]
    assert finished(tmp_path) == {0, 1, 2}
    worker(mine.append)
    assert mine == [2, 1], "nothing is fitted twice"


def test_workers_draw_settings_of_their_own(worker: Callable[..., None], tmp_path: Path):
    threads = [threading.Thread(target=worker, args=(lambda _: time.sleep(0.05),), kwargs={"trials": 8}) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert finished(tmp_path) == set(range(8))
    places = (tmp_path / "run" / "fold" / "trials").glob("*/trial.json")
    assert len({json.dumps(json.loads(path.read_text())["settings"]) for path in places}) == 8


def test_time_is_a_budget_too(worker: Callable[..., None], tmp_path: Path):
    worker(lambda _: time.sleep(0.15), trials=9, minutes=0.25 / 60)
    assert finished(tmp_path) == {0, 1}
    worker(lambda _: None, trials=9, minutes=0.25 / 60)
    assert finished(tmp_path) == {0, 1}, "also after it was killed and taken up"


def test_a_shared_database_holds_the_studies_by_run(worker: Callable[..., None], tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    worker(lambda _: None, storage=url)
    optuna = pytest.importorskip("optuna")
    storage = optuna.storages.RDBStorage(url)
    assert optuna.study.get_all_study_names(storage) == [f"{tmp_path.name}/run/fold"]
    storage.remove_session()
    storage.engine.dispose()
    assert not (tmp_path / "run" / "study.db").exists()
