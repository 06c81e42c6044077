"""One command: every variant of an ablation is trained, and they end in one table against the full model."""

import json
from pathlib import Path

import pandas as pd
import pytest
from composed import called, on_cohort
from tiny import write_tiny_cohort

from fusion.run.evaluate import finished_jobs

SHORT = (
    "split.folds=2",
    "members=1",
    "trainer.lightning.max_epochs=2",
    "evaluation.resamples=20",
    "temporal=gru",
    "anchor=none",
)
VARIANTS = "modality=[clinical,plasma],[plasma],[clinical]"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    cohort = write_tiny_cohort(folder / "cohort", patients=24)
    hydra = ["hydra.callbacks.compare.resamples=20", f"hydra.sweep.dir={folder / 'sweep'}"]
    words = ["-m", "experiment=ablation", *on_cohort(cohort), *SHORT, VARIANTS, *hydra]
    assert called("train", *words) == 0
    return folder / "sweep"


def test_a_sweep_ends_in_a_table_against_the_full_model(sweep: Path):
    table = pd.read_csv(sweep / "variants" / "variants.csv")
    names = ["all modalities (reference)", "plasma alone", "clinical alone"]
    assert list(table.query("day == 0")["variant"]) == names
    assert list(table.query("day == 42")["variant"]) == names
    first = table.query("day == 0").set_index("variant")
    metrics = json.loads((sweep / "1" / "metrics.json").read_text())["task"]["os"]["model"]["fusion"]["c_index"]
    assert first.loc["plasma alone", "value"] == pytest.approx(metrics["value"])
    difference = first.loc["plasma alone", "value"] - first.loc[names[0], "value"]
    assert first.loc["plasma alone", "difference_value"] == pytest.approx(difference)
    assert {"scores.json", "variants_os.png", "variants_os.svg"} <= {p.name for p in (sweep / "variants").iterdir()}


def test_evaluate_gives_the_table_again(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert called("evaluate", f"runs=[{sweep / '0'},{sweep / '1'}]", f"out={tmp_path}", "resamples=20") == 0
    again, before = (pd.read_csv(folder / "variants.csv") for folder in (tmp_path, sweep / "variants"))
    before = before[before["variant"] != "clinical alone"].reset_index(drop=True)
    pd.testing.assert_series_equal(again["value"], before["value"])
    pd.testing.assert_series_equal(again["variant"], before["variant"])
    assert "plasma alone" in capsys.readouterr().out


def test_jobs_stand_in_the_order_of_the_sweep(tmp_path: Path):
    """Job 10 comes after job 2, so that the first one stays the reference."""
    for name in ("0", "10", "2", "named"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "predictions.parquet"):
            (tmp_path / name / file).touch()
    assert [job.name for job in finished_jobs(tmp_path)] == ["0", "2", "10", "named"]
