"""Packing a cohort: order, company and repeated samples change nothing that they should not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay, fit_assays, load_assays, pack_cohort, select_patients, table_columns
from fusion.data.modalities.expression import Expression
from fusion.data.modalities.histology import Histology
from fusion.data.modalities.plasma import Plasma
from fusion.data.read import read_cohort
from fusion.data.visit_table import build_visit_table
from fusion.types import Outcome, PatientBatch, Response, Samples

TASKS = ("os", "response")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("dataset"), patients=12))


@pytest.fixture(scope="module")
def assays(cohort: Cohort) -> dict[str, Assay]:
    modalities = {
        m.name: m for m in (Expression(name="expression"), Histology(name="histology"), Plasma(name="plasma"))
    }
    loaded = load_assays(cohort, modalities)
    fit_assays(cohort, loaded, cohort.patient_ids)
    return loaded


@pytest.fixture(scope="module")
def batch(cohort: Cohort, assays: dict[str, Assay]) -> PatientBatch:
    return pack_cohort(cohort, assays, cohort.patient_ids, TASKS)


def rows_of(samples: Samples, slot: int) -> torch.Tensor | None:
    """Rows of the sample at a slot."""
    place = torch.nonzero(samples.slot == slot)
    if not len(place):
        return None
    start, end = samples.offsets[int(place)], samples.offsets[int(place) + 1]
    return samples.rows[start:end]


def assert_same_patient(one: PatientBatch, i: int, other: PatientBatch, j: int) -> None:
    visits = int(one.visit_mask[i].sum())
    assert visits == int(other.visit_mask[j].sum())
    assert torch.equal(one.day[i, :visits], other.day[j, :visits])
    for name in one.samples:
        for visit in range(visits):
            mine = rows_of(one.samples[name], i * one.num_visits + visit)
            theirs = rows_of(other.samples[name], j * other.num_visits + visit)
            assert (mine is None) == (theirs is None)
            assert mine is None or theirs is None or torch.equal(mine, theirs)
    for task, target in one.targets.items():
        for key, value in vars(target).items():
            theirs = vars(other.targets[task])[key]
            assert (value is None) == (theirs is None)
            assert value is None or torch.equal(value[i, :visits], theirs[j, :visits])


def test_order_of_patients_changes_nothing(cohort: Cohort, assays: dict[str, Assay], batch: PatientBatch):
    backwards = pack_cohort(cohort, assays, cohort.patient_ids[::-1], TASKS)
    for i in range(batch.num_patients):
        assert_same_patient(batch, i, backwards, batch.num_patients - 1 - i)


def test_picked_patients_are_the_same_as_patients_packed_alone(
    cohort: Cohort, assays: dict[str, Assay], batch: PatientBatch
):
    chosen = torch.tensor([7, 2, 11, 0])
    picked = select_patients(batch, chosen)
    alone = pack_cohort(cohort, assays, [cohort.patient_ids[i] for i in chosen.tolist()], TASKS)
    assert picked.patient_ids == alone.patient_ids
    for i in range(len(chosen)):
        assert_same_patient(picked, i, alone, i)
        assert_same_patient(picked, i, batch, int(chosen[i]))
    assert all((samples.slot[1:] > samples.slot[:-1]).all() for samples in picked.samples.values())


def test_every_sample_lies_at_its_patient_and_visit(cohort: Cohort, batch: PatientBatch):
    for name, samples in batch.samples.items():
        found = {(batch.patient_ids[s // batch.num_visits], s % batch.num_visits) for s in samples.slot.tolist()}
        mine = cohort.samples_of(name)
        assert found == set(zip(mine["patient_id"], mine["visit"], strict=True))
        assert samples.offsets[-1] == len(samples.rows)


def test_padded_visits_hold_the_last_day_and_ask_nothing(batch: PatientBatch):
    padded = ~batch.visit_mask
    assert padded.any(), "patients differ in their number of visits"
    assert (batch.day[:, 1:] >= batch.day[:, :-1]).all()
    outcome, response = batch.targets["os"], batch.targets["response"]
    assert isinstance(outcome, Outcome)
    assert isinstance(response, Response)
    assert not outcome.at_risk[padded].any()
    assert not response.known[padded].any()
    assert (outcome.duration > 0).all()


def test_of_two_vectors_at_one_visit_the_later_counts_and_two_bags_are_laid_together(
    cohort: Cohort, assays: dict[str, Assay], batch: PatientBatch
):
    samples = cohort.samples.copy()
    first, second = (samples.index[samples["modality"] == "plasma"][:2]).tolist()
    assert samples.loc[first, "patient_id"] == samples.loc[second, "patient_id"]
    samples.loc[second, "visit"] = samples.loc[first, "visit"]
    slides = samples.index[samples["modality"] == "histology"][:2].tolist()
    for column in ("patient_id", "visit"):
        samples.loc[slides[1], column] = samples.loc[slides[0], column]
    together = pack_cohort(replace(cohort, samples=samples), assays, cohort.patient_ids)
    rows = rows_of(together.samples["plasma"], 0)
    assert rows is not None
    assert torch.equal(rows, rows_of(batch.samples["plasma"], 1))
    counts = [len(rows_of(batch.samples["histology"], s)) for s in batch.samples["histology"].slot[:2].tolist()]
    assert len(rows_of(together.samples["histology"], 0)) == sum(counts)


def test_a_modality_without_any_sample_packs_nothing(cohort: Cohort, assays: dict[str, Assay]):
    bare = replace(cohort, samples=cohort.samples[cohort.samples["modality"] != "plasma"])
    empty = pack_cohort(bare, {**assays, "plasma": Assay(assays["plasma"].modality, None)}, cohort.patient_ids)
    samples = empty.samples["plasma"]
    assert samples.slot.numel() == 0
    assert samples.rows.shape == (0, assays["plasma"].modality.num_features)


def test_fitting_on_patients_without_a_sample_names_the_remedy(cohort: Cohort, assays: dict[str, Assay]):
    with pytest.raises(ValueError, match="leave it out"):
        fit_assays(cohort, assays, [cohort.patient_ids[-1]])


def test_a_table_is_read_once_and_only_where_there_are_samples(cohort: Cohort, tmp_path: Path):
    bare = replace(cohort, samples=cohort.samples.iloc[:0], folder=tmp_path)
    assert load_assays(bare, {"expression": Expression(name="expression")})["expression"].table is None


def test_days_of_visits_are_those_of_the_cohort(cohort: Cohort, batch: PatientBatch):
    days = pd.Series(np.concatenate([batch.day[i, m].numpy() for i, m in enumerate(batch.visit_mask)]))
    np.testing.assert_allclose(days, cohort.visits["day"])


def test_columns_of_a_table_are_those_packed(cohort: Cohort, assays: dict[str, Assay]) -> None:
    ids = cohort.patient_ids[::-1]
    packed = pack_cohort(cohort, assays, ids, summary=True, detail=True)
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    found = table_columns(packed, build_visit_table(cohort, pairs, ids, ["os"], detail=True))
    assert packed.summary is not None
    np.testing.assert_array_equal(found, packed.summary)
