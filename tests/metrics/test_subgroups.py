"""Subgroups are scored as the whole is, on their own patients, and small ones are not scored at all."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import fake_run

from fusion.metrics.dynamic import ModelTable
from fusion.metrics.score import score_run
from fusion.metrics.subgroups import score_subgroups, subgroup_table


@pytest.fixture(scope="module")
def run():
    return fake_run(patients=120, repeats=2, folds=3)


@pytest.fixture(scope="module")
def groups(run):
    stage = np.where(np.arange(120) < 70, "ES", "LS")
    sex = np.array(["female"] * 4 + ["male"] * 110 + [""] * 6)
    return pd.DataFrame({"patient_id": run.time.index, "stage": stage, "sex": sex})


def test_a_subgroup_is_the_run_on_its_patients(run, groups):
    found = score_subgroups(ModelTable(run.predictions, run.splits), groups, horizons=(180, 365, 730), resamples=40)
    extensive = groups.loc[groups["stage"] == "ES", "patient_id"]
    alone = score_run(run.predictions, None, run.splits, resamples=40, only=set(extensive))["task"]
    ours, whole = found["os"]["stage"]["ES"], alone["os"]["model"]["fusion"]
    assert ours["c_index"] == pytest.approx(whole["c_index"])
    assert ours["scaled_brier"]["365"] == pytest.approx(whole["scaled_brier"]["365"])
    assert (ours["n"], ours["events"]) == (70, whole["events"])
    assert found["response"]["stage"]["ES"]["auroc"] == pytest.approx(alone["response"]["model"]["fusion"]["auroc"])
    assert found["os"]["stage"]["ES"]["events"] + found["os"]["stage"]["LS"]["events"] > ours["events"]


def test_small_ones_are_counted_and_blanks_belong_nowhere(run, groups):
    found = score_subgroups(ModelTable(run.predictions, run.splits), groups, horizons=(365,), resamples=5)
    assert found["os"]["sex"]["female"] == {"n": 4}
    assert found["os"]["sex"]["male"]["n"] == 110
    assert set(found["os"]["sex"]) == {"female", "male"}
    assert set(found["os"]) == {"stage", "sex"}


def test_metrics_have_subgroups_where_they_are_given(run, groups):
    with_groups = score_run(run.predictions, None, run.splits, resamples=5, subgroups=groups)
    assert set(with_groups["subgroups"]) == {"os", "response"}
    assert "subgroups" not in score_run(run.predictions, None, run.splits, resamples=5)


def test_the_table_is_text_of_what_a_cohort_has():
    patients = pd.DataFrame(
        {
            "stage": ["ES", None, "LS"],
            "age": [65.0, 64.9, np.nan],
            "site": [1, 2, 2],
            "ldh": [1.0, 2.0, 3.0],
        },
        index=["a", "b", "c"],
    )
    table = subgroup_table(patients)
    assert list(table) == ["patient_id", "stage", "age_group", "site"]
    assert table["patient_id"].tolist() == ["a", "b", "c"]
    assert table["stage"].tolist() == ["ES", "", "LS"]
    assert table["age_group"].tolist() == ["65 or older", "under 65", ""]
    assert table["site"].tolist() == ["1", "2", "2"]


def test_a_patient_twice_is_refused(run, groups):
    with pytest.raises(ValueError, match="every patient once"):
        score_subgroups(ModelTable(run.predictions, run.splits), pd.concat([groups, groups]), horizons=(365,))
