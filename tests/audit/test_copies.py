"""Copies of a cohort: nothing of those left out remains, and only the future is changed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.audit.copy import copy_without, with_later_visits, with_other_samples, without_later_visits
from fusion.data.cohort import Cohort
from fusion.data.read import read_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("copies") / "cohort", patients=10))


def test_nothing_is_left_of_those_left_out(cohort: Cohort, tmp_path: Path):
    gone = ["P001", "P004"]
    copy = copy_without(cohort, gone, tmp_path / "copy")
    for path in copy.rglob("*"):
        assert not any(patient in path.name for patient in gone)
        if path.suffix == ".parquet":
            assert not [name for name in pd.read_parquet(path) if name[:4] in gone]
        elif path.suffix in (".csv", ".maf"):
            assert not any(patient in path.read_text() for patient in gone)
    other = read_cohort(copy)
    assert set(cohort.patient_ids) - set(other.patient_ids) == set(gone)
    pd.testing.assert_frame_equal(cohort.outcomes.drop(gone), other.outcomes)
    assert list(cohort.samples.index[~cohort.samples["patient_id"].isin(gone)]) == list(other.samples.index)


def test_a_copy_of_all_reads_the_same(cohort: Cohort, tmp_path: Path):
    other = read_cohort(copy_without(cohort, [], tmp_path / "copy"))
    pd.testing.assert_frame_equal(cohort.samples, other.samples)
    pd.testing.assert_frame_equal(cohort.patients, other.patients)


def test_only_later_samples_are_exchanged(cohort: Cohort):
    other = with_other_samples(cohort, after=0.0)
    same = cohort.samples.index.to_numpy() == other.samples.index.to_numpy()
    later = (cohort.samples["available_day"] > 0).to_numpy()
    assert same[~later].all()
    assert not same[later].all()
    assert set(cohort.samples.index) == set(other.samples.index)
    columns = ["patient_id", "modality", "specimen", "visit"]
    np.testing.assert_array_equal(cohort.samples[columns], other.samples[columns])
    kinds = cohort.samples["modality"].loc[other.samples.index].to_numpy()
    np.testing.assert_array_equal(kinds, other.samples["modality"])


def test_only_later_visits_are_moved_or_taken(cohort: Cohort):
    moved, cut = with_later_visits(cohort, 0.0, 5.0), without_later_visits(cohort, 0.0)
    later = cohort.visits["day"] > 0
    np.testing.assert_array_equal(moved.visits["day"] - cohort.visits["day"], 5.0 * later)
    pd.testing.assert_frame_equal(cut.visits, cohort.visits[~later])
    assert (cut.samples["available_day"] <= 0).all()
