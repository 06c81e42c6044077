"""Anchors say what the plain models say, do not know the inner fold that they left out, and come back from disk."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import write_tiny_cohort

from fusion.baselines import (
    Boosting,
    CoxAll,
    ElasticNet,
    LandmarkCox,
    LandmarkElasticNet,
    LandmarkLogistic,
    LandmarkMean,
)
from fusion.baselines.base import Baseline, SurvivalEstimate
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.plasma import Plasma
from fusion.data.read import read_cohort
from fusion.data.visit_table import build_visit_table
from fusion.training.anchor import AnchorModel, Anchors, Fits, left_out, linear_rules
from fusion.types import PatientBatch, VisitTable


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[PatientBatch, VisitTable]:
    cohort = read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("anchor") / "cohort", patients=60))
    assays = load_assays(cohort, {"clinical": Clinical(), "plasma": Plasma(), "labs": Labs()})
    fit_assays(cohort, assays, cohort.patient_ids)
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    table = build_visit_table(cohort, pairs, cohort.patient_ids, ["os"])
    return pack_cohort(cohort, assays, cohort.patient_ids, ("os", "response"), summary=True), table


def fitted(
    models: list[Baseline], packed: tuple[PatientBatch, VisitTable], task: str, folds: int = 2
) -> tuple[Anchors, list[Anchors]]:
    batch, table = packed
    anchors = Anchors(
        [AnchorModel(model=model, first=0.5, later=0.5) for model in models], num_columns=table.features.shape[1]
    )
    inner = {patient: index % folds for index, patient in enumerate(batch.patient_ids)}
    row_fold = torch.tensor([inner[str(patient)] for patient in table.patient_ids])
    return anchors, anchors.fit(Fits(table, row_fold, folds), task)


@pytest.mark.parametrize(
    "model", [CoxAll(), ElasticNet(), LandmarkCox(landmarks=[21]), LandmarkElasticNet(landmarks=[21])]
)
def test_an_anchor_ranks_as_its_plain_model_does(model, packed):
    batch, table = packed
    anchors, _ = fitted([model], packed, "os")
    estimate = type(model)(**({"landmarks": [21]} if isinstance(model, LandmarkCox) else {}))
    said = estimate.fit(table, "os").predict(table, np.array([100.0]))
    assert isinstance(said, SurvivalEstimate)
    mine = anchors(batch.summary, batch.day)[0][batch.visit_mask].double().numpy()
    baseline = table.visit == 0  # later, a landmark model looks ahead from the visit, an anchor from the landmark
    np.testing.assert_allclose(
        mine[baseline] - mine[baseline].mean(), said.risk[baseline] - said.risk[baseline].mean(), atol=1e-4
    )


def test_log_odds_of_response_are_those_of_the_plain_model(packed):
    batch, table = packed
    anchors, _ = fitted([LandmarkLogistic(landmarks=[21], min_patients=3)], packed, "response")
    plain = LandmarkLogistic(landmarks=[21], min_patients=3).fit(table, "response")
    expected = plain.predict(table, np.zeros(1)).probability[:, 1]
    mine = anchors(batch.summary, batch.day)[0][batch.visit_mask]
    np.testing.assert_allclose(torch.sigmoid(mine).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize(
    "model", [CoxAll(), ElasticNet(), LandmarkCox(landmarks=[21]), LandmarkElasticNet(landmarks=[21])]
)
def test_a_twin_is_the_plain_model_fitted_without_its_fold(model, packed):
    """With the penalties of the whole, its coefficients are those of a fit that never sees the fold."""
    batch, table = packed
    _, twins = fitted([model], packed, "os")
    kept = np.array([batch.patient_ids.index(str(p)) % 2 == 1 for p in table.patient_ids])
    settled = copy.copy(model).fit(table, "os").settled()
    said = settled.fit(table.rows(kept), "os").predict(table, np.array([100.0]))
    assert isinstance(said, SurvivalEstimate)
    mine = twins[0](batch.summary, batch.day)[0][batch.visit_mask].double().numpy()
    first = table.visit == 0
    np.testing.assert_allclose(mine[first] - mine[first].mean(), said.risk[first] - said.risk[first].mean(), atol=1e-4)


def test_what_an_inner_fold_went_through_does_not_reach_its_own_anchor(packed, monkeypatch: pytest.MonkeyPatch):
    """But for the penalty, which is held here."""
    monkeypatch.setattr("fusion.baselines.ridge.tune_shares", lambda *_, **__: {"clinical": 0.4, "plasma": 0.4})
    batch, table = packed
    _, anchors = fitted([CoxAll()], packed, "os")
    outcome = table.outcomes["os"]
    left_out = np.array([batch.patient_ids.index(str(p)) % 2 == 0 for p in table.patient_ids])
    outcome.duration[left_out] = outcome.duration[left_out][::-1] * 3 + 1
    try:
        _, other = fitted([CoxAll()], packed, "os")
    finally:
        outcome.duration[left_out] = ((outcome.duration[left_out] - 1) / 3)[::-1]
    assert torch.equal(anchors[0].weight, other[0].weight)
    assert not torch.equal(anchors[1].weight, other[1].weight)


def test_each_patient_is_answered_by_the_models_that_left_it_out(packed):
    batch, _ = packed
    _, twins = fitted([CoxAll(), ElasticNet()], packed, "os")
    answers = left_out(twins, batch.summary, batch.day, torch.arange(batch.num_patients) % 2)
    assert torch.allclose(answers[:, 0], twins[0](batch.summary, batch.day)[:, 0])
    assert torch.allclose(answers[:, 3], twins[1](batch.summary, batch.day)[:, 3])


def test_later_visits_change_nothing_that_was_said_before(packed):
    batch, _ = packed
    anchors, _ = fitted([CoxAll(), LandmarkCox(landmarks=[21])], packed, "os")
    changed = batch.summary.clone()
    changed[:, 2:] = 7.0
    before, after = anchors(batch.summary, batch.day), anchors(changed, batch.day)
    assert torch.equal(before[..., :2], after[..., :2])
    assert not torch.equal(before[1, :, 2:], after[1, :, 2:])


def test_a_fresh_object_takes_the_fit_over(packed):
    batch, table = packed
    models = [CoxAll(), LandmarkCox(landmarks=[21])]
    anchors, _ = fitted(models, packed, "os")
    fresh = Anchors(anchors.models, num_columns=table.features.shape[1])
    fresh.load_state_dict(anchors.state_dict())
    assert torch.equal(fresh(batch.summary, batch.day), anchors(batch.summary, batch.day))


@pytest.mark.parametrize("model", [Boosting(max_trees=2), LandmarkMean(landmarks=[])])
def test_what_is_not_linear_in_its_table_is_refused(model, packed):
    with pytest.raises(ValueError, match="cannot be an anchor"):
        linear_rules(model.fit(packed[1], "os"))


def test_missing_everything_is_answered_by_the_gaps_alone(packed):
    batch, _ = packed
    anchors, _ = fitted([CoxAll(), LandmarkCox(landmarks=[21])], packed, "os")
    nothing = torch.full_like(batch.summary, torch.nan)
    assert torch.isfinite(anchors(nothing, batch.day)).all()


def test_folder_is_not_needed(tmp_path: Path):
    """An anchor of no plain model and no column is an empty answer, not an error."""
    assert Anchors([], num_columns=0).prior.shape == (2, 0)


def test_who_will_die_early_speaks_against_response(packed):
    """A model of an endpoint answers for response with its risk turned round, and for nothing else."""
    batch, table = packed
    anchor = AnchorModel(model=CoxAll(), first=0.5, later=0.5, endpoint="os")
    assert anchor.name == "cox_all of os"
    assert anchor.applies(table, "response")
    assert not anchor.applies(table, "os")
    anchors = Anchors([anchor], num_columns=table.features.shape[1])
    anchors.fit(Fits(table, torch.zeros(len(table), dtype=torch.long), 0), "response")
    risk, _ = fitted([CoxAll()], packed, "os")
    torch.testing.assert_close(anchors(batch.summary, batch.day), -risk(batch.summary, batch.day))


def test_what_two_tasks_ask_for_is_fitted_once(packed, monkeypatch: pytest.MonkeyPatch):
    """The same model of the same endpoint; not one with other settings, nor one of another endpoint."""
    asked = []
    fit = LandmarkCox.fit
    monkeypatch.setattr(LandmarkCox, "fit", lambda self, table, task: asked.append(task) or fit(self, table, task))
    table = packed[1]
    fits = Fits(table, torch.arange(len(table)) % 2, 2)

    def of(endpoint: str | None, **options) -> AnchorModel:
        return AnchorModel(model=LandmarkCox(landmarks=[21], **options), first=1.0, later=1.0, endpoint=endpoint)

    whole, parts = fits(of(None), "os")
    assert fits(of("os"), "response") == (whole, parts)
    assert asked == ["os"] * 3
    other, _ = fits(of("os", min_events=5), "response")
    assert other is not whole
    assert asked == ["os"] * 6
