"""What a loss predicts reaches the table: incidences by cause, four classes, the targets beside them."""

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.dataset import pack_cohort, select_patients
from fusion.data.read import read_cohort
from fusion.losses.deephit import DeepHit
from fusion.losses.ordinal import OrdinalResponse
from fusion.training.predictions import prediction_frame
from fusion.types import Outcome, PatientBatch, Response

TIMES = (90.0, 180.0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("columns") / "cohort", patients=24))


@pytest.fixture(scope="module")
def batch(cohort: Cohort) -> PatientBatch:
    return pack_cohort(cohort, {}, cohort.patient_ids, ("progression", "pfs", "response"))


@pytest.fixture(scope="module")
def frame(cohort: Cohort, batch: PatientBatch) -> pd.DataFrame:
    losses = {"progression": DeepHit(num_causes=2, num_bins=10), "response": OrdinalResponse()}
    predictions = {}
    for task, loss in losses.items():
        loss.prepare(batch.targets[task], torch.ones(batch.day.shape))
        outputs = torch.randn(*batch.day.shape, loss.num_outputs, generator=torch.Generator().manual_seed(0))
        survival = isinstance(loss, DeepHit)
        predictions[task] = loss.predict(outputs, torch.tensor(TIMES)) if survival else loss.predict(outputs)
    return prediction_frame(cohort, batch, predictions, TIMES, {"progression": [-1.0, 0.0]})


def test_incidences_and_survival_add_up(frame: pd.DataFrame):
    rows = frame[frame["task"] == "progression"]
    for time in TIMES:
        total = rows[[f"incidence_1_{time:g}", f"incidence_2_{time:g}", f"survival_{time:g}"]].sum(axis=1)
        np.testing.assert_allclose(total, 1.0, atol=1e-5)
    assert ((rows["cause"] > 0) == rows["event"].astype(bool)).all()
    assert (frame.loc[frame["task"] == "response", "incidence_1_90"]).isna().all()


def test_four_classes_add_up_to_two(frame: pd.DataFrame):
    rows = frame[frame["task"] == "response"]
    np.testing.assert_allclose(rows["prob_pd"] + rows["prob_sd"], rows["prob_nonresponder"], atol=1e-6)
    np.testing.assert_allclose(rows["prob_pr"] + rows["prob_cr"], rows["prob_responder"], atol=1e-6)
    np.testing.assert_allclose(rows["prob_nonresponder"] + rows["prob_responder"], 1.0, atol=1e-5)


def test_targets_are_packed_with_all_that_a_loss_may_ask_for(cohort: Cohort, batch: PatientBatch):
    outcome, response = batch.targets["pfs"], batch.targets["response"]
    assert isinstance(outcome, Outcome)
    assert isinstance(response, Response)
    assert (outcome.last_free[outcome.at_risk] <= outcome.duration[outcome.at_risk]).all()
    sites = outcome.stratum[:, 0]
    assert len(sites.unique()) == 2
    assert response.possible.shape == (*batch.day.shape, 4)
    assert response.possible[~batch.visit_mask].all()
    assert torch.equal(response.asked, response.known)
    chosen = torch.tensor([3, 0])
    few = select_patients(batch, chosen).targets
    assert torch.equal(few["pfs"].last_free, outcome.last_free[chosen])
    assert few["pfs"].cause is None
    assert torch.equal(few["progression"].cause, batch.targets["progression"].cause[chosen])
    moved = batch.to("meta").targets["pfs"]
    assert moved.last_free.device.type == "meta"
