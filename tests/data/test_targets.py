"""Targets of visits: residual time, who is at risk, and which visits may predict response."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.data.cohort import Cohort
from fusion.data.targets import visit_outcomes, visit_responses


@pytest.fixture
def cohort() -> Cohort:
    """Three patients: an event at day 100 with visits 0, 50, 100; a censored one; one with nothing known."""
    ids = ["a", "b", "c"]
    visits = [("a", 0, 0.0), ("a", 1, 50.0), ("a", 2, 100.0), ("b", 0, 0.0), ("b", 1, 30.0), ("c", 0, 0.0)]
    outcomes = pd.DataFrame(
        {
            "os_days": [100.0, 80.0, np.nan],
            "os_event": pd.array([True, False, None], dtype="boolean"),
            "response": ["PR", "NE", "SD"],
            "response_day": [50.0, 42.0, np.nan],
        },
        index=pd.Index(ids, name="patient_id"),
    )
    return Cohort(
        name="toy",
        folder=Path(),
        settings={},
        patients=pd.DataFrame(index=outcomes.index),
        outcomes=outcomes,
        endpoints=("os",),
        samples=pd.DataFrame(),
        visits=pd.DataFrame(visits, columns=["patient_id", "visit", "day"]),
    )


def test_residual_time_counts_from_the_visit(cohort: Cohort) -> None:
    outcome = visit_outcomes(cohort, "os")
    np.testing.assert_array_equal(outcome.duration, [100, 50, 1, 80, 50, 1])
    np.testing.assert_array_equal(outcome.event, [True, True, False, False, False, False])
    np.testing.assert_array_equal(outcome.at_risk, [True, True, False, True, True, False])


def test_chosen_visits_in_their_own_order(cohort: Cohort) -> None:
    outcome = visit_outcomes(cohort, "os", cohort.visits.iloc[[4, 0]])
    np.testing.assert_array_equal(outcome.duration, [50, 100])


def test_unknown_endpoint_names_those_that_exist(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="there is os"):
        visit_outcomes(cohort, "pfs")


def test_response_is_known_only_before_its_assessment(cohort: Cohort) -> None:
    response = visit_responses(cohort)
    np.testing.assert_array_equal(response.known, [True, False, False, False, False, True])
    np.testing.assert_array_equal(response.label, [1, 0, 0, 0, 0, 0])


def test_ne_as_nonresponder(cohort: Cohort) -> None:
    response = visit_responses(cohort, ne="nonresponder")
    np.testing.assert_array_equal(response.known, [True, False, False, True, True, True])
    assert response.label.sum() == 1


def test_cohort_without_response(cohort: Cohort) -> None:
    bare = replace(cohort, outcomes=cohort.outcomes.drop(columns=["response", "response_day"]))
    assert not visit_responses(bare).known.any()
