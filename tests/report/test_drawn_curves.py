"""Curves of metrics.json as figures: over prediction times, over thresholds; plain sentences where there are none."""

import dataclasses
from pathlib import Path

import pytest
from fake_run import write_run

from fusion.metrics.scorer import FUSION
from fusion.report.decision_figures import decision_plate
from fusion.report.dynamic_figures import dynamic_lines, dynamic_plates
from fusion.report.run_folder import Run, read_run
from fusion.report.score_figures import auc_lines, auc_plate
from fusion.report.tables import detail_table, score_table, subgroup_tables


@pytest.fixture(scope="module")
def run(complete_run: Path) -> Run:
    return read_run(complete_run)


def test_lines_are_the_figures_of_the_metrics(run: Run) -> None:
    lines = dynamic_lines(run, "os", "auc")
    drawn = run.drawn["os"]["dynamic"]["models"][FUSION]["42"]["auc"]
    assert list(lines) == [FUSION, "fusion_at_baseline", "landmark_cox"]
    assert dict(lines[FUSION])[6.0].value == drawn["value"]
    auc = dict(auc_lines(run, "os")[FUSION])
    assert auc[min(auc)].value == run.drawn["os"]["auc"][FUSION]["90"]["value"]


def test_every_drawing_speaks(run: Run) -> None:
    for plate in (*dynamic_plates(run, "os"), *(decision_plate(run, task) for task in ("os", "pfs", "response"))):
        assert plate.svg is not None
        assert "<title" in plate.svg
        assert "nan" not in plate.svg


def test_a_run_that_was_scored_without_curves_says_so(run: Run) -> None:
    older = dataclasses.replace(run, drawn={}, subgroups={})
    assert dynamic_plates(older, "os") == []
    assert decision_plate(older, "os").svg is None
    assert auc_plate(older, "os").svg is None
    assert subgroup_tables(older) == []


def test_too_few_events_are_not_drawn_as_decisions(tmp_path: Path) -> None:
    few = read_run(write_run(tmp_path, patients=40, folds=2, tasks=("os",), event_rate=0.08, resamples=2))
    assert "too few events" in decision_plate(few, "os").caption


def test_subgroups_small_and_large(run: Run) -> None:
    tables = dict(subgroup_tables(run))
    assert set(tables) == {"overall survival", "progression-free survival", "objective response"}
    rows = {row.name: row for row in tables["overall survival"].rows}
    assert rows["Sex: female"].cells[0].text == "–"
    assert rows["Sex: female"].cells[4].text == "5"
    value = run.subgroups["os"]["age_group"]["under 65"]["c_index"]["value"]
    assert rows["Age: under 65"].cells[0].text.startswith(f"{value:.3f}")


def test_response_stands_at_landmarks_where_it_was_scored(run: Run) -> None:
    table = score_table(run)
    assert table is not None
    assert dict(table.groups)["Response, AUROC"] == 2 + ("84" in run.scores["response"]["landmark"])
    assert "Week 6" in table.heads[-2:]


def test_details_name_days_lost_and_distances(run: Run) -> None:
    table = detail_table(run, "os")
    assert table is not None
    assert {"ICI, day 365", "D-calibration p", "Scaled Brier, day 365"} <= set(table.heads)
    assert any(head.startswith("Days lost by day") for head in table.heads)
    response = detail_table(run, "response")
    assert response is not None
    assert {"Sensitivity", "Specificity", "ICI"} <= set(response.heads)
