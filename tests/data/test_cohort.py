"""Visits: what falls together, what was known when, and that every patient has a baseline."""

import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.data.cohort import assign_visits
from fusion.data.read import read_cohort


def samples(*rows: tuple[str, str, float], visit: list[str] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["sample_id", "patient_id", "available_day"]).set_index("sample_id")
    return table if visit is None else table.assign(visit=visit)


def test_results_within_the_window_fall_together_and_are_dated_at_the_latest() -> None:
    table, visits = assign_visits(
        samples(("a", "P", -5.0), ("b", "P", 3.0), ("c", "P", 21.0), ("d", "P", 28.0), ("e", "P", 28.5)), ["P"], 7.0
    )
    assert table["visit"].to_dict() == {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2}
    assert visits["day"].tolist() == [3.0, 28.0, 28.5]


def test_order_of_rows_does_not_matter() -> None:
    rows = [("a", "P", 0.0), ("b", "P", 21.0), ("c", "P", 24.0), ("d", "Q", 42.0)]
    forward, visits = assign_visits(samples(*rows), ["P", "Q"], 7.0)
    backward, visits_again = assign_visits(samples(*rows[::-1]), ["P", "Q"], 7.0)
    assert forward["visit"].to_dict() == backward["visit"].to_dict()
    pd.testing.assert_frame_equal(visits, visits_again)


@pytest.mark.parametrize("label", [None, ["c2"]])
def test_every_patient_has_a_baseline_visit_on_day_zero(label: list[str] | None) -> None:
    table, visits = assign_visits(samples(("a", "P", 21.0), visit=label), ["P", "none"], 7.0)
    assert table["visit"].to_dict() == {"a": 1}
    assert visits.to_numpy().tolist() == [["P", 0, 0.0], ["P", 1, 21.0], ["none", 0, 0.0]]


def test_labels_group_instead_of_the_window() -> None:
    table, visits = assign_visits(
        samples(("a", "P", 0.0), ("b", "P", 2.0), ("c", "P", 40.0), visit=["base", "c1", "c1"]), ["P"], 7.0
    )
    assert table["visit"].to_dict() == {"a": 0, "b": 1, "c": 1}
    assert visits["day"].tolist() == [0.0, 40.0]


def test_a_late_result_belongs_to_the_visit_at_which_it_was_known(tmp_path) -> None:
    cohort = read_cohort(write_tiny_cohort(tmp_path))
    late = cohort.samples.loc["P002-methylation"]
    assert (late["day"], late["visit"]) == (-5.0, 1)
    assert "P002-methylation" not in cohort.known_by("P002", 19.0).index
    assert "P002-methylation" in cohort.known_by("P002", 21.0).index


def test_no_visit_is_dated_before_one_of_its_results(tmp_path) -> None:
    cohort = read_cohort(write_tiny_cohort(tmp_path))
    dated = cohort.samples.merge(cohort.visits, on=["patient_id", "visit"], suffixes=("", "_of_visit"))
    assert len(dated) == len(cohort.samples)
    assert (dated["available_day"] <= dated["day_of_visit"]).all()


def test_samples_are_chosen_by_assay_and_specimen(tmp_path) -> None:
    cohort = read_cohort(write_tiny_cohort(tmp_path))
    plasma = cohort.samples_of("methylation", "plasma")
    assert set(plasma["specimen"]) == {"plasma"}
    assert len(plasma) + len(cohort.samples_of("methylation", "tissue")) == len(cohort.samples_of("methylation"))
