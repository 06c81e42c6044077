"""The first sentences of the page follow the figures."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from fusion.report.run_folder import Run, read_run
from fusion.report.summary import answer, flow, left_out


def with_gain(run: Run, shift: float) -> Run:
    gain = {"c_index": {"value": shift, "low": shift - 0.05, "high": shift + 0.05, "p": 0.5}}
    os = {**run.scores["os"], "compare": dict.fromkeys(run.scores["os"]["compare"], gain)}
    return replace(run, scores={**run.scores, "os": os})


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.2, "the fused model is better"), (-0.2, "the fused model is worse"), (0.0, "no difference can be shown")],
)
def test_the_answer_follows_the_interval_of_the_difference(complete_run: Path, shift: float, verdict: str) -> None:
    found = answer(with_gain(read_run(complete_run), shift))
    assert found is not None
    baseline, _, later = found.sentence.partition(" At week 12 it reaches ")
    assert verdict in baseline
    assert "the best plain baseline" in later
    labels = [label for label, *_ in found.figures]
    assert labels == ["OS C-index, baseline", "OS C-index, week 6", "OS C-index, week 12"]


def test_a_figure_of_too_few_events_concludes_nothing(complete_run: Path) -> None:
    run = read_run(complete_run)
    fusion = {"fusion": {"c_index": {"value": 0.94, "low": 0.85, "high": 1.0, "note": "too few events"}}}
    found = answer(replace(run, scores={"os": {**run.scores["os"], "model": fusion}}))
    assert found is not None
    assert "nothing can be concluded" in found.sentence


def test_nothing_scored_gives_no_answer(complete_run: Path) -> None:
    assert answer(replace(read_run(complete_run), scores={})) is None


def test_the_flow_counts_patients_once_whatever_the_repeats(complete_run: Path) -> None:
    run = read_run(complete_run)
    both = replace(run, predictions=pd.concat([run.predictions, run.predictions.assign(repeat=1)]))
    steps = {step.label: step for step in flow(both)}
    assert steps["Held out and predicted"].count == "60 patients"
    assert steps["OS at baseline"].count == "60 patients"
    assert steps["OS at baseline"].note == f"{int(run.at_visit('os')['event'].sum())} events"


def test_what_was_left_out_is_counted_by_reason(complete_run: Path) -> None:
    assert left_out(read_run(complete_run)) == [("samples.csv", "failed QC", 4)]
