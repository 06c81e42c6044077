"""Targets of visits: residual time, who is at risk, and which visits may predict response."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fusion.data.cohort import Cohort
from fusion.data.targets import survival_tasks, visit_outcomes, visit_responses


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


@pytest.fixture
def followed() -> Cohort:
    """Patients whose progression was found on day 100, who died without it, who died on day 150 after it, and others.

    Scans fell on days -7, 42, 84 and 100; patient d was never scanned, and e is censored.
    """
    ids = ["a", "b", "c", "d", "e", "f"]
    outcomes = pd.DataFrame(
        {
            "os_days": [300.0, 90.0, 150.0, 200.0, 80.0, np.nan],
            "os_event": pd.array([False, True, True, False, False, None], dtype="boolean"),
            "pfs_days": [100.0, 90.0, 100.0, 60.0, 80.0, np.nan],
            "pfs_event": pd.array([True, True, True, True, False, None], dtype="boolean"),
        },
        index=pd.Index(ids, name="patient_id"),
    )
    scans = [(patient, day) for patient in "abce" for day in (-7.0, 42.0, 84.0, 100.0) for _ in range(2)]
    visits = [(patient, visit, day) for patient in ids for visit, day in enumerate((0.0, 50.0, 95.0))]
    return Cohort(
        name="followed",
        folder=Path(),
        settings={},
        patients=pd.DataFrame({"site": ["north", "south", "north", None, "east", "south"]}, index=outcomes.index),
        outcomes=outcomes,
        endpoints=("os", "pfs"),
        samples=pd.DataFrame(),
        visits=pd.DataFrame(visits, columns=["patient_id", "visit", "day"]),
        lesions=pd.DataFrame(scans, columns=["patient_id", "scan_day"]),
    )


def test_progression_names_its_cause(followed: Cohort) -> None:
    outcome = visit_outcomes(followed, "progression")
    assert survival_tasks(followed) == ("os", "pfs", "progression")
    np.testing.assert_array_equal(outcome.cause[::3], [1, 2, 1, 1, 0, 0])
    pfs = visit_outcomes(followed, "pfs")
    np.testing.assert_array_equal(outcome.duration, pfs.duration)
    np.testing.assert_array_equal(outcome.event, pfs.event)
    np.testing.assert_array_equal(outcome.cause > 0, outcome.event)
    assert pfs.cause is None


def test_progression_lies_between_the_last_scan_without_it_and_the_scan_that_found_it(followed: Cohort) -> None:
    outcome = visit_outcomes(followed, "pfs")
    of = dict(zip(followed.patient_ids, np.reshape(outcome.last_free, (6, 3)).tolist(), strict=True))
    assert of["a"] == [84.0, 34.0, 0.0]  # of the visit on day 95 no scan is known between it and the finding
    assert of["b"][:2] == [90.0, 40.0]  # a death has an exact day
    assert of["c"] == of["a"]
    assert of["d"][0] == 0.0  # never scanned: some day since the visit
    assert of["e"][:2] == [80.0, 30.0]  # free until the end of follow-up
    assert (outcome.last_free <= outcome.duration).all()
    assert visit_outcomes(followed, "os").last_free is None
    assert visit_outcomes(replace(followed, lesions=None), "pfs").last_free is None


def test_an_endpoint_of_that_name_in_the_file_is_taken_as_it_is(followed: Cohort) -> None:
    outcomes = followed.outcomes.assign(progression_days=70.0, progression_event=True)
    given = visit_outcomes(replace(followed, outcomes=outcomes, endpoints=("os", "pfs", "progression")), "progression")
    assert given.cause is None
    assert (given.duration[::3] == 70.0).all()


def test_sites_are_strata(followed: Cohort, cohort: Cohort) -> None:
    np.testing.assert_array_equal(visit_outcomes(followed, "os").stratum[::3], [1, 2, 1, -1, 0, 2])
    assert visit_outcomes(cohort, "os").stratum is None


def test_classes_that_a_label_leaves_open(cohort: Cohort) -> None:
    def possible(label: str | None, **options: Any) -> tuple[list[bool], bool, int]:
        told = replace(cohort, outcomes=cohort.outcomes.assign(response=[label] * 3), **options)
        response = visit_responses(told, cohort.visits.iloc[[0]])
        return response.possible[0].tolist(), bool(response.known[0]), int(response.label[0])

    assert possible("PD") == ([True, False, False, False], True, 0)
    assert possible("CR") == ([False, False, False, True], True, 1)
    assert possible("responder") == ([False, False, True, True], True, 1)
    assert possible("nonresponder") == ([True, True, False, False], True, 0)
    assert possible("non-PD") == ([False, True, True, True], False, 0)
    assert possible("NE") == possible(None) == ([True] * 4, False, 0)
    by_intention = {"settings": {"response": {"ne": "nonresponder"}}}
    assert possible("NE", **by_intention) == ([True, True, False, False], True, 0)
    with pytest.raises(ValueError, match="write unknown or nonresponder"):
        possible("NE", settings={"response": {"ne": "no"}})


def test_classes_are_open_once_the_assessment_is_past(cohort: Cohort) -> None:
    response = visit_responses(cohort)
    assert response.possible[1:3].all()
    np.testing.assert_array_equal(response.possible[0], [False, False, True, False])
