"""Clinical covariates: categories, blanks, new levels, and what is left out on purpose."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fusion.data.cohort import Cohort
from fusion.data.modalities.clinical import Clinical


@pytest.fixture
def patients() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [50.0, 60, 70, 80, np.nan, 60],
            "stage": ["ES", "LS", "ES", "LS", "ES", None],
            "ecog": [0.0, 1, 0, 1, 1, 0],
            "country": ["CN"] * 6,
        },
        index=pd.Index(list("abcdef"), name="patient_id"),
    )


def encoded(modality: Clinical, table: pd.DataFrame, sample: str) -> dict[str, float]:
    return dict(zip(modality.feature_names, modality.transform(table, [sample]).rows[0].tolist(), strict=True))


def test_columns_of_a_row(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcdef"))
    assert modality.feature_names == ("age", "age:missing", "ecog", "stage=ES", "stage=LS", "stage:missing")
    row = encoded(modality, patients, "e")
    assert row["age"] == 0
    assert row["age:missing"] == 1
    assert row["stage=ES"] == 1
    assert encoded(modality, patients, "f")["stage:missing"] == 1


def test_blank_flag_only_where_training_had_blanks(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcd"))
    assert "age:missing" not in modality.feature_names
    assert encoded(modality, patients, "e")["age"] == 0


def test_unseen_level_is_in_no_level(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcdef"))
    new = patients.assign(stage="IIIB")
    row = encoded(modality, new, "a")
    assert (row["stage=ES"], row["stage=LS"], row["stage:missing"]) == (0, 0, 1)


def test_another_cohort_with_a_column_less_and_one_more(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcd"))
    other = patients.drop(columns="ecog").assign(bmi=22.0)
    assert modality.missing_features(other) == ("ecog",)
    assert encoded(modality, other, "a")["ecog"] == 0
    assert encoded(modality, other, "a")["age"] == encoded(modality, patients, "a")["age"]


def test_text_where_training_had_numbers_names_the_remedy(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcdef"))
    with pytest.raises(ValueError, match=r"'age' was numeric in training .* write numbers"):
        modality.transform(patients.assign(age="sixty"), ["a"])


def test_numbers_where_training_had_text_are_levels() -> None:
    table = pd.DataFrame({"grade": ["1", "2", "1", "2"]}, index=list("abcd"))
    modality = Clinical()
    modality.fit(table, list("abcd"))
    assert encoded(modality, table.astype(float), "b") == {"grade=1": 0, "grade=2": 1}


def test_age_is_held_at_ninety(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcdef"))
    old, older = patients.assign(age=90.0), patients.assign(age=104.0)
    assert encoded(modality, old, "a") == encoded(modality, older, "a")


def test_site_only_when_asked_for(cohort: Cohort) -> None:
    assert "site" not in Clinical().load(cohort)
    assert "site" in Clinical(exclude=()).load(cohort)
    assert list(Clinical(columns=["site", "age"]).load(cohort)) == ["site", "age"]
    with pytest.raises(ValueError, match="no column weight"):
        Clinical(columns=["weight"]).load(cohort)


def test_a_patient_of_whom_nothing_is_known_has_no_sample(cohort: Cohort) -> None:
    patients = cohort.patients.copy()
    patients.loc[patients.index[3]] = None
    modality = Clinical()
    placement = modality.placement(replace(cohort, patients=patients))
    assert len(placement) == cohort.num_patients - 1
    assert patients.index[3] not in set(placement["patient_id"])
    assert (placement["visit"] == 0).all()


def test_rare_levels_and_free_text_are_not_learned(patients: pd.DataFrame) -> None:
    table = patients.assign(note=[f"free text {i}" for i in range(6)])
    modality = Clinical()
    modality.fit(table, list("abcdef"))
    assert not any(name.startswith("note") for name in modality.feature_names)


def test_columns_of_one_covariate_are_told(patients: pd.DataFrame) -> None:
    modality = Clinical()
    modality.fit(patients, list("abcdef"))
    assert modality.feature_names == ("age", "age:missing", "ecog", "stage=ES", "stage=LS", "stage:missing")
    assert modality.sizes["token_of"] == (0, 0, 1, 2, 2, 2)
    assert modality.sizes["missing_of"] == (1, -1, -1, 5, 5, -1)
