"""Plates of held-out survival say why they are empty, and calibration looks only where there is follow-up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.report.run_folder import read_run
from fusion.report.survival_figures import calibration_horizons, calibration_plate, kaplan_meier_plate


def test_curves_depend_on_the_first_repeat_only(complete_run: Path) -> None:
    run = read_run(complete_run)
    other = run.predictions.assign(repeat=1, risk_group=0, duration=1.0)
    both = replace(run, predictions=pd.concat([run.predictions, other]))
    assert kaplan_meier_plate(both, "os") == kaplan_meier_plate(run, "os")


def test_number_at_risk_starts_with_the_size_of_the_groups(complete_run: Path) -> None:
    run = read_run(complete_run)
    svg = str(kaplan_meier_plate(run, "os").svg)
    for size in run.at_visit("os").groupby("risk_group").size():
        assert f">{size}</text>" in svg


def test_no_horizon_beyond_follow_up(complete_run: Path) -> None:
    run = read_run(complete_run)
    assert calibration_horizons(run, "os")[0] == 180.0
    short = replace(run, predictions=run.predictions.assign(duration=run.predictions["duration"].clip(upper=150.0)))
    assert calibration_horizons(short, "os") == ()
    assert "follow-up is too short" in calibration_plate(short, "os").caption


@pytest.mark.parametrize("events", [0, 4])
def test_too_few_events_give_a_sentence(complete_run: Path, events: int) -> None:
    run = read_run(complete_run)
    rows = run.at_visit("os")
    few = rows.assign(event=np.arange(len(rows)) < events)
    plate = kaplan_meier_plate(replace(run, predictions=few), "os")
    assert plate.svg is None
    assert f"with {events} events" in plate.caption
