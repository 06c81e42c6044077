"""Regrowth: what few noisy samples foretell, and that nothing of the future or of other patients is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr

from fusion.data.modalities.regrowth import FORETOLD, Regrowth

LIMIT = 1e-3
DAYS = np.array([0.0, 21.0, 42.0, 63.0, 84.0])


def course(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples of tumours that fall and regrow, "N V", and the log of what is left on the days foretold, "N C"."""
    rng = np.random.default_rng(seed)
    share, fall, growth = (np.exp(m + s * rng.normal(size=count)) for m, s in ((-3.5, 1.5), (-2.0, 0.4), (-4.6, 0.5)))
    share = np.minimum(share, 0.9)

    def left(days: NDArray[np.float64]) -> NDArray[np.float64]:
        killed = (1 - share)[:, None] * np.exp(-fall[:, None] * days)
        return killed + share[:, None] * np.exp(growth[:, None] * days)

    start = np.exp(-3 + rng.normal(size=count))
    seen = start[:, None] * left(DAYS) * np.exp(0.35 * rng.normal(size=(count, len(DAYS))))
    return np.where(seen < LIMIT, 0.0, seen), np.log(left(np.array(FORETOLD)))


def read(regrowth: Regrowth, values: NDArray[np.float64], days: NDArray[np.float64] = DAYS) -> NDArray[np.float64]:
    """What is told after every sample of every patient, "N V C"."""
    count, visits = values.shape
    columns = regrowth.read(*laid_out(values, days))
    return columns.reshape(count, visits, len(FORETOLD))


def laid_out(values: NDArray[np.float64], days: NDArray[np.float64] = DAYS) -> tuple[NDArray[np.float64], ...]:
    count, visits = values.shape
    patient = np.repeat(np.arange(count), visits).astype(np.float64)
    return values.ravel(), np.full(values.size, LIMIT), np.tile(days, count), patient


@pytest.fixture(scope="module")
def regrowth() -> Regrowth:
    return Regrowth.fit(*laid_out(course(150, seed=0)[0]))


def test_foretells_better_than_the_last_value_or_the_change(regrowth: Regrowth) -> None:
    values, truth = course(400, seed=1)
    told = read(regrowth, values)[:, -1, 0]
    shown = np.log(np.maximum(values, LIMIT))
    plain = max(spearmanr(each, truth[:, 0])[0] for each in (shown[:, -1], shown[:, -1] - shown[:, 0]))
    assert spearmanr(told, truth[:, 0])[0] > plain + 0.05
    assert np.corrcoef(told, truth[:, 0])[0, 1] > 0.7


def test_every_further_sample_sharpens(regrowth: Regrowth) -> None:
    values, truth = course(400, seed=2)
    told = read(regrowth, values)[:, :, 0]
    errors = np.square(told - truth[:, :1]).mean(axis=0)
    assert (np.diff(errors) < 0).all()


def test_only_earlier_samples_of_the_same_patient_count(regrowth: Regrowth) -> None:
    values, _ = course(30, seed=3)
    told = read(regrowth, values)
    later = values.copy()
    later[:, 3:] = 0.5
    np.testing.assert_array_equal(read(regrowth, later)[:, :3], told[:, :3])
    np.testing.assert_array_equal(read(regrowth, values[7:8]), told[7:8])


def test_undetected_is_low_and_blank_is_unknown(regrowth: Regrowth) -> None:
    fallen = np.array([[0.05, 0.004, 0.0]])
    blank, kept = (np.array([[0.05, 0.004, last]]) for last in (np.nan, 0.01))
    low, unknown, high = (read(regrowth, each, DAYS[:3])[0, -1, 0] for each in (fallen, blank, kept))
    assert low < unknown < high
    np.testing.assert_array_equal(
        read(regrowth, blank, DAYS[:3])[0, -1], read(regrowth, fallen[:, :2], DAYS[:2])[0, -1]
    )


def test_the_cohort_moves_what_is_expected_of_an_unseen_patient() -> None:
    values, _ = course(100, seed=4)
    growing = np.minimum(values[:, :1] * np.exp(0.02 * DAYS), 0.9)
    said = [read(Regrowth.fit(*laid_out(each)), values[:1, :1], DAYS[:1])[0, 0, 0] for each in (values, growing)]
    assert said[1] > said[0] + 1


SMALL = Regrowth.fit(*laid_out(course(20, seed=5)[0]))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-50, 4000)), min_size=1, max_size=12))
def test_finite_whatever_is_measured(samples: list[tuple[float, float]]) -> None:
    values, days = np.array(samples).T
    assert np.isfinite(read(SMALL, values[None], np.sort(days))).all()


def test_a_table_of_blanks_is_fitted_and_read() -> None:
    blank = np.full((4, 5), np.nan)
    told = read(Regrowth.fit(*laid_out(blank)), blank)
    assert np.ptp(told, axis=(0, 1)).max() < 1e-9
