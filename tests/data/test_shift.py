"""What is kept of a training cohort holds no patient; what differs in another cohort is found, and nothing else."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.covariates import difference, merge_rare, summarise, summarise_classes, summarise_numbers
from fusion.data.modalities.base import Modality
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.plasma import Plasma
from fusion.data.read import read_cohort
from fusion.data.shift import compare_cohorts, outside_training, summarise_training


def modalities() -> dict[str, Modality]:
    return {"clinical": Clinical(), "plasma": Plasma(), "labs": Labs()}


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("training"), patients=60))


@pytest.fixture(scope="module")
def summary(training: Cohort) -> dict:
    return json.loads(json.dumps(summarise_training(training, modalities()), allow_nan=False))


def changed(cohort: Cohort, **columns: object) -> Cohort:
    return dataclasses.replace(cohort, patients=cohort.patients.assign(**columns))


def row(shift: dict, name: str) -> dict:
    (found,) = [each for each in shift["covariates"] if each["name"] == name]
    return found


def test_summary_tells_the_cohort(training: Cohort, summary: dict) -> None:
    age = training.patients["age"]
    kept = summary["covariates"]["age"]
    assert kept["mean"] == pytest.approx(age.mean(), rel=1e-5)
    assert kept["sd"] == pytest.approx(age.std(), rel=1e-5)
    assert kept["quantiles"]["50"] == pytest.approx(age.median(), rel=1e-3)
    assert summary["covariates"]["ldh"]["missing"] == pytest.approx(training.patients["ldh"].isna().mean(), abs=1e-4)
    assert summary["covariates"]["stage"]["counts"] == {"ES": 40, "LS": 20}
    assert summary["covariates"]["labs:ldh"]["unit"] == "U/L"
    assert summary["modalities"]["plasma"]["at_baseline"] == pytest.approx(59 / 60, abs=1e-4)
    assert summary["combinations"] == {"clinical + labs + plasma": 59, "(rare)": 1}
    assert summary["outcomes"]["os"]["events"] == 45
    assert summary["outcomes"]["response"]["known"] == int((training.outcomes["response"] != "NE").sum())
    assert "site" not in summary["covariates"]


def test_a_cohort_does_not_differ_from_itself(training: Cohort, summary: dict) -> None:
    shift = compare_cohorts(summary, training, modalities())
    assert all(each["difference"] == pytest.approx(0, abs=1e-4) for each in shift["covariates"])
    assert not shift["absent"]
    assert not shift["added"]
    assert all(not each.get("new_classes") for each in shift["covariates"])
    assert shift["combinations"] == {"patients": 1, "unseen": {"clinical": 1}}, "one patient of 60 is alone in it"
    share = sum(each["outside"] for each in shift["covariates"] if "outside" in each) / shift["outside"]["covariates"]
    assert share <= 0.04 * training.num_patients
    assert sum(shift["outside"]["patients"].values()) == training.num_patients
    json.dumps(shift, allow_nan=False)


def test_what_was_shifted_is_found(training: Cohort, summary: dict) -> None:
    stage = np.where(np.arange(60) < 30, "LS", "new")
    moved = changed(training, age=training.patients["age"] + 40, stage=stage, ldh=np.nan, extra=1.0)
    moved = dataclasses.replace(moved, patients=moved.patients.drop(columns="sex"))
    shift = compare_cohorts(summary, moved, modalities())
    # ages are capped at 90 as the model reads them, so the mean moves by less than 40
    capped = np.minimum(training.patients["age"] + 40, 90.0)
    spread = np.sqrt((training.patients["age"].var() + capped.var()) / 2)
    assert row(shift, "age")["difference"] == pytest.approx(
        (capped.mean() - training.patients["age"].mean()) / spread, rel=1e-3
    )
    assert row(shift, "age")["outside"] > 50
    assert row(shift, "stage")["new_classes"] == {"new": 30}
    assert row(shift, "ldh")["here"]["missing"] == 1.0
    assert row(shift, "ldh")["difference"] is None
    assert shift["absent"] == ["sex"]
    assert shift["added"] == ["extra"]
    table = outside_training(summary, moved, modalities()).set_index("patient_id")
    assert table.loc["P059", "new_classes"] == "stage"
    assert table.loc["P000", "new_classes"] == ""
    assert "age" in table.loc["P000", "outside"]
    assert shift["outside"]["patients"]["0"] == int((table["covariates_outside"] == 0).sum())


def test_an_absent_modality_is_seen(training: Cohort, summary: dict) -> None:
    samples = training.samples[~((training.samples["modality"] == "plasma") & (training.samples["visit"] == 0))]
    shift = compare_cohorts(summary, dataclasses.replace(training, samples=samples), modalities())
    assert shift["modalities"]["plasma"]["here"]["at_baseline"] == 0.0
    assert shift["modalities"]["plasma"]["here"]["at_later_visits"] > 0
    assert shift["combinations"]["patients"] == 60
    assert "plasma:tumor_fraction" in {each["name"] for each in shift["covariates"]}


def test_units_are_those_of_training(training: Cohort, summary: dict, tmp_path) -> None:
    folder = write_tiny_cohort(tmp_path, patients=60)
    labs = pd.read_csv(folder / "labs.csv")
    ldh = labs["analyte"] == "ldh"
    labs.loc[ldh, "value"] /= 60
    labs.loc[ldh, "unit"] = "ukat/L"
    labs.to_csv(folder / "labs.csv", index=False)
    shift = compare_cohorts(summary, read_cohort(folder), modalities())
    assert row(shift, "labs:ldh")["difference"] == pytest.approx(0, abs=1e-3)


def test_few_patients_leave_no_numbers() -> None:
    few = summarise_numbers(pd.Series([1.0, 2.0, np.nan] * 6, name="x"))
    assert few == {"kind": "numeric", "patients": 12, "missing": pytest.approx(1 / 3, abs=1e-4)}
    classes = summarise_classes(pd.Series(["a"] * 5 + ["b"] * 4 + ["c"] + [None] * 10))
    assert classes["counts"] == {"a": 5, "(rare)": 5}
    assert classes["missing"] == 0.5


def test_no_value_of_one_patient_is_kept() -> None:
    """The greatest and the least value, told by nobody else, are not in the summary."""
    values = np.concatenate([np.arange(30.0) + 0.125, [-987.5, 12345.5]])
    text = json.dumps(summarise_numbers(pd.Series(values, name="x")))
    assert "987.5" not in text
    assert "12345" not in text
    assert max(summarise_numbers(pd.Series([95.0] * 30, name="age"))["quantiles"].values()) == 90.0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=20, max_size=60), st.randoms())
def test_difference_of_classes_does_not_depend_on_order_or_names(values: list[str], random) -> None:
    other = [random.choice("abcd") for _ in values]
    renamed = {"a": "z", "b": "x", "c": "y", "d": "w"}
    before, after = (
        summarise_classes(pd.Series(each, dtype=object)) for each in (values, [renamed[v] for v in values])
    )
    one = difference(before, pd.Series(other, dtype=object))
    again = difference(after, pd.Series([renamed[v] for v in reversed(other)], dtype=object))
    assert (one is None) == (again is None)
    if one is not None:
        assert one == pytest.approx(again, abs=1e-9)
        assert one >= 0


def test_two_classes_differ_as_the_textbook_says() -> None:
    """|p - q| / sqrt((p (1 - p) + q (1 - q)) / 2), whichever way round."""
    before = summarise(pd.Series(["yes"] * 30 + ["no"] * 70, dtype=object))
    here = pd.Series(["yes"] * 60 + ["no"] * 40, dtype=object)
    assert difference(before, here) == pytest.approx(0.3 / np.sqrt((0.21 + 0.24) / 2))
    assert difference(before, pd.Series(["other"] * 50, dtype=object)) is None
    assert difference(before, pd.Series([None] * 50, dtype=object)) is None


def test_a_class_that_is_rare_in_training_is_new() -> None:
    before = summarise(pd.Series(["a"] * 40 + ["b"] * 3, dtype=object))
    assert difference(before, pd.Series(["a"] * 40 + ["c"] * 3, dtype=object)) == pytest.approx(0)
    assert merge_rare({"a": 5, "b": 4}) == {"a": 5, "(rare)": 4}
