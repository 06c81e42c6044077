"""Anchors say what the plain models say, do not know the inner fold that they left out, and come back from disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import write_tiny_cohort

from fusion.baselines import Boosting, CoxAll, ElasticNet, LandmarkCox, LandmarkLogistic, LandmarkMean
from fusion.baselines.base import Baseline, SurvivalEstimate
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.plasma import Plasma
from fusion.data.read import read_cohort
from fusion.data.visit_table import build_visit_table
from fusion.training.anchor import AnchorModel, Anchors, linear_rules
from fusion.types import PatientBatch, VisitTable


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[PatientBatch, VisitTable]:
    cohort = read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("anchor") / "cohort", patients=60))
    assays = load_assays(cohort, {"clinical": Clinical(), "plasma": Plasma(), "labs": Labs()})
    fit_assays(cohort, assays, cohort.patient_ids)
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    table = build_visit_table(cohort, pairs, cohort.patient_ids, ["os"])
    return pack_cohort(cohort, assays, cohort.patient_ids, ("os", "response"), summary=True), table


def fitted(models: list[Baseline], packed: tuple[PatientBatch, VisitTable], task: str, folds: int = 2) -> Anchors:
    batch, table = packed
    anchors = Anchors(
        [AnchorModel(model=model, first=0.5, later=0.5) for model in models],
        num_folds=folds,
        num_columns=table.features.shape[1],
    )
    inner = {patient: index % folds for index, patient in enumerate(batch.patient_ids)}
    anchors.fit(table, task, torch.tensor([inner[str(patient)] for patient in table.patient_ids]))
    return anchors


@pytest.mark.parametrize("model", [CoxAll(), ElasticNet(), LandmarkCox(landmarks=[21])])
def test_an_anchor_ranks_as_its_plain_model_does(model, packed):
    batch, table = packed
    anchors = fitted([model], packed, "os")
    kept = np.array([batch.patient_ids.index(str(p)) % 2 == 1 for p in table.patient_ids])
    estimate = type(model)(**({"landmarks": [21]} if isinstance(model, LandmarkCox) else {}))
    said = estimate.fit(table.rows(kept), "os").predict(table, np.array([100.0]))
    assert isinstance(said, SurvivalEstimate)
    mine = anchors(batch.summary, batch.day)[0, 0][batch.visit_mask].double().numpy()
    baseline = table.visit == 0  # later, a landmark model looks ahead from the visit, an anchor from the landmark
    np.testing.assert_allclose(
        mine[baseline] - mine[baseline].mean(), said.risk[baseline] - said.risk[baseline].mean(), atol=1e-4
    )


def test_log_odds_of_response_are_those_of_the_plain_model(packed):
    batch, table = packed
    anchors = fitted([LandmarkLogistic(landmarks=[21], min_patients=3)], packed, "response")
    kept = np.array([batch.patient_ids.index(str(p)) % 2 == 1 for p in table.patient_ids])
    plain = LandmarkLogistic(landmarks=[21], min_patients=3).fit(table.rows(kept), "response")
    expected = plain.predict(table, np.zeros(1)).probability[:, 1]
    mine = anchors(batch.summary, batch.day)[0, 0][batch.visit_mask]
    np.testing.assert_allclose(torch.sigmoid(mine).numpy(), expected, atol=1e-4)


def test_what_an_inner_fold_went_through_does_not_reach_its_own_anchor(packed):
    batch, table = packed
    anchors = fitted([CoxAll()], packed, "os")
    outcome = table.outcomes["os"]
    left_out = np.array([batch.patient_ids.index(str(p)) % 2 == 0 for p in table.patient_ids])
    outcome.duration[left_out] = outcome.duration[left_out][::-1] * 3 + 1
    try:
        other = fitted([CoxAll()], packed, "os")
    finally:
        outcome.duration[left_out] = ((outcome.duration[left_out] - 1) / 3)[::-1]
    assert torch.equal(anchors.weight[0], other.weight[0])
    assert not torch.equal(anchors.weight[1], other.weight[1])


def test_each_patient_is_answered_by_the_models_that_left_it_out(packed):
    batch, _ = packed
    anchors = fitted([CoxAll(), ElasticNet()], packed, "os")
    outputs = anchors(batch.summary, batch.day)
    inner = torch.arange(batch.num_patients) % 2
    answers = anchors.left_out(outputs, inner)
    assert torch.equal(answers[:, 0], outputs[0, :, 0])
    assert torch.equal(answers[:, 3], outputs[1, :, 3])


def test_later_visits_change_nothing_that_was_said_before(packed):
    batch, _ = packed
    anchors = fitted([CoxAll(), LandmarkCox(landmarks=[21])], packed, "os")
    changed = batch.summary.clone()
    changed[:, 2:] = 7.0
    before, after = anchors(batch.summary, batch.day), anchors(changed, batch.day)
    assert torch.equal(before[..., :2], after[..., :2])
    assert not torch.equal(before[:, 1, :, 2:], after[:, 1, :, 2:])


def test_a_fresh_object_takes_the_fit_over(packed):
    batch, table = packed
    models = [CoxAll(), LandmarkCox(landmarks=[21])]
    anchors = fitted(models, packed, "os")
    fresh = Anchors(anchors.models, num_folds=2, num_columns=table.features.shape[1])
    fresh.load_state_dict(anchors.state_dict())
    assert torch.equal(fresh(batch.summary, batch.day), anchors(batch.summary, batch.day))


@pytest.mark.parametrize("model", [Boosting(max_trees=2), LandmarkMean(landmarks=[])])
def test_what_is_not_linear_in_its_table_is_refused(model, packed):
    with pytest.raises(ValueError, match="cannot be an anchor"):
        linear_rules(model.fit(packed[1], "os"))


def test_missing_everything_is_answered_by_the_gaps_alone(packed):
    batch, _ = packed
    anchors = fitted([CoxAll(), LandmarkCox(landmarks=[21])], packed, "os")
    nothing = torch.full_like(batch.summary, torch.nan)
    assert torch.isfinite(anchors(nothing, batch.day)).all()


def test_folder_is_not_needed(tmp_path: Path):
    """An anchor of no plain model and no column is an empty answer, not an error."""
    assert Anchors([], num_folds=2, num_columns=0).prior.shape == (2, 0)
