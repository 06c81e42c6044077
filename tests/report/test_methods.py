"""The methods section: what the software knows is filled in and nothing else; sizes, visits and the model card."""

import json
import struct
from pathlib import Path

import pytest
from fake_run import write_run

from fusion.metrics.sample_size import survival_sample_size
from fusion.report.methods import model_card, sample_size_table, visits, weights_sentence
from fusion.report.run_folder import read_run
from fusion.report.tripod import count_answered, tripod


def test_the_checklist_is_whole_and_says_what_the_run_knows(complete_run: Path) -> None:
    items = {item.number: item for item in tripod(read_run(complete_run))}
    assert len(items) == 52
    assert [number for number in items if number.startswith("12")] == [f"12{letter}" for letter in "abcdefg"]
    assert "3-fold cross-validation" in items["12a"].answer
    assert "days 180, 365 and 730" in items["8a"].answer
    assert "60 patients" in items["21"].answer
    for number in ("1", "2", "3a", "6b", "8b", "18a", "18b", "25", "26"):
        assert items[number].by_author


def test_what_is_not_known_is_the_authors(complete_run: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "predictions.parquet").write_bytes((complete_run / "predictions.parquet").read_bytes())
    bare = {item.number: item for item in tripod(read_run(tmp_path))}
    for number in ("5a", "5b", "6a", "7", "9a", "12a", "12d", "14", "17", "18e", "23a", "23b"):
        assert bare[number].by_author, number
    assert count_answered(list(bare.values())).startswith(f"{52 - sum(i.by_author for i in bare.values())} of 52")


def test_real_patients_need_an_ethical_approval_by_the_author(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, patients=30, folds=2, tasks=("os",), simulated=False, resamples=2))
    items = {item.number: item for item in tripod(run)}
    assert items["17"].by_author
    assert items["5a"].by_author
    assert ("Ethics and consent", "") in model_card(run)


def test_sample_size_is_that_of_the_patients_of_the_run(complete_run: Path) -> None:
    run = read_run(complete_run)
    table = sample_size_table(run)
    assert table is not None
    rows = run.at_visit("os")
    size = survival_sample_size(60, int(rows["event"].sum()), float(rows["duration"].mean()), 365.0, parameters=10)
    assert [cell.order for cell in table.rows[0].cells][:2] == [60.0, float(size.events)]
    assert table.rows[0].cells[3].text == f"{size.shrinkage:,}"
    assert [row.name for row in table.rows] == ["Overall survival", "Progression-free survival", "Objective response"]


def test_weights_are_counted_from_the_head_of_the_model_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path, patients=30, folds=2, tasks=("os",), resamples=2)
    assert weights_sentence(read_run(folder)) == ""
    head = {
        "__metadata__": {"a": "b"},
        "one": {"dtype": "F32", "shape": [3, 100]},
        "two": {"dtype": "F32", "shape": []},
    }
    text = json.dumps(head | {"three": {"dtype": "F32", "shape": [2, 2]}}).encode()
    (folder / "fold_0_0" / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    run = read_run(folder)
    assert run.weights == 305 // 3  # three members
    assert "101 weights" in weights_sentence(run)


def test_visits_are_described_and_dropout_of_the_sick_is_warned_of(tmp_path: Path) -> None:
    folder = write_run(tmp_path, patients=120, folds=2, tasks=("os",), resamples=2)
    run = read_run(folder)
    calm = visits(run)
    assert calm is not None
    assert "Patients have 1 to 3 visits" in calm.described
    # Those who die early among the ones alive at week 6 stay away from the visit that day.
    predictions = run.predictions
    baseline = predictions[predictions["visit"] == 0].set_index("patient_id")["duration"]
    doomed = baseline[(baseline > 42) & (baseline < 300)].index
    kept = predictions[~(predictions["patient_id"].isin(doomed) & (predictions["visit"] == 1))]
    kept.to_parquet(folder / "predictions.parquet")
    found = visits(read_run(folder))
    assert found is not None
    assert any("fewer visits went with earlier events" in warning for warning in found.warnings)
    assert any("a longer gap went with earlier events" in warning for warning in found.warnings)


def test_one_visit_has_no_visit_process(tmp_path: Path) -> None:
    assert visits(read_run(write_run(tmp_path, patients=30, folds=2, tasks=("os",), visits=1, resamples=2))) is None


@pytest.mark.parametrize("heading", ["Not made for", "Performance, held-out", "Known limits", "Subgroups"])
def test_the_model_card_says_what_matters(complete_run: Path, heading: str) -> None:
    assert dict(model_card(read_run(complete_run)))[heading]
