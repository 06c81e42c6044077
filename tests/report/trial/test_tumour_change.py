"""Waterfall and spider draw what RECIST assessed: heights, order, colours, marks and lines."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from fusion.data.recist import assess_lesions
from fusion.report.trial import NothingToDraw, spider, waterfall
from fusion.report.trial.drawing import RESPONSE_COLOURS
from fusion.report.trial.tumour_change import TOP, best_changes, followed_scans

HOSTILE = "<b>$x_1$ & _y</b>"


def lesions(courses: dict[str, list[float]], new: dict[str, int] | None = None) -> pd.DataFrame:
    """One target lesion per patient, a scan every 42 days; `new` tells at which scan a new lesion is seen."""
    rows = []
    for patient, sizes in courses.items():
        for scan, size in enumerate(sizes):
            seen = (new or {}).get(patient) == scan
            rows.append((patient, 42 * scan, "T1", 1, size, 0))
            if seen:
                rows.append((patient, 42 * scan, "N1", 0, 8.0, 1))
    return pd.DataFrame(rows, columns=["patient_id", "scan_day", "lesion_id", "target", "diameter_mm", "new_lesion"])


def some_lesions(patients: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    courses = {
        f"P{i:03d}": list(np.round(60 * np.cumprod([1.0, *rng.uniform(0.5, 1.4, size=rng.integers(1, 6))]), 4))
        for i in range(patients)
    }
    return lesions(courses, {f"P{i:03d}": 1 for i in range(0, patients, 7)})


def test_bars_are_the_least_change_up_to_progression_in_falling_order():
    table = some_lesions(40)
    expected = {}
    for patient, mine in table[table["target"] == 1].groupby("patient_id"):
        new = table[(table["patient_id"] == patient) & (table["new_lesion"] == 1)]["scan_day"]
        sizes, days = mine["diameter_mm"].tolist(), mine["scan_day"].tolist()
        found = []
        for i in range(1, len(sizes)):
            found.append(100 * (sizes[i] / sizes[0] - 1))
            nadir = min(sizes[:i])
            if (len(new) and days[i] >= new.iloc[0]) or (sizes[i] >= 1.2 * nadir and sizes[i] - nadir >= 5):
                break
        expected[patient] = min(found)
    order = sorted(expected, key=lambda patient: (-expected[patient], patient))
    response = pd.Series({patient: ("CR", "PR", "SD", "PD", "NE")[i % 5] for i, patient in enumerate(expected)})
    axes = waterfall(assess_lesions(table), response).axes[0]
    bars = axes.patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], [expected[patient] for patient in order])
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [RESPONSE_COLOURS[response[patient]] for patient in order]
    (stars,) = [line for line in axes.lines if line.get_marker() == "*"]
    starred = {order[int(place)] for place in stars.get_xdata()}
    assert starred == {f"P{i:03d}" for i in range(0, 40, 7)}
    assert {20.0, -30.0} <= {line.get_ydata()[0] for line in axes.lines}


def test_what_comes_after_progression_does_not_count():
    table = assess_lesions(lesions({"a": [50, 70, 5]}))
    assert best_changes(table)["change"].tolist() == pytest.approx([40.0])
    assert followed_scans(table)["scan_day"].tolist() == [0, 42]


def test_a_bar_beyond_the_axis_is_marked_and_told():
    axes = waterfall(assess_lesions(lesions({"a": [10, 40], "b": [50, 20]})), pd.Series({"a": "PD", "b": "PR"})).axes[0]
    assert axes.get_ylim()[1] <= TOP + 10
    assert "1 bars go on beyond" in axes.get_title(loc="left")


def test_patients_without_a_later_scan_are_counted_not_drawn():
    figure = waterfall(assess_lesions(lesions({"a": [10], "b": [50, 20]})), pd.Series({"b": "PR"}))
    assert len(figure.axes[0].patches) == 1
    assert "1 of 2 patients" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("draw", [waterfall, spider])
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(NothingToDraw, match="measured both at baseline"):
        draw(assess_lesions(lesions({"a": [10], "b": [np.nan, 20]})), pd.Series(dtype=object))


@pytest.mark.parametrize("patients", [1, 30, 90])
def test_spider_has_each_complete_sum_of_each_patient_under_its_response(patients: int):
    table = assess_lesions(some_lesions(patients))
    response = pd.Series({f"P{i:03d}": ("PR", "PD", "SD")[i % 3] for i in range(patients)})
    figure = spider(table, response)
    drawn = {}
    for axes in figure.axes:
        for line in axes.lines:
            if line.get_marker() == "None" and len(line.get_xdata()) > 1 and line.get_linestyle() == "-":
                key = (tuple(np.asarray(line.get_xdata())), tuple(np.round(np.asarray(line.get_ydata()), 6)))
                drawn[key] = (to_hex(line.get_color()), axes.get_title(loc="left"))
    for patient, mine in followed_scans(table).groupby("patient_id"):
        mine = mine[mine["change"].notna()]
        colour, title = drawn[(tuple(mine["scan_day"]), tuple(np.round(100 * mine["change"], 6)))]
        assert colour == RESPONSE_COLOURS[response[patient]]
        assert patients <= 40 or title.startswith(
            {"PR": "Partial", "PD": "Progress", "SD": "Stable"}[response[patient]]
        )
