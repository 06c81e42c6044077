"""Integrated gradients add up to the difference, and a plain model is taken apart exactly."""

import torch
from aids import WIDTHS
from toys import toy_ensemble

from fusion.baselines.cox import CoxAll
from fusion.baselines.landmark import LandmarkCox
from fusion.explain.anchor_parts import anchor_parts
from fusion.explain.integrated_gradients import feature_contributions
from fusion.explain.score import answers
from fusion.training.anchor import AnchorModel, Anchors
from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch


def columns_sum(found, batch: PatientBatch, mean) -> torch.Tensor:
    """Sum of the contributions of all columns of all samples of each patient, "B T"."""
    total = torch.zeros_like(batch.day)
    for name, slope in found.slope.items():
        samples = batch.samples[name]
        value_TS = (slope * (samples.rows - mean[name])).sum(dim=-1)
        total.index_add_(0, samples.slot // batch.num_visits, value_TS.T)
    return total


def test_complete(ensemble: Ensemble, batch: PatientBatch):
    mean = {name: batch.samples[name].rows.mean(dim=0) for name in WIDTHS}
    found = feature_contributions(ensemble, batch, mean, steps=32)["os"]
    mask = batch.visit_mask
    torch.testing.assert_close(found.output[mask], answers(ensemble, batch)["os"].score[mask])
    moved = (found.output - found.reference)[mask]
    assert moved.abs().max() > 0.1
    torch.testing.assert_close(columns_sum(found, batch, mean)[mask], moved, atol=2e-2, rtol=2e-2)


def test_the_future_has_no_part(ensemble: Ensemble, batch: PatientBatch):
    mean = {name: batch.samples[name].rows.mean(dim=0) for name in WIDTHS}
    slope = feature_contributions(ensemble, batch, mean, steps=2)["os"].slope["a"]
    visit_S = batch.samples["a"].slot % batch.num_visits
    for visit in range(batch.num_visits):
        assert (slope[visit][visit_S > visit] == 0).all()


def test_plain_models_are_taken_apart(batch: PatientBatch):
    ensemble, width = toy_ensemble(), 4
    models = [AnchorModel(model=CoxAll(), first=1.0, later=0.5), AnchorModel(model=LandmarkCox(), first=0.3, later=0.7)]
    anchors = Anchors(models, num_columns=width)
    torch.manual_seed(0)
    anchors.day[:, 0], anchors.day[1, 1] = 0.0, 21.0
    for name in ("level", "median", "mean", "weight"):
        getattr(anchors, name).copy_(torch.randn_like(getattr(anchors, name)))
    anchors.centre.copy_(torch.randn(2))
    ensemble.anchors["os"] = anchors
    ensemble.register_buffer("blend_os", anchors.prior)
    summary = torch.randn(*batch.visit_mask.shape, width)
    summary[torch.rand_like(summary) < 0.3] = torch.nan
    parts = anchor_parts(ensemble, "os", PatientBatch(**{**vars(batch), "summary": summary}))
    assert parts is not None
    plain = anchors(summary, batch.day)
    weight = torch.stack([anchors.prior[0], *[anchors.prior[1]] * (batch.num_visits - 1)])
    truth = torch.einsum("kbt,tk->bt", plain, weight)
    torch.testing.assert_close(parts.constant + parts.parts.sum(dim=-1), truth, atol=1e-4, rtol=1e-4)
