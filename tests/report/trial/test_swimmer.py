"""The swimmer figure: lengths, order, marks and the stated sample; ids are drawn as they are written."""

import numpy as np
import pandas as pd
import pytest

from fusion.report.style import DAYS_PER_MONTH
from fusion.report.trial import NothingToDraw, swimmer, swimmer_course

HOSTILE = ["<b>&amp;</b>", "$\\frac{a}$", "a_b^c", "\\alpha"]


def outcomes(patients: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    os_days = rng.integers(20, 900, size=patients).astype(float)
    pfs = np.minimum(os_days, rng.integers(10, 700, size=patients))
    return pd.DataFrame(
        {
            "os_days": os_days,
            "os_event": rng.integers(0, 2, size=patients),
            "pfs_days": pfs,
            "pfs_event": np.where(pfs < os_days, 1, rng.integers(0, 2, size=patients)),
        },
        index=[f"P{i:03d}" for i in range(patients)],
    )


def marks(figure, marker: str) -> list[tuple[float, float]]:
    (line,) = [line for line in figure.axes[0].lines if line.get_marker() == marker]
    pairs = zip(line.get_xdata(), line.get_ydata(), strict=True)
    return sorted((float(x), float(y)) for x, y in pairs if np.isfinite(x))


def test_bars_and_marks_stand_where_the_outcomes_say():
    table = outcomes(25)
    figure = swimmer(swimmer_course(table), pd.Series(dtype=object))
    order = table.assign(p=table.index).sort_values(["os_days", "p"], ascending=[False, True])
    lengths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(lengths, order["os_days"] / DAYS_PER_MONTH)
    row = {patient: i for i, patient in enumerate(order.index)}
    dead = sorted((each.os_days / DAYS_PER_MONTH, row[p]) for p, each in order.iterrows() if each.os_event)
    np.testing.assert_allclose(marks(figure, "X"), dead)
    progressed = sorted(
        (each.pfs_days / DAYS_PER_MONTH, row[p])
        for p, each in order.iterrows()
        if each.pfs_event and (not each.os_event or each.pfs_days < each.os_days)
    )
    np.testing.assert_allclose(marks(figure, "D"), progressed)
    assert len(marks(figure, ">")) == int((order["os_event"] == 0).sum())
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(order.index)


def test_a_death_is_no_progression_and_an_unknown_outcome_no_bar():
    table = outcomes(3)
    table.iloc[0] = [100.0, 1, 100.0, 1]
    table.iloc[1] = np.nan
    course = swimmer_course(table)
    assert list(course.index) == ["P000", "P002"]
    assert np.isnan(course.loc["P000", "progression_day"])


def test_blood_drawn_after_the_end_is_not_shown():
    table = outcomes(2).assign(os_days=[100.0, 50.0])
    draws = pd.DataFrame({"patient_id": ["P000", "P001", "P001", "other"], "day": [0.0, 49.0, 51.0, 1.0]})
    figure = swimmer(swimmer_course(table), pd.Series(dtype=object), draws=draws)
    assert [x for x, _ in marks(figure, "|")] == pytest.approx([0.0, 49.0 / DAYS_PER_MONTH])


def test_of_many_patients_a_stated_sample_is_shown():
    figure = swimmer(swimmer_course(outcomes(500)), pd.Series(dtype=object))
    assert len(figure.axes[0].patches) == 60
    assert figure.axes[0].get_title(loc="left").startswith("60 of 500 patients")
    lengths = [bar.get_width() for bar in figure.axes[0].patches]
    assert lengths == sorted(lengths, reverse=True)


def test_nobody_is_said():
    with pytest.raises(NothingToDraw, match="end of follow-up"):
        swimmer(swimmer_course(outcomes(3).assign(os_days=np.nan, pfs_days=np.nan)), pd.Series(dtype=object))


def test_ids_can_be_left_away():
    figure = swimmer(swimmer_course(outcomes(4)), pd.Series(dtype=object), show_ids=False)
    assert not figure.axes[0].get_yticklabels()
