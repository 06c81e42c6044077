"""What counts as the same specimen, and what does not."""

import numpy as np
import pandas as pd

from fusion.audit.duplicates import alike_profiles
from fusion.audit.ranks import rank_of


def test_two_runs_of_one_library_are_alike_and_different_patients_are_not():
    rng = np.random.default_rng(0)
    typical = rng.gamma(2.0, 50.0, size=400)
    values = typical * np.exp(0.2 * rng.normal(size=(60, 400)))
    assert np.corrcoef(values)[np.triu_indices(60, 1)].min() > 0.7, "as raw profiles all resemble each other"
    assert alike_profiles(values) == []
    again = values[7] * np.exp(0.02 * rng.normal(size=400))
    found = alike_profiles(np.vstack([values, 3.0 * again]))
    assert [(one, other) for one, other, _ in found] == [(7, 60)]


def test_profiles_of_a_subtype_are_not_alike():
    """Half of the patients share a programme: they resemble each other, and none is another's specimen."""
    rng = np.random.default_rng(1)
    programme = np.repeat([0.0, 3.0], 30)[:, None] * rng.normal(size=300)
    assert alike_profiles(programme + rng.normal(size=(60, 300))) == []


def test_blanks_and_constant_features_tell_nothing():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(20, 50))
    values[:, :10] = 1.0
    values[:, 10:20] = np.nan
    values[3, 25] = np.nan
    assert alike_profiles(values) == []
    values[4] = values[3]
    assert [(one, other) for one, other, _ in alike_profiles(values)] == [(3, 4)]
    assert alike_profiles(values[:, :20]) == []


def test_rank_is_that_of_the_hand():
    rows = pd.DataFrame(
        {
            "repeat": 0,
            "fold": [0, 0, 0, 1],
            "patient_id": list("abcd"),
            "risk": [3.0, 1.0, 2.0, 9.0],
            "residual": [1.0, 2.0, 3.0, 9.0],
            "event": [True, True, False, True],
        }
    )
    rank = rank_of(rows, resamples=50)
    assert rank.value == 2 / 3  # ab and ac agree, bc does not; d is of another fold
    assert (rank.patients, rank.events, rank.judgeable) == (4, 3, False)
