"""Power and needed size from replicates whose truth is known."""

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.power import Crossing, crossing, needed_patients, power_table, rising

SIZES = (50, 100, 200, 400, 800)


def studies(effect: float, sizes: tuple[int, ...] = SIZES, number: int = 4000, spread: float = 1.0) -> pd.DataFrame:
    """Studies whose estimate is normal about `effect` with standard error `spread / sqrt(n)`, and their lower limit."""
    rng = np.random.default_rng(0)
    frames = []
    for size in sizes:
        error = spread / np.sqrt(size)
        gain = effect + error * rng.normal(size=number)
        frames.append(pd.DataFrame({"day": 0.0, "patients": size, "difference": gain, "low": gain - 1.96 * error}))
    return pd.concat(frames, ignore_index=True)


def test_noise_is_shown_as_often_as_the_interval_errs_on_one_side():
    table = power_table(studies(effect=0.0), add=0.03)
    np.testing.assert_allclose(table["power"], 0.025, atol=0.008)
    assert needed_patients(table, 0.8, 0.03)[0].power.where == "beyond"


def test_power_and_needed_patients_are_those_of_the_formula():
    effect = 0.2
    table = power_table(studies(effect), add=0.1)
    normal = NormalDist()
    formula = [normal.cdf(effect * np.sqrt(size) - 1.96) for size in SIZES]
    np.testing.assert_allclose(table["power"], formula, atol=0.025)
    exact = ((1.96 + normal.inv_cdf(0.8)) / effect) ** 2  # 196 patients
    needed = needed_patients(table, 0.8, 0.1)[0]
    assert needed.power.patients == pytest.approx(exact, rel=0.04)
    assert needed.low.patients <= needed.power.patients <= needed.high.patients
    assert needed.gain.where == "smallest"
    assert needed.both.patients == needed.power.patients


def test_a_sure_gain_has_power_one_and_needs_the_smallest_size():
    table = power_table(studies(effect=5.0), add=0.03)
    assert (table["power"] == 1.0).all()
    assert (table["share_add"] == 1.0).all()
    assert needed_patients(table, 0.8, 0.03)[0].power.patients == SIZES[0]


def test_what_is_shown_may_still_add_too_little():
    needed = needed_patients(power_table(studies(effect=0.2), add=0.5), 0.8, 0.5)[0]
    assert needed.power.patients is not None
    assert needed.gain.patients is needed.both.patients is None


def test_a_gain_that_falls_as_the_others_learn_is_no_longer_there_once_it_shows():
    falling = pd.concat(
        [studies(gain, (size,)) for size, gain in zip(SIZES, (0.3, 0.25, 0.19, 0.18, 0.17), strict=True)]
    )
    needed = needed_patients(power_table(falling, add=0.2), 0.8, 0.2)[0]
    assert needed.gain == Crossing("smallest", SIZES[0])
    assert 200 < needed.power.patients < 400
    assert needed.both.where == "beyond"
    assert needed_patients(power_table(falling, add=0.1), 0.8, 0.1)[0].both.patients == needed.power.patients


def test_a_level_that_is_reached_later_is_found_after_the_start():
    sizes, values = [100, 200, 400], [0.5, 0.1, 0.5]
    assert crossing(sizes, values, 0.3).patients == 100
    assert crossing(sizes, values, 0.3, start=150).patients == crossing(sizes[1:], values[1:], 0.3).patients == 283


def test_days_are_answered_apart():
    both = pd.concat([studies(0.1), studies(0.3).assign(day=42.0)])
    early, late = needed_patients(power_table(both, add=0.0), 0.8, 0.0)
    assert (early.day, late.day) == (0.0, 42.0)
    assert late.power.patients < early.power.patients


def test_an_interval_that_is_not_defined_shows_nothing():
    table = power_table(
        pd.DataFrame({"day": 0.0, "patients": 50, "difference": [0.1, np.nan], "low": [0.05, np.nan]}), add=0.05
    )
    assert table.loc[0, "power"] == 0.5
    assert table.loc[0, "share_add"] == 0.5
    assert table.loc[0, "difference"] == 0.1


def test_more_patients_are_never_needed_for_less_power():
    rng = np.random.default_rng(1)
    for values in rng.random((10, len(SIZES))):
        curve = rising(values)
        assert (np.diff(curve) >= 0).all()
        assert curve.mean() == pytest.approx(values.mean())
        sizes = [crossing(SIZES, curve, level).patients or 10**9 for level in np.linspace(0.05, 0.95, 10)]
        assert sizes == sorted(sizes)


def test_the_level_of_a_size_is_reached_at_this_size():
    assert crossing([50, 100, 200], [0.2, 0.8, 0.9], 0.8).patients == 100


def test_refusals_name_the_remedy():
    with pytest.raises(ValueError, match="sort them"):
        crossing([100, 50], [0.1, 0.2], 0.8)
    with pytest.raises(ValueError, match="between 0 and 1"):
        needed_patients(power_table(studies(0.1, number=5), add=0.0), 80, 0.0)
    with pytest.raises(ValueError, match="no column low"):
        power_table(studies(0.1, number=5).drop(columns="low"), add=0.0)
