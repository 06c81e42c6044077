"""What the page says, against a slow reading of the same tables; and tables that lack nearly everything."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from patients_by_hand import HOSTILE, TIMES, VISITS, predictions, whole

from fusion.report.monitor import MonitorInput, render_monitor
from fusion.report.monitor.outlook import risk_by
from fusion.report.monitor.page import inert_json
from fusion.report.monitor.payload import payload

BAND = {"lowest": -1, "highest": 1}


def of(tables: MonitorInput, patient: str) -> dict:
    return next(each for each in payload(tables)["patients"] if each["id"] == patient)


def test_curves_are_means_over_repeats_and_risks_their_complement() -> None:
    tables = whole()
    rows = tables.predictions.query("patient_id == 'B2' and task == 'os' and visit == 1")
    entry = of(tables, "B2")
    assert entry["curve"]["os"][1] == [round(1e4 * rows[f"survival_{t}"].mean()) for t in TIMES]
    assert entry["risk"]["os"][0][1] == round(1e4 * (1 - rows["survival_90"].mean()))
    assert entry["risk"]["os"][1][1] == round(1e4 * (1 - rows["survival_180"].mean()))
    assert entry["answered"] == "fold 1 of repeat 0 and fold 2 of repeat 1"


def test_the_order_of_rows_changes_nothing() -> None:
    tables = whole()
    mixed = replace(tables, predictions=tables.predictions.sample(frac=1, random_state=0))
    assert inert_json(payload(mixed)) == inert_json(payload(tables))


def test_risk_between_days_of_the_grid_is_linear_and_beyond_it_unknown() -> None:
    survival, times = np.array([[0.8, 0.4], [1.0, np.nan]]), np.array([60.0, 120.0])
    np.testing.assert_allclose(risk_by(survival, times, 30.0), [0.1, 0.0])
    np.testing.assert_allclose(risk_by(survival, times, 60.0), [0.2, 0.0])
    np.testing.assert_allclose(risk_by(survival, times, 90.0), [0.4, np.nan])
    assert np.isnan(risk_by(survival, times, 121.0)).all()
    assert np.isnan(risk_by(np.zeros((2, 0)), np.zeros(0), 90.0)).all()


def test_nothing_is_predicted_once_the_event_has_happened() -> None:
    entry = of(whole(), "A1")  # progressed on day 60; visits on days 0, 21, 42, 63
    assert [curve is None for curve in entry["curve"]["pfs"]] == [False, False, False, True]
    assert [risk is None for risk in entry["risk"]["pfs"][0]] == [False, False, False, True]
    assert all(curve is not None for curve in entry["curve"]["os"])
    assert entry["now"] == 2
    assert entry["status"] == [1, 60]


def test_a_censored_endpoint_is_no_event() -> None:
    tables = whole()
    assert tables.outcomes is not None
    outcomes = tables.outcomes.assign(pfs_days=10.0, pfs_event=0)
    entry = of(replace(tables, outcomes=outcomes), "B2")
    assert all(curve is not None for curve in entry["curve"]["pfs"])
    assert entry["status"][0] == 0


def test_response_is_told_before_the_first_assessment_alone() -> None:
    entry = of(whole(), "A1")  # first scan and response on day 42
    assert [each is not None for each in entry["response"]] == [True, True, False, False]
    assert entry["assessed"] == 42
    earlier = whole()
    assert earlier.outcomes is not None
    moved = replace(earlier, outcomes=earlier.outcomes.assign(response_day=14.0))
    assert [each is not None for each in of(moved, "A1")["response"]] == [True, False, False, False]


def test_course_is_that_of_the_tables() -> None:
    entry = of(whole(), "A1")
    assert [point[5] for point in entry["dna"]] == [
        "baseline",
        "fall of 90 % or more",
        "clearance",
        "fall of 50 % or more",
    ]
    assert entry["scans"] == [[0, 100, 0, None, 0], [42, 60, -0.4, "PR", 0], [84, 90, -0.1, "PD", 0]]
    assert entry["sampled"] == [[2, 1, 2, 2], [2, 1, 1, 1], [0, 0, 0, 0]]
    assert entry["draws"] == [0, 21, 42, 63]
    assert [name for name, _, _ in entry["markers"]] == ["progrp", "<b>ldh</b>"]


def test_answers_of_other_commands() -> None:
    page = payload(whole())
    entry = page["patients"][0]
    assert entry["alerts"][1:3] == [[0, 3000], [1, 3000]]
    assert entry["bounds"]["pfs"] == [50, 50, 50, None], "of several repeats the lowest bound; none after the event"
    named = dict(zip(page["meta"]["reasonNames"], entry["reasons"]["pfs"][0], strict=True))
    assert named == {"plasma": 0.8, "variants": -0.3, "labs": 0.1}
    assert page["meta"]["features"][entry["features"]["os"][0][0][0]] == ["plasma", "plasma:f"]


def test_a_threshold_that_is_no_probability_is_not_drawn() -> None:
    tables = whole()
    assert tables.alerts is not None
    page = payload(replace(tables, alerts=tables.alerts.assign(threshold=-1.3)))
    assert page["patients"][0]["alerts"][2] == [1, None]


def test_treatments_stand_in_the_order_of_their_starts() -> None:
    treated = payload(whole())["patients"][0]["treated"]
    assert treated == [["chemotherapy", 0, 50], ["<b>drug</b>", 20, None]]


def test_outside_the_training_range() -> None:
    page = {each["id"]: each["outside"] for each in payload(whole())["patients"]}
    assert page["A1"] == {"of": 1, "out": [["age", 60, "", 61, 80, ""]], "new": [], "combination": False}
    assert page["B2"]["out"] == []


@pytest.mark.parametrize(
    "absent",
    [
        "patients",
        "outcomes",
        "samples",
        "serial",
        "lesions",
        "treatments",
        "bounds",
        "alerts",
        "reasons",
        "feature_reasons",
        "outside",
    ],
)
def test_any_table_may_be_absent_or_empty(absent: str) -> None:
    tables = whole()
    full = payload(tables)
    for table in (None, getattr(tables, absent).iloc[:0]):
        if absent == "patients" and table is not None:
            continue  # no patient is to be shown
        page = payload(replace(tables, **{absent: table}))
        assert [each["id"] for each in page["patients"]] == list(VISITS)
        if absent != "outcomes":
            assert [each["risk"] for each in page["patients"]] == [each["risk"] for each in full["patients"]]


def test_one_task_no_response_no_repeat_column() -> None:
    rows = (
        predictions({"a": [0.0]}, tasks=("os",)).query("task == 'os' and repeat == 0").drop(columns=["repeat", "fold"])
    )
    page = payload(MonitorInput(predictions=rows, cohort="c"))
    assert page["meta"]["primary"] == "os"
    assert not page["meta"]["hasResponse"]
    assert page["patients"][0]["answered"] == ""


def test_blanks_become_null_never_nan() -> None:
    rows = predictions({"a": [0.0, 9.0]})
    numbers = [column for column in rows if column.startswith(("survival_", "prob_"))]
    page = payload(MonitorInput(predictions=rows.assign(**dict.fromkeys(numbers, np.nan)), cohort="c"))
    entry = page["patients"][0]
    assert entry["curve"]["os"] == [None, None]
    assert entry["risk"]["pfs"] == [[None, None], [None, None]]
    assert "NaN" not in inert_json(page)


def test_a_band_is_kept_where_the_predictions_have_one() -> None:
    rows = predictions({"a": [0.0]}, repeats=2)
    later = rows["repeat"] == 1
    for t in TIMES:
        rows[f"survival_{t}"] = 0.5
        rows[f"lowest_survival_{t}"], rows[f"highest_survival_{t}"] = 0.4 - 0.1 * later, 0.5 + 0.05 * later
    page = payload(MonitorInput(predictions=rows, cohort="c"))
    assert page["meta"]["hasBand"]
    entry = page["patients"][0]
    assert entry["below"]["os"] == [[200] * len(TIMES)], "the lowest of all repeats, in thousandths"
    assert entry["above"]["os"] == [[50] * len(TIMES)]


def test_a_response_stays_possible_that_is_possible_in_any_repeat() -> None:
    sets = pd.DataFrame({"patient_id": "A1", "visit": [0, 0, 1, 2], "can_be_nonresponder": [True, False, True, False]})
    sets["can_be_responder"] = [False, False, True, False]
    page = payload(replace(whole(), sets=sets))
    assert page["meta"]["hasSets"]
    assert page["patients"][0]["sets"] == [1, 3, 0, None]
    assert page["patients"][1]["sets"] == [None, None]


def test_a_slide_lies_on_its_grid_in_hundredths_of_its_limit() -> None:
    tables = whole()
    (slide,) = of(tables, "A1")["slides"]
    assert (slide["x"], slide["y"], slide["every"]) == ([0, 1, 2, 0, 1, 3], [0, 0, 0, 1, 1, 1], 1)
    assert slide["task"]["pfs"] == {"limit": 0.2, "value": [100, -50, 0, 25, -100, 50]}
    assert tables.patches is not None
    without = replace(tables, patches=tables.patches.assign(x=np.nan))
    assert of(without, "A1")["slides"] == [], "no place, no picture"
    large = pd.concat([tables.patches.assign(y=tables.patches["y"] + 512.0 * step) for step in range(1000)])
    (slide,) = of(replace(tables, patches=large), "A1")["slides"]
    assert slide["every"] == 3
    assert len(slide["x"]) == len(slide["task"]["os"]["value"]) == 2000


def test_no_text_leaves_its_script() -> None:
    tables = whole({name: [0.0] for name in HOSTILE})
    page = render_monitor(replace(tables, cohort=HOSTILE[1]))
    assert page.count("<script") == page.count("</script>") == 2
    assert "onerror=window" in page  # as text of the JSON
    assert "<img" not in page
    text = page[page.index('id="data">') + len('id="data">') :]
    data = json.loads(text[: text.index("</script>")])
    assert [each["id"] for each in data["patients"]] == sorted(HOSTILE)


def test_five_hundred_patients_of_twelve_visits_stay_under_six_megabytes() -> None:
    visits = {f"P-{i:04d}": [21.0 * v for v in range(12)] for i in range(20)}
    tables = whole(visits)
    grid = [*range(30, 31 * 23, 31)]
    curve = {f"survival_{t}": np.exp(-t / 500 - tables.predictions["visit"] / 12) for t in grid}
    band = {f"{kind}_{name}": value * (1 + way / 20) for name, value in curve.items() for kind, way in BAND.items()}
    wide = tables.predictions.drop(columns=[f"survival_{t}" for t in TIMES]).assign(**curve, **band)
    size = len(render_monitor(replace(tables, predictions=wide)))
    small = len(render_monitor(replace(tables, predictions=wide[wide["patient_id"] == "P-0000"], patients=None)))
    assert small + (size - small) / 19 * 499 < 6e6


def test_what_is_lacking_is_named() -> None:
    with pytest.raises(ValueError, match="lack task; give what"):
        MonitorInput(predictions=pd.DataFrame(columns=["patient_id", "visit", "day"]), cohort="c")
    with pytest.raises(ValueError, match="two days"):
        MonitorInput(predictions=predictions({"a": [0.0]}), cohort="c", horizons=(180.0, 90.0))
