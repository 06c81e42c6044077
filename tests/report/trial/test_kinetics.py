"""ctDNA kinetics: ratios to baseline, medians as a slow count gives them, undetected values, and empty tables."""

import numpy as np
import pandas as pd
import pytest

from fusion.report.trial import NothingToDraw, ctdna_kinetics
from fusion.report.trial.kinetics import drawn_values, window_medians


def draws(patients: int = 40, seed: int = 0, lod: float = 0.001) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(patients):
        for day in (0, 20, 41, 62, 83, 120, 160)[: rng.integers(1, 8)]:
            value = 10.0 ** rng.uniform(-4, -0.3)
            rows.append((f"P{i}", float(day), value if value > lod else 0.0, lod))
    return pd.DataFrame(rows, columns=["patient_id", "day", "fraction", "lod"])


def test_ratio_is_to_the_last_draw_by_day_0_and_undetected_is_zero():
    table = pd.DataFrame(
        {
            "patient_id": ["a"] * 4 + ["b"] * 2 + ["c"],
            "day": [-9.0, 0.0, 21.0, 42.0, 0.0, 21.0, 5.0],
            "fraction": [0.5, 0.2, 0.1, 0.0004, 0.0, 0.1, 0.3],
            "lod": 0.001,
        }
    )
    found = drawn_values(table)
    np.testing.assert_allclose(found["ratio"], [2.5, 1.0, 0.5, 0.0, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(found["value"], [0.5, 0.2, 0.1, 0.0005, 0.0005, 0.1, 0.3])
    assert not drawn_values(table.assign(detected=[1, 1, 0, 0, 0, 1, 1]))["found"].iloc[2]


def test_medians_are_of_each_patients_last_draw_in_the_window():
    table = drawn_values(draws())
    found = window_medians(table, "value")
    windows = [(-1000, 0), (0, 21), (21, 42), (42, 84), (84, 126), (126, 168)]
    for window, (low, high) in enumerate(windows):
        last = {}
        for each in table.sort_values("day").itertuples():
            if low < each.day <= high:
                last[each.patient_id] = each.value
        if len(last) >= 5:
            assert found.loc[window, "patients"] == len(last)
            quartiles = np.quantile(list(last.values()), [0.25, 0.5, 0.75])
            np.testing.assert_allclose(found.loc[window, ["low", "median", "high"]].to_numpy(dtype=float), quartiles)
        else:
            assert window not in found.index


def test_columns_are_the_responses_that_occur_and_the_limit_is_drawn():
    response = pd.Series({f"P{i}": ("CR", "PR", "PD", "NE")[i % 4] for i in range(40)})
    figure = ctdna_kinetics(draws(), response)
    above = figure.axes[:2]
    assert [axes.get_title(loc="left").split(",")[0] for axes in above] == ["Response (CR", "Progressive disease"]
    assert all(0.001 in [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata())] for axes in above)
    below = [line.get_ydata()[0] for line in figure.axes[2].lines if len(line.get_ydata())]
    assert {0.5, 0.1} <= set(below)


@pytest.mark.parametrize("lod", [0.001, np.nan])
def test_one_patient_never_detected_is_drawn(lod: float):
    table = pd.DataFrame({"patient_id": ["a", "a"], "day": [0.0, 30.0], "fraction": [0.0, 0.0], "lod": lod})
    assert ctdna_kinetics(table, pd.Series({"a": "CR"})).axes


def test_nothing_to_draw_is_said():
    with pytest.raises(NothingToDraw, match="no plasma sample has a value"):
        ctdna_kinetics(draws(3).assign(fraction=np.nan), pd.Series({"P0": "CR"}))
    with pytest.raises(NothingToDraw, match="assessed response"):
        ctdna_kinetics(draws(3), pd.Series({"P0": "NE"}))
