"""`power`: known answers on a cohort with a column that knows all or nothing, workers, going on, and refusals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from composed import called
from hydra import compose, initialize_config_dir
from tiny import write_tiny_cohort

from fusion.cli import CONFIGS
from fusion.run import power as command
from fusion.run.power_study import EVERYONE, Pool, one_study, open_pool

QUICK = ("modality=[clinical,plasma]", "assay=plasma", "days=[0,21]", "resamples=100", "folds=2")


def settings_of(*words: str) -> dict:
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        return command.settings_of(compose("power", ["out=unused", *words]))


def write_cohort(folder: Path, patients: int, knows: float) -> Path:
    """A cohort whose ctDNA fraction follows survival with this weight, and chance with the rest."""
    write_tiny_cohort(folder, patients=patients)
    outcomes = pd.read_csv(folder / "outcomes.csv").set_index("patient_id")
    samples = pd.read_csv(folder / "samples.csv").set_index("sample_id")
    plasma = pd.read_csv(folder / "plasma.csv")
    days = outcomes["os_days"].rank(pct=True).loc[samples.loc[plasma["sample_id"], "patient_id"]].to_numpy()
    chance = np.random.default_rng(3).random(len(plasma))
    plasma["tumor_fraction"] = 0.01 + 0.9 * (knows * (1 - days) + (1 - knows) * chance)
    plasma[["sample_id", "tumor_fraction"]].to_csv(folder / "plasma.csv", index=False)
    patients_table = pd.read_csv(folder / "patients.csv")
    patients_table[["patient_id", "age", "sex"]].to_csv(folder / "patients.csv", index=False)  # these know nothing
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("power") / "cohort", patients=50, knows=0.5)


def share_shown(folder: Path, size: int, number: int) -> float:
    pool = open_pool(folder, settings_of(*QUICK, f"data.path={folder}", "days=[0]"))
    return float(np.mean([one_study(pool, size, k)[0]["low"] > 0 for k in range(number)]))


def test_a_column_that_knows_all_is_shown_always(tmp_path: Path):
    assert share_shown(write_cohort(tmp_path / "cohort", patients=80, knows=1.0), size=60, number=2) == 1.0


def test_a_column_of_chance_is_shown_hardly_ever(tmp_path: Path):
    assert share_shown(write_cohort(tmp_path / "cohort", patients=150, knows=0.0), size=50, number=8) <= 0.1


@pytest.mark.slow
def test_the_answer_is_the_same_with_one_worker_and_two_and_nothing_is_run_again(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = (*QUICK, f"data.path={cohort}", "sizes=[30]", "replicates=2")
    for workers in (1, 2):
        assert called("power", *words, f"workers={workers}", f"out={tmp_path / str(workers)}") == 0
    one, two = (tmp_path / "1", tmp_path / "2")
    for name in ("replicates.csv", "power.csv", "power.svg"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    replicates = pd.read_csv(one / "replicates.csv")
    assert len(replicates) == 2 * (2 + 1)  # a row per day of every study, and of the whole cohort
    assert set(replicates.loc[replicates["replicate"] == EVERYONE, "patients"]) == {50}

    asked = []

    def counted(pool: Pool, size: int, number: int) -> list[dict[str, float]]:
        asked.append((size, number))
        return one_study(pool, size, number)

    monkeypatch.setattr(command, "one_study", counted)
    assert called("power", *words, "workers=1", f"out={one}") == 0
    assert asked == []
    assert called("power", *words, "workers=1", "replicates=1", "sizes=[40]", "add=0.1", f"out={one}") == 0
    assert asked == [(40, 0)]
    found = json.loads((one / "power.json").read_text())
    assert [(row["day"], row["patients"], row["replicates"]) for row in found["table"]] == [(0, 40, 1), (21, 40, 1)]
    assert {each["day"] for each in found["needed"]} == {0, 21}
    assert found["settings"]["add"] == 0.1
    assert (one / "power.png").stat().st_size > 5000


def test_the_assay_is_hidden_from_one_model_and_later_visits_from_an_early_day(cohort: Path, tmp_path: Path):
    """Values of later visits change nothing at day 0, and values of the assay nothing in the model without it."""
    other = write_cohort(tmp_path / "cohort", patients=50, knows=0.5)
    plasma = pd.read_csv(other / "plasma.csv")
    later = ~plasma["sample_id"].str.endswith("-0")
    plasma.loc[later, "tumor_fraction"] = np.random.default_rng(0).random(int(later.sum()))
    plasma.to_csv(other / "plasma.csv", index=False)

    def rows(folder: Path, days: str) -> list[dict[str, float]]:
        return one_study(open_pool(folder, settings_of(*QUICK, f"data.path={folder}", days)), 40, 0)

    assert rows(cohort, "days=[0]") == rows(other, "days=[0]")
    (before,), (after,) = rows(cohort, "days=[21]"), rows(other, "days=[21]")
    assert after["without"] == before["without"]
    assert after["with"] != before["with"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("assay=proteins",), "none of the modalities clinical, plasma"),
        (("modality=[plasma]",), "an assay alone"),
        (("sizes=[10]",), "20 patients or more"),
        (("sizes=[30,30]",), "different sizes"),
        (("days=[-1]",), "0 or later"),
        (("power=80",), "share between 0 and 1"),
        (("task=progression",), "there is os, pfs"),
        (("task=[os,pfs]",), "one task at a time"),
        (("data.path=nowhere",), "no folder"),
    ],
)
def test_mistakes_are_refused(
    words: tuple[str, ...], message: str, cohort: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert called("power", *QUICK, f"data.path={cohort}", f"out={tmp_path / 'out'}", *words) == 1
    assert message in capfd.readouterr().err.replace("\n", " ")


def test_a_study_larger_than_the_simulated_pool_is_refused_before_it_is_simulated(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    assert called("power", *QUICK, "pool=30", "sizes=[40]", f"out={tmp_path / 'out'}") == 1
    assert "raise pool=" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_begun_with_other_settings_is_refused(tmp_path: Path):
    out = tmp_path / "out"
    command._begin(out, settings_of(*QUICK))
    command._begin(out, settings_of(*QUICK, "sizes=[90]", "replicates=3", "add=0.1", "power=0.9", "workers=7"))
    with pytest.raises(ValueError, match=r"begun with seed=0, not 1; name another out="):
        command._begin(out, settings_of(*QUICK, "seed=1"))
