"""What later visits and assays added, and scores corrected for optimism, as tables of the page."""

import json
from pathlib import Path

import pandas as pd
from fake_run import write_run

from fusion.metrics.score import score_run
from fusion.report import build_report
from fusion.report.run_folder import read_run
from fusion.report.worth import optimism_tables, worth_table


def scored_again(folder: Path, **extra: pd.DataFrame) -> None:
    tables = [pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "baselines")]
    metrics = score_run(*tables, pd.read_csv(folder / "splits.csv"), resamples=2, **extra)
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_worth_of_visits_and_of_an_assay(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", patients=40, tasks=("os", "response"), curves=False, resamples=2)
    predictions = pd.read_parquet(folder / "predictions.parquet")
    later = predictions[predictions["visit"] > 0]
    nothing_held = later.assign(model="fusion_without_new_<b>labs</b>")
    scored_again(folder, held_back=nothing_held)
    run = read_run(folder)
    table = worth_table(run)
    assert table is not None
    names = [row.name for row in table.rows]
    assert names == ["All visits since baseline", "The last visit alone", "Later <b>labs</b> samples"]
    assert {cell.order for cell in table.rows[2].cells} == {0.0}, "the same predictions are worth nothing"
    assert any(cell.order != 0.0 for cell in table.rows[0].cells)
    assert "fusion_without_new_<b>labs</b>" not in run.models("os")
    page = build_report(folder).read_text()
    assert "<b>labs</b>" not in page
    assert "Later &lt;b&gt;labs&lt;/b&gt; samples" in page


def test_single_visits_have_no_worth(tmp_path: Path) -> None:
    assert worth_table(read_run(write_run(tmp_path / "run", visits=1, resamples=2))) is None


def test_optimism(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", patients=40, tasks=("os", "response"), curves=False, resamples=2)
    assert optimism_tables(read_run(folder)) == []
    predictions, baselines = (pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "baselines"))
    apparent = pd.concat([predictions.assign(model="fusion"), baselines]).assign(repeat=0, fold=0)
    scored_again(folder, apparent=apparent)
    (os, table), *_ = optimism_tables(read_run(folder))
    assert os == "overall survival"
    assert table.heads == ("Training patients", "Left out", ".632+") * 2
    assert table.groups[1] == ("Brier score, day 365", 3)
    assert table.rows[0].name == "Fusion (ours)"
    assert all(cell.order is not None for cell in table.rows[0].cells)
    assert "Corrected for optimism" in build_report(folder).read_text()
