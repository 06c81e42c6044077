"""ROC curves by time: their area is the cumulative/dynamic AUC of the metrics, and they are what a slow count gives."""

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.functional import cumulative_dynamic_auc
from fusion.report.trial import NothingToDraw, roc_at, time_dependent_roc
from fusion.survival import censoring_survival


def rows(patients: int = 150, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=patients)
    time, follow = rng.exponential(300 * np.exp(-eta)), rng.uniform(50, 900, size=patients)
    table = pd.DataFrame({"duration": np.ceil(np.minimum(time, follow)), "event": time <= follow})
    return table.assign(survival_180=np.round(np.exp(-np.exp(eta) * 0.5), 2), survival_360=np.exp(-np.exp(eta)))


@pytest.mark.parametrize("day", [180.0, 360.0])
def test_area_is_the_auc_of_the_metrics(day: float):
    table = rows()
    duration, event = table["duration"].to_numpy(), table["event"].to_numpy()
    marker = 1 - table[f"survival_{day:g}"].to_numpy()
    wanted = cumulative_dynamic_auc(marker, duration, event, np.array([day]), censoring_survival(duration, event))
    assert roc_at(marker, duration, event, day).area == pytest.approx(float(wanted[0]), abs=1e-9)


def test_without_censoring_it_is_a_plain_count():
    marker = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    time = np.array([1.0, 9.0, 2.0, 9.0, 9.0])
    curve = roc_at(marker, time, np.ones(5, dtype=bool), 5.0)
    np.testing.assert_allclose(curve.false_positive, [0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.true_positive, [0, 0.5, 0.5, 1, 1, 1])


def test_horizons_without_cases_are_not_drawn():
    assert len(time_dependent_roc(rows(), [180.0, 360.0]).axes[0].lines) == 3
    with pytest.raises(NothingToDraw, match="too short"):
        time_dependent_roc(rows(), [])
    with pytest.raises(NothingToDraw, match="patients"):
        time_dependent_roc(rows(10), [180.0])
    assert np.isnan(roc_at(np.ones(2), np.ones(2), np.zeros(2, dtype=bool), 5.0).area)
