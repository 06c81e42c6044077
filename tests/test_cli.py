"""The commands answer with the exit codes of the contract, one helpful message, and no traceback."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from composed import FAST, ROOT, called, composed, on_cohort
from tiny import write_tiny_cohort

COMMANDS = ("simulate", "validate", "train", "tune", "evaluate", "predict", "report", "explain", "figures", "power")
#: The shortest way through train.py.
SHORT = [*FAST, "modality=[clinical,plasma]", "task=[os]", "baselines=none", "evaluation.report=false", "members=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("cli") / "cohort", patients=24)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are called from a folder that is not the checkout, and leave nothing there."""
    monkeypatch.chdir(tmp_path)


def refused(capfd: pytest.CaptureFixture[str], command: str, *words: str) -> str:
    """The message of a command that has to end with exit code 1."""
    capfd.readouterr()
    assert called(command, *words) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    return err


# --- help ------------------------------------------------------------------------------------------------------------


def test_help_is_quick_and_imports_no_torch():
    code = (
        "import sys, time\n"
        "start = time.process_time()\n"
        "import fusion.cli\n"
        f"for command in {COMMANDS}:\n"
        "    sys.argv = [f'fusion-{command}', '--help']\n"
        "    try:\n        getattr(fusion.cli, command)()\n"
        "    except SystemExit as stop:\n        assert not stop.code, command\n"
        "    assert time.process_time() - start < 2, command\n"
        "    start = time.process_time()\n"
        "heavy = {'torch', 'pandas', 'wandb', 'matplotlib', 'sklearn', 'pytorch_lightning'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f"fusion-{command} is powered by Hydra" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_script_is_a_door_and_no_more(command: str):
    text = (ROOT / "scripts" / f"{command}.py").read_text()
    assert f"from fusion.cli import {command}" in text
    assert len(text.splitlines()) <= 40


def test_every_script_is_a_console_command():
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} >= set(COMMANDS)


def test_config_is_shown_from_any_folder(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    assert called("train", "--cfg", "job", "experiment=demo_fast") == 0
    assert "name: demo_fast" in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("validate", [], "data.path is not set"),
        ("validate", ["data.path=typo"], "typo"),
        ("train", ["data=cohort"], "data.path is not set"),
        ("train", ["data=cohort", "data.path=typo"], "typo is not there"),
        ("train", ["experiment=demo_fast", "data=cohort", "data.path=typo"], "typo is not there"),
        ("train", ["resume=typo"], "typo holds no run to resume"),
        ("simulate", [], "out is not set"),
        ("simulate", ["out=x", "preset=stronk"], "stronk"),
        ("simulate", ["out=x", "patients=3"], "patients"),
        ("evaluate", [], "runs is not set"),
        ("evaluate", ["runs=[typo]"], "there is no folder typo"),
        ("evaluate", ["runs=[]"], "names no folder with a finished run"),
        ("report", ["run=typo"], "typo"),
        ("predict", ["run=typo", "data.path=x", "out=y"], "typo is no run folder"),
        ("predict", ["run=typo", "out=y"], "data.path is not set"),
    ],
)
def test_a_mistake_gets_one_message_and_leaves_nothing(
    command: str, words: list[str], says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    run_dir = [f"hydra.run.dir={tmp_path / 'run'}"] if command == "train" and "resume=typo" not in words else []
    message = refused(capfd, command, *words, *run_dir)
    assert says in message
    assert len(message.splitlines()) <= 3
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["modality=[clincal]"], "modality/clincal"),
        (["fusion=concatt"], "fusion/concatt"),
        (["experiment=demmo"], "experiment/demmo"),
        (["seeed=3"], "seeed"),
    ],
)
def test_a_wrong_name_in_the_config_is_named(words: list[str], says: str, tmp_path: Path):
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_option_is_usage():
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "train.py"), "--nonsense"], capture_output=True)
    assert done.returncode == 2


def test_an_error_that_nobody_foresaw_is_one_line_unless_debug(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    words = [*on_cohort(folder), *SHORT, "model.dim=wide", f"hydra.run.dir={tmp_path / 'run'}"]
    assert "debug=true shows where" in refused(capfd, "train", *words)
    assert called("train", *words, "debug=true") == 1
    assert "Traceback" in capfd.readouterr().err


def test_a_file_where_a_folder_is_expected(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    file = folder / "labs.csv"
    for command, words in {
        "train": [*on_cohort(file), f"hydra.run.dir={tmp_path / 'run'}"],
        "validate": [f"data.path={file}"],
        "evaluate": [f"runs=[{file}]"],
        "report": [f"run={file}"],
        "predict": [f"run={file}", f"data.path={folder}", "out=x"],
    }.items():
        assert "labs.csv" in refused(capfd, command, *words), command


def test_a_run_that_is_not_finished(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    assert "finished run" in refused(capfd, "evaluate", f"runs=[{run}]")
    assert "run" in refused(capfd, "report", f"run={run}")
    assert "no fitted model" in refused(capfd, "predict", f"run={run}", f"data.path={folder}", "out=x")


def test_validate_lists_every_problem(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert called("validate", f"data.path={folder}") == 0
    bad = write_tiny_cohort(tmp_path / "bad", patients=12)
    outcomes = pd.read_csv(bad / "outcomes.csv")
    outcomes.loc[0, "os_days"], outcomes.loc[1, "os_event"] = -3, 2
    outcomes.to_csv(bad / "outcomes.csv", index=False)
    capfd.readouterr()
    assert called("validate", f"data.path={bad}") == 1
    said = " ".join("".join(capfd.readouterr()).split())
    assert "os_days" in said
    assert "os_event" in said
    message = refused(capfd, "train", *on_cohort(bad), *SHORT, f"hydra.run.dir={tmp_path / 'run'}")
    assert "os_days" in message
    assert "os_event" in message


@pytest.mark.parametrize("evil", ["../../evil", "/etc/evil", "a/b", "..", "~root"])
def test_ids_that_are_paths_are_refused(evil: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    bad = write_tiny_cohort(tmp_path / "bad", patients=12)
    for name in ("patients", "outcomes", "samples", "splits", "lesions"):
        table = pd.read_csv(bad / f"{name}.csv")
        table.replace({"patient_id": {"P000": evil}}).to_csv(bad / f"{name}.csv", index=False)
    message = refused(capfd, "train", *on_cohort(bad), *SHORT, f"hydra.run.dir={tmp_path / 'run'}")
    assert "an id names files" in message


def test_a_sample_id_that_is_a_path_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    bad = write_tiny_cohort(tmp_path / "bad", patients=12)
    samples = pd.read_csv(bad / "samples.csv")
    samples.replace({"sample_id": {"P000-histology": "../P000-histology"}}).to_csv(bad / "samples.csv", index=False)
    assert called("validate", f"data.path={bad}") == 1
    assert "an id names files" in " ".join("".join(capfd.readouterr()).split())


def test_wandb_stays_out_unless_asked():
    code = "import sys, fusion.run\nassert 'wandb' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- interrupted and taken up again ----------------------------------------------------------------------------------


def train_script(*words: str) -> subprocess.Popen[str]:
    """`train.py` in a process of its own, on as many threads as here: on another number sums are rounded otherwise."""
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}

    def heed() -> None:  # a suite in the background ignores Ctrl-C, and so would its children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, preexec_fn=heed, **pipes)


LONG = [
    *SHORT,
    "members=2",
    "final_model=false",
    "trainer.lightning.max_epochs=32",
    "trainer.patience=32",
    "trainer.batch_size=8",
]


@pytest.fixture(scope="module")
def straight(folder: Path) -> pd.DataFrame:
    run = folder.parent / "straight"
    assert called("train", *on_cohort(folder), *LONG, f"hydra.run.dir={run}") == 0
    return pd.read_parquet(run / "predictions.parquet")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_was(
    sent: signal.Signals, folder: Path, straight: pd.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    process = train_script(*on_cohort(folder), *LONG, f"hydra.run.dir={run}")
    while not (run / "fold_0_1" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(sent)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    assert not (run / "predictions.parquet").exists(), "it has to be caught in the middle for the test to mean anything"
    if sent == signal.SIGINT:
        assert re.sub(r"\s", "", f"interrupted; go on with resume={run}") in re.sub(r"\s", "", err)
        assert "Traceback" not in err
    first_fold = (run / "fold_0_0" / "model.safetensors").stat().st_mtime_ns
    assert "finished run" in refused(capfd, "evaluate", f"runs=[{run}]")

    assert "leave out seed=3" in refused(capfd, "train", f"resume={run}", "seed=3")
    assert called("train", f"resume={run}") == 0
    assert (run / "fold_0_0" / "model.safetensors").stat().st_mtime_ns == first_fold, "a finished fold is kept"
    again = pd.read_parquet(run / "predictions.parquet")
    pd.testing.assert_frame_equal(again, straight, check_exact=True)
    assert "members=2" in (run / ".hydra" / "overrides.yaml").read_text()


def test_a_run_is_not_taken_up_with_another_config_or_on_other_data(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    run, cohort = tmp_path / "run", write_tiny_cohort(tmp_path / "cohort", patients=24)
    words = [*on_cohort(cohort), *SHORT, "final_model=false", f"hydra.run.dir={run}"]
    assert called("train", *words) == 0
    other = refused(capfd, "train", *words, "seed=1")
    assert re.search(r"holds a run with another config \(.*seed", other)
    assert called("train", *words) == 0, "the same again is no other run"
    write_tiny_cohort(cohort, patients=24, seed=1)
    assert "the cohort is not the one" in refused(capfd, "train", f"resume={run}")


@pytest.mark.slow
def test_wandb_offline_needs_no_network(folder: Path, tmp_path: Path):
    words = [*on_cohort(folder), *SHORT, "logger=wandb", f"hydra.run.dir={tmp_path / 'run'}"]
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    environment |= {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run").glob("fold_*/wandb/offline-run-*"))


def test_the_preset_without_signal_can_be_named(tmp_path: Path):
    """YAML reads `null` as nothing; a user means the preset."""
    assert called("simulate", f"out={tmp_path / 'cohort'}", "preset=null", "patients=20") == 0
    assert json.loads((tmp_path / "cohort" / "truth" / "manifest.json").read_text())["preset"] == "null"
    assert composed("data.simulate.preset=null")["data"]["path"] == "data/null_240_seed0"


def test_who_predicts_waits_for_no_library_of_statistics() -> None:
    code = "import sys, fusion.build\nassert not {'scipy.stats', 'sklearn', 'pytorch_lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
