"""Every option of every config group composes, builds, and takes one training step; every experiment composes."""

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from composed import FAST, ROOT, composed, on_cohort
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from tiny import write_tiny_cohort

from fusion.build import build_recipe, build_search, build_splitter, fitting_config
from fusion.cli import CONFIGS
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_assays
from fusion.data.read import read_cohort
from fusion.data.splits import StratifiedKFold
from fusion.run.sweep import LAUNCHERS
from fusion.training.fit import fit_fold
from fusion.training.fold import FittedFold

EPOCH = [*FAST, "members=1", "trainer.lightning.max_epochs=1"]
#: Any modality and its encoder go with any of the others; these few keep the step short.
FEW = "modality=[clinical,plasma]"


def options(group: str) -> list[str]:
    found = sorted(path.stem for path in (ROOT / "configs" / group).glob("*.yaml"))
    assert found, group
    return found


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A cohort that has all that any option asks for: an enrolment year, and an endpoint for every task."""
    folder = write_tiny_cohort(tmp_path_factory.mktemp("configs") / "cohort", patients=24)
    patients = pd.read_csv(folder / "patients.csv")
    patients.assign(enrolment=range(2000, 2000 + len(patients))).to_csv(folder / "patients.csv", index=False)
    outcomes = pd.read_csv(folder / "outcomes.csv")
    for task in options("task"):
        if f"{task}_days" not in outcomes and task != "response":
            outcomes[f"{task}_days"], outcomes[f"{task}_event"] = outcomes["os_days"], outcomes["os_event"]
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    return read_cohort(folder)


def one_step(cohort: Cohort, folder: Path, *overrides: str) -> FittedFold:
    """Compose, build, and fit a fold for one epoch."""
    config = composed(*on_cohort(cohort.folder), *EPOCH, *overrides)
    recipe = build_recipe(config)
    assays = load_assays(cohort, recipe.make_modalities())
    split = StratifiedKFold(folds=2, repeats=1)(cohort)[0]
    fitted = fit_fold(cohort, assays, split, folder, recipe)
    tables = {name: assay.table for name, assay in assays.items()}
    rows = fitted.predict(cohort, tables, split.test, recipe.times)
    assert set(rows["task"]) == set(config["tasks"])
    numbers = rows.filter(regex="^(risk|survival_|prob_)").stack()
    assert len(numbers)
    assert numbers.abs().lt(1e6).all()
    return fitted


@pytest.mark.parametrize("option", options("modality"))
def test_modality(option: str, cohort: Cohort, tmp_path: Path):
    fitted = one_step(cohort, tmp_path, f"modality=[{option}]", "task=[os]")
    assert list(fitted.modalities) == [option]


@pytest.mark.parametrize("option", options("encoder"))
def test_encoder_suits_a_modality(option: str, cohort: Cohort, tmp_path: Path):
    errors = {}
    for modality in ("expression", "histology", "variants", "methylation_regions", "expression_pathways"):
        try:
            swap = f"encoder@model.encoders.{modality}={option}"
            one_step(cohort, tmp_path / modality, f"modality=[{modality}]", swap, "task=[os]")
        except Exception as error:
            errors[modality] = error
    assert len(errors) < 5, errors


@pytest.mark.parametrize("option", options("loss"))
def test_loss_suits_a_task(option: str, cohort: Cohort, tmp_path: Path):
    errors = {}
    for task in ("os", "response"):
        try:
            one_step(cohort, tmp_path / task, FEW, f"task=[{task}]", f"loss@tasks.{task}.loss={option}")
        except Exception as error:
            errors[task] = error
    assert len(errors) == 1, errors


@pytest.mark.parametrize(
    ("group", "option"),
    [
        (group, option)
        for group in (
            *("fusion", "temporal", "optimizer", "trainer", "logger"),
            *("anchor", "pretraining", "task_weights", "modality_dropout"),
        )
        for option in options(group)
        if option != "ddp"  # tests/training/test_distributed.py
    ],
)
def test_part_of_the_model_or_its_training(group: str, option: str, cohort: Cohort, tmp_path: Path):
    one_step(cohort, tmp_path, FEW, "task=[os]", f"{group}={option}", *EPOCH[-1:])
    assert "val/loss" in pd.read_csv(tmp_path / "metrics.csv")


def test_a_plain_model_beside_the_network_is_left_out_by_a_word():
    whole, without = (build_recipe(composed(*words)).plan for words in ((), ("~anchor.models.elastic_net",)))
    assert whole.models.keys() - without.models.keys() == {"elastic_net"}


def test_a_run_made_before_plain_models_had_names_can_still_be_read():
    config = composed()
    named = build_recipe(config).plan
    config["anchor"]["models"] = list(config["anchor"]["models"].values())
    listed = build_recipe(config).plan
    assert [each.name for each in listed.models.values()] == [each.name for each in named.models.values()]


def test_the_plain_models_of_years_are_the_usual_ones_at_other_landmarks():
    usual, years = (build_recipe(composed(f"anchor={name}")).plan for name in ("linear", "years"))
    assert usual.models.keys() == years.models.keys()
    for name, each in usual.models.items():
        later = years.models[name]
        assert (each.first, each.later, each.endpoint) == (later.first, later.later, later.endpoint)
        assert isinstance(later.model, type(each.model))
        assert getattr(later.model, "days", None) != getattr(each.model, "days", ())


@pytest.mark.parametrize("option", options("task"))
def test_task(option: str, cohort: Cohort, tmp_path: Path):
    one_step(cohort, tmp_path, FEW, f"task=[{option}]")


@pytest.mark.parametrize("option", options("split"))
def test_split(option: str, cohort: Cohort):
    for split in instantiate(composed(f"split={option}")["split"], _convert_="all")(cohort):
        parts = [set(split.train), set(split.val), set(split.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == cohort.num_patients


def test_a_split_that_an_experiment_set_up_for_another_way_says_what_to_take_out():
    config = composed("split=site", experiment="demo_fast")
    with pytest.raises(ValueError, match=r"add ~split\.folds ~split\.repeats"):
        build_splitter(config)
    assert build_splitter(composed("split=site", "~split.folds", "~split.repeats", experiment="demo_fast"))


@pytest.mark.parametrize("option", options("baselines"))
def test_baselines(option: str):
    models = composed(f"baselines={option}")["baselines"] or {}
    assert all(instantiate(node).name == name for name, node in models.items())


@pytest.mark.parametrize("option", options("tuning"))
def test_tuning(option: str):
    search = build_search(composed(f"tuning={option}"))
    assert (search is None) == (option == "none")
    if search:
        halved = {name: value for name, value in search.start.items() if isinstance(value, float)}
        search.make_recipe({name: value / 2 for name, value in halved.items()})


@pytest.mark.parametrize("option", options("tuning/space"))
def test_part_of_the_space_that_is_searched(option: str):
    group, _, inside = option.partition("_")
    chosen = [f"{group}={inside}"] if inside and group != "encoder" else []  # the option of that name
    search = build_search(composed("tuning=nested", f"tuning/space=[{option}]", *chosen))
    assert search
    assert search.start
    search.make_recipe(search.start)


@pytest.mark.parametrize("option", [option for option in options("experiment") if option.startswith("ablation")])
def test_a_sweep_names_options_that_there_are(option: str):
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        params = compose("train", [f"experiment={option}", "name=x"], return_hydra_config=True).hydra.sweeper.params
    for group, values in params.items():
        named = re.findall(r"\w+", values)
        assert set(named) <= set(options(group)), group


@pytest.mark.parametrize("option", options("data"))
def test_data(option: str):
    data = composed(f"data={option}", "data.path=DIR")["data"]
    assert data["path"] == "DIR"
    assert data["simulate_if_absent"] == (option == "simulated")


def test_your_own_cohort_is_never_simulated_whatever_the_experiment_says():
    assert not composed(*on_cohort(Path("typo")), experiment="demo_fast")["data"]["simulate_if_absent"]


@pytest.mark.parametrize("option", options("launcher"))
def test_launcher(option: str):
    extra, plugin = LAUNCHERS.get(option, ("", ""))
    if plugin and find_spec(f"hydra_plugins.{plugin}") is None:
        pytest.skip(f"needs the extra {extra}")
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        whole = compose("train", [f"launcher={option}", "name=x"], return_hydra_config=True)
    assert "Launcher" in whole.hydra.launcher["_target_"]


@pytest.mark.parametrize("option", options("experiment"))
def test_experiment(option: str, cohort: Cohort):
    config = composed(experiment=option)
    recipe = build_recipe(config)
    assert recipe.make_modalities().keys() == config["modalities"].keys()
    assert recipe.make_losses().keys() == config["tasks"].keys()
    text = (ROOT / "configs" / "experiment" / f"{option}.yaml").read_text()
    assert len(text.splitlines()) <= 25
    assert f"experiment={option}" in text or option == "demo", "its first comment gives its command"


def test_no_group_is_left_out():
    tested = {"modality", "encoder", "loss", "fusion", "temporal", "optimizer", "trainer", "logger", "task", "split"}
    tested |= {"anchor", "pretraining", "task_weights", "modality_dropout"}
    tested |= {"baselines", "data", "launcher", "experiment", "tuning"}
    assert {path.name for path in (ROOT / "configs").iterdir() if path.is_dir()} == tested


def test_what_the_cohort_lacks_is_left_out(cohort: Cohort, capsys: pytest.CaptureFixture[str]):
    samples = cohort.samples[cohort.samples["modality"] != "histology"]
    outcomes = cohort.outcomes.drop(columns=["response", "response_day"])
    config = fitting_config(composed(), replace(cohort, samples=samples, outcomes=outcomes, endpoints=("os",)))
    assert "histology" not in config["modalities"]
    assert list(config["tasks"]) == ["os"]
    said = capsys.readouterr().out
    assert all(word in said for word in ("histology", "response", "pfs"))


def test_a_config_that_shares_nothing_with_the_cohort_is_refused(cohort: Cohort):
    nothing: dict[str, Any] = {"endpoints": (), "outcomes": cohort.outcomes[[]]}
    with pytest.raises(ValueError, match="no task of the config"):
        fitting_config(composed(), replace(cohort, **nothing))
