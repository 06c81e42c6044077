"""The visit table: last value known by the visit, nothing from later, NaN before the first."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.expression import Expression
from fusion.data.modalities.histology import Histology
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.methylation import Methylation
from fusion.data.modalities.plasma import Plasma
from fusion.data.modalities.variants import Variants
from fusion.data.read import read_cohort
from fusion.data.visit_table import build_visit_table
from fusion.types import VisitTable


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("visits")))


def fitted(cohort: Cohort) -> list[tuple[Modality, object]]:
    modalities = [Clinical(), Variants(), Expression(), Methylation(specimen="tissue"), Histology(), Plasma(), Labs()]
    pairs = [(modality, modality.load(cohort)) for modality in modalities]
    for modality, table in pairs:
        modality.fit(table, modality.sample_ids(cohort))
    return pairs


@pytest.fixture(scope="module")
def table(cohort: Cohort) -> VisitTable:
    return build_visit_table(cohort, fitted(cohort), cohort.patient_ids, cohort.endpoints)


def column(table: VisitTable, name: str) -> "pd.Series[float]":
    values = table.features[:, table.feature_names.index(name)]
    return pd.Series(values, index=pd.MultiIndex.from_arrays([table.patient_ids, table.visit]))


def test_one_row_per_visit_in_order(cohort: Cohort, table: VisitTable) -> None:
    assert len(table) == len(cohort.visits)
    assert list(table.patient_ids) == list(cohort.visits["patient_id"])
    np.testing.assert_array_equal(table.day, cohort.visits["day"])
    assert len(table.feature_names) == len(table.modality) == table.features.shape[1]
    assert all(name.startswith(f"{owner}:") for name, owner in zip(table.feature_names, table.modality, strict=True))


def test_values_are_carried_forward_and_never_back(cohort: Cohort, table: VisitTable) -> None:
    methylation = column(table, "methylation:pc1").loc["P002"]  # known by day 20, at the visit after baseline
    assert np.isnan(methylation.iloc[0])
    assert np.isfinite(methylation.iloc[1])
    assert methylation.iloc[1:].nunique() == 1
    age = column(table, "clinical:age").loc["P000"]
    assert age.nunique() == 1


def test_serial_values_are_those_of_the_visit(cohort: Cohort, table: VisitTable) -> None:
    plasma = next((m, t) for m, t in fitted(cohort) if m.name == "plasma")
    placement = plasma[0].placement(cohort)
    level = plasma[0].summarise(plasma[1], placement["sample_id"].tolist())[:, 0]
    name = f"plasma:{plasma[0].summary_names[0]}"
    of_visit = column(table, name)
    for patient, visit, value in zip(placement["patient_id"], placement["visit"], level, strict=True):
        assert of_visit.loc[patient, visit] == pytest.approx(value)


def test_a_patient_without_the_assay_has_no_value(cohort: Cohort, table: VisitTable) -> None:
    last = cohort.patient_ids[-1]
    assays = np.array(table.modality) != "clinical"
    assert np.isnan(table.features[table.patient_ids == last][:, assays]).all()


def test_an_assay_that_a_whole_cohort_lacks_leaves_its_columns_blank(cohort: Cohort, table: VisitTable) -> None:
    pairs = [(m, None if m.name == "expression" else raw) for m, raw in fitted(cohort)]
    without = build_visit_table(cohort, pairs, cohort.patient_ids, cohort.endpoints)
    gone = np.array(table.modality) == "expression"
    assert gone.any()
    assert np.isnan(without.features[:, gone]).all()
    np.testing.assert_array_equal(without.features[:, ~gone], table.features[:, ~gone])


def test_later_samples_change_no_earlier_row(cohort: Cohort, table: VisitTable) -> None:
    pairs = fitted(cohort)
    late = cohort.samples.index[cohort.samples["visit"] == 2]
    changed = []
    for modality, data in pairs:
        if isinstance(modality, Plasma | Labs):
            values = data.values.copy()  # type: ignore[attr-defined]
            values.loc[values.index.isin(late)] *= 7
            data = replace(data, values=values)  # type: ignore[type-var]
        changed.append((modality, data))
    again = build_visit_table(cohort, changed, cohort.patient_ids, cohort.endpoints)
    early = table.visit < 2
    np.testing.assert_array_equal(again.features[early], table.features[early])
    assert not np.array_equal(again.features[~early], table.features[~early], equal_nan=True)


def test_detail_follows_the_summary_of_its_assay_and_changes_none_of_it(cohort: Cohort, table: VisitTable) -> None:
    pairs = fitted(cohort)
    wide = build_visit_table(cohort, pairs, cohort.patient_ids, cohort.endpoints, detail=True)
    more = np.array(["in detail" in owner for owner in wide.modality])
    assert {owner for owner in wide.modality if "in detail" in owner} >= {"expression in detail"}
    np.testing.assert_array_equal(wide.features[:, ~more], table.features)
    assert tuple(np.array(wide.feature_names)[~more]) == table.feature_names
    gap = np.isnan(wide.features)
    of_expression = [i for i, name in enumerate(wide.feature_names) if name.startswith("expression:")]
    assert (gap[:, of_expression] == gap[:, of_expression[:1]]).all()


def test_chosen_patients_in_their_own_order(cohort: Cohort, table: VisitTable) -> None:
    chosen = ["P003", "P000"]
    part = build_visit_table(cohort, fitted(cohort), chosen, ["os"], response=False)
    assert list(dict.fromkeys(part.patient_ids)) == chosen
    assert set(part.outcomes) == {"os"}
    assert part.responses == {}
    whole = pd.DataFrame(table.features, index=table.patient_ids)
    np.testing.assert_allclose(part.features, pd.concat([whole.loc[["P003"]], whole.loc[["P000"]]]), equal_nan=True)


def test_an_unknown_patient_is_named(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match=r"patient ghost is not in patients.csv"):
        build_visit_table(cohort, [], ["ghost"], ["os"])


def test_no_modality_leaves_the_outcomes(cohort: Cohort) -> None:
    bare = build_visit_table(cohort, [], cohort.patient_ids, ["os"])
    assert bare.features.shape == (len(cohort.visits), 0)
    assert bare.outcomes["os"].at_risk.any()


def test_slides_of_one_visit_are_averaged_and_of_vectors_the_last_counts(cohort: Cohort) -> None:
    samples = cohort.samples.copy()
    ids = list(samples.index[samples["modality"] == "histology"][:2])
    blood = list(samples.index[(samples["modality"] == "labs") & (samples["patient_id"] == "P000")][:2])
    samples.loc[ids, ["patient_id", "visit"]] = ["P000", 0]
    samples.loc[blood, "visit"] = 0
    both = replace(cohort, samples=samples)
    slides, labs = Histology(), Labs(changes=())
    data = [(modality, modality.load(both)) for modality in (slides, labs)]
    for modality, each in data:
        modality.fit(each, modality.sample_ids(both))
    table = build_visit_table(both, data, ["P000"], ["os"])
    expected = slides.summarise(data[0][1], ids).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(table.features[0, : len(expected)], expected, rtol=1e-5)
    np.testing.assert_allclose(table.features[0, len(expected) :], labs.summarise(data[1][1], blood[1:])[0], rtol=1e-5)
