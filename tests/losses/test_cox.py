"""The Cox likelihood agrees with R (tests/reference/known_answers.R) and keeps its invariances."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.datasets import load_lung, load_rossi, load_stanford_heart_transplants
from outcomes import dying_early
from sksurv.datasets import load_veterans_lung_cancer

from fusion.losses.cox import Cox, cox_nll
from fusion.losses.levels import FEWEST_LATER
from fusion.losses.weights import visit_weights
from fusion.survival import breslow
from fusion.types import Outcome

TIES = ["efron", "breslow"]
REFERENCE = Path(__file__).parents[1] / "reference"


def tensor(values: object) -> torch.Tensor:
    return torch.tensor(np.array(values, dtype=float))


def log_likelihood(log_hazard, duration, event, **options) -> float:
    """The sum that R reports, from the mean over (weighted) events that the loss gives."""
    weight = options.get("weight", torch.ones_like(duration))
    return -float(cox_nll(log_hazard, duration, event, **options) * (weight * event).sum())


def fitted_log_likelihood(covariates, duration, event, **options) -> float:
    """Maximum over the coefficients, by Newton steps on the automatic derivatives."""
    covariates = covariates - covariates.mean(dim=0)
    scale = covariates.std(dim=0)
    beta = torch.zeros(covariates.shape[1], dtype=torch.float64)

    def loss(beta):
        return cox_nll(covariates / scale @ beta, duration, event, **options)

    for _ in range(8):
        gradient = torch.autograd.functional.jacobian(loss, beta)
        beta = beta - torch.linalg.solve(torch.autograd.functional.hessian(loss, beta), gradient)
    return log_likelihood(covariates / scale @ beta, duration, event, **options)


@pytest.fixture(scope="module")
def lung():
    return load_lung()[["time", "status", "age", "sex", "ph.ecog"]].dropna()


@pytest.fixture(scope="module")
def lung_at_lp(lung):
    log_hazard = tensor(0.02 * lung["age"] - 0.5 * lung["sex"] + 0.5 * lung["ph.ecog"])
    return log_hazard, tensor(lung["time"]), tensor(lung["status"]) == 1


@pytest.mark.parametrize(("ties", "answer"), [("efron", -729.869253786489), ("breslow", -730.132840195668)])
def test_lung_at_a_given_predictor(lung_at_lp, ties, answer):
    assert log_likelihood(*lung_at_lp, ties=ties) == pytest.approx(answer, abs=1e-10)


@pytest.mark.parametrize(("ties", "answer"), [("efron", -629.411615618085), ("breslow", -629.612615202814)])
def test_lung_stratified_by_sex(lung, lung_at_lp, ties, answer):
    assert log_likelihood(*lung_at_lp, strata=tensor(lung["sex"]), ties=ties) == pytest.approx(answer, abs=1e-10)


@pytest.mark.parametrize(("ties", "answer"), [("efron", -777.124669819942), ("breslow", -777.41514531859)])
def test_lung_weighted(lung, lung_at_lp, ties, answer):
    assert log_likelihood(*lung_at_lp, weight=tensor(lung["age"]) / 60, ties=ties) == pytest.approx(answer, abs=1e-10)


@pytest.mark.parametrize(("ties", "answer"), [("efron", -742.84824578377), ("breslow", -743.079654197999)])
def test_lung_fitted(ties, answer):
    lung = load_lung()
    duration, event = tensor(lung["time"]), tensor(lung["status"]) == 1
    assert fitted_log_likelihood(tensor(lung[["age", "sex"]]), duration, event, ties=ties) == pytest.approx(answer)


@pytest.mark.parametrize(("ties", "answer"), [("efron", -658.747659446), ("breslow", -659.120605677)])
def test_rossi_fitted(ties, answer):
    rossi = load_rossi()
    covariates = tensor(rossi.drop(columns=["week", "arrest"]))
    event = tensor(rossi["arrest"]) == 1
    assert fitted_log_likelihood(covariates, tensor(rossi["week"]), event, ties=ties) == pytest.approx(
        answer, rel=1e-10
    )


@pytest.mark.parametrize(("ties", "answer"), [("efron", -483.87798003783), ("breslow", -484.539194725685)])
def test_veteran_fitted(ties, answer):
    data, outcome = load_veterans_lung_cancer()
    data["trt"] = (data["Treatment"] == "test").astype(float)
    covariates = tensor(data[["Karnofsky_score", "Age_in_years", "trt"]])
    duration, event = tensor(outcome["Survival_in_days"]), torch.tensor(outcome["Status"].copy())
    assert fitted_log_likelihood(covariates, duration, event, ties=ties) == pytest.approx(answer, rel=1e-10)


def test_ovarian_fitted_without_ties():
    ovarian = pd.read_csv(REFERENCE / "ovarian.csv")  # of R's survival package, no loader has it
    duration, event = tensor(ovarian["futime"]), tensor(ovarian["fustat"]) == 1
    assert fitted_log_likelihood(tensor(ovarian[["age", "rx"]]), duration, event) == pytest.approx(
        -27.0418988630084, rel=1e-10
    )


def test_heart_start_stop_fitted():
    heart = load_stanford_heart_transplants()
    covariates = tensor(heart[["age", "surgery", "transplant"]])
    entry, stop, event = tensor(heart["start"]), tensor(heart["stop"]), tensor(heart["event"]) == 1
    assert fitted_log_likelihood(covariates, stop, event, entry=entry) == pytest.approx(-292.762025532403, rel=1e-8)


@pytest.mark.parametrize(("ties", "answer"), [("breslow", -4.56434819146784), ("efron", -4.27666611901606)])
def test_therneau_test1_at_zero(ties, answer):
    duration, event = tensor([9, 1, 1, 6, 6, 8]), tensor([1, 1, 0, 1, 1, 0]) == 1
    assert log_likelihood(torch.zeros(6).double(), duration, event, ties=ties) == pytest.approx(answer, abs=1e-12)


def test_therneau_test1_by_hand():
    """Therneau & Grambsch, appendix E.1: the likelihood in r = exp(beta)."""
    covariate, beta = tensor([0, 1, 1, 1, 0, 0]), 0.7
    duration, event = tensor([9, 1, 1, 6, 6, 8]), tensor([1, 1, 0, 1, 1, 0]) == 1
    r = np.exp(beta)
    breslow = 2 * beta - np.log(3 * r + 3) - 2 * np.log(r + 3)
    efron = 2 * beta - np.log(3 * r + 3) - np.log(r + 3) - np.log(r + 3 - (r + 1) / 2)
    assert log_likelihood(covariate * beta, duration, event, ties="breslow") == pytest.approx(breslow, abs=1e-12)
    assert log_likelihood(covariate * beta, duration, event, ties="efron") == pytest.approx(efron, abs=1e-12)


rows = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-3, 3), min_size=n, max_size=n).map(tensor),
        st.lists(st.integers(1, 8), min_size=n, max_size=n).map(tensor),
        st.lists(st.booleans(), min_size=n, max_size=n).map(torch.tensor),
        st.lists(st.integers(0, 3), min_size=n, max_size=n).map(tensor),
        st.permutations(range(n)),
    )
)


@pytest.mark.parametrize("ties", TIES)
@settings(deadline=None, max_examples=40)
@given(drawn=rows)
def test_order_and_shift_change_nothing(ties, drawn):
    log_hazard, duration, event, weight, order = drawn
    loss = cox_nll(log_hazard, duration, event, weight=weight, ties=ties)
    shuffled = cox_nll(log_hazard[order], duration[order], event[order], weight=weight[order], ties=ties)
    shifted = cox_nll(log_hazard + 50.0, duration, event, weight=weight, ties=ties)
    torch.testing.assert_close(shuffled, loss)
    torch.testing.assert_close(shifted, loss)


@settings(deadline=None, max_examples=40)
@given(rows)
def test_entry_at_zero_changes_nothing(drawn):
    log_hazard, duration, event, weight, _ = drawn
    loss = cox_nll(log_hazard, duration, event, weight=weight)
    torch.testing.assert_close(cox_nll(log_hazard, duration, event, weight=weight, entry=0 * duration), loss)


@settings(deadline=None, max_examples=40)
@given(rows)
def test_weights_are_replication_with_breslow_ties(drawn):
    log_hazard, duration, event, weight, _ = drawn
    repeats = weight.long()
    replicated = [column.repeat_interleave(repeats) for column in (log_hazard, duration, event)]
    loss = cox_nll(log_hazard, duration, event, weight=weight, ties="breslow")
    torch.testing.assert_close(cox_nll(*replicated, ties="breslow"), loss)


@pytest.mark.parametrize("ties", TIES)
@settings(deadline=None, max_examples=40)
@given(drawn=rows)
def test_weight_zero_is_as_if_absent_and_scale_changes_nothing(ties, drawn):
    log_hazard, duration, event, weight, _ = drawn
    keep = weight > 0
    loss = cox_nll(log_hazard, duration, event, weight=weight, ties=ties)
    kept = cox_nll(log_hazard[keep], duration[keep], event[keep], weight=weight[keep], ties=ties)
    torch.testing.assert_close(kept, loss)
    twice = cox_nll(log_hazard, duration, event, weight=2 * weight, ties=ties)
    constant = np.log(2) if (weight * event).sum() > 0 else 0.0  # of the risk sets, per event
    assert float(twice) == pytest.approx(float(loss) + constant, abs=1e-9)


def test_row_censored_at_the_time_of_an_event_is_at_risk():
    log_hazard = tensor([0.3, -0.2, 1.0])
    censored_at_event = cox_nll(log_hazard, tensor([2, 2, 5]), torch.tensor([True, False, False]))
    censored_after = cox_nll(log_hazard, tensor([2, 3, 5]), torch.tensor([True, False, False]))
    torch.testing.assert_close(censored_at_event, censored_after)
    assert float(censored_at_event) == pytest.approx(float(log_hazard.logsumexp(0)) - 0.3)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_event_is_a_connected_zero(n):
    log_hazard = torch.randn(n, requires_grad=True)
    loss = cox_nll(log_hazard, torch.arange(1.0, n + 1), torch.zeros(n, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0.0
    torch.testing.assert_close(log_hazard.grad, torch.zeros(n))


def test_one_patient_is_zero():
    assert float(cox_nll(torch.tensor([3.0]), torch.tensor([5.0]), torch.tensor([True]))) == 0.0


@pytest.mark.parametrize("ties", TIES)
def test_finite_at_extreme_log_hazards(ties):
    log_hazard = torch.tensor([90.0, -90.0, 90.0, 0.0, -90.0], requires_grad=True)
    event = torch.tensor([True, True, True, True, False])
    loss = cox_nll(log_hazard, torch.tensor([1.0, 1.0, 2.0, 2.0, 3.0]), event, ties=ties)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(log_hazard.grad).all()


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("with_entry", [False, True])
def test_gradient(ties, with_entry):
    generator = torch.Generator().manual_seed(0)
    log_hazard = torch.randn(12, dtype=torch.float64, generator=generator, requires_grad=True)
    duration = torch.randint(2, 6, (12,), generator=generator).double()
    event = torch.rand(12, generator=generator) < 0.7
    weight = torch.rand(12, dtype=torch.float64, generator=generator)
    entry = torch.rand(12, dtype=torch.float64, generator=generator) * 2 if with_entry else None
    assert torch.autograd.gradcheck(
        lambda eta: cox_nll(eta, duration, event, weight=weight, entry=entry, ties=ties), (log_hazard,)
    )


def test_precision_is_kept():
    duration, event = torch.tensor([1.0, 2.0]), torch.tensor([True, True])
    assert cox_nll(torch.zeros(2).double(), duration.double(), event).dtype == torch.float64
    assert cox_nll(torch.zeros(2).bfloat16(), duration, event).dtype == torch.float32


def test_a_hundred_thousand_rows_take_less_than_a_second():
    generator = torch.Generator().manual_seed(0)
    log_hazard = torch.randn(100_000, generator=generator, requires_grad=True)
    duration = torch.randint(1, 2000, (100_000,), generator=generator).float()
    event = torch.rand(100_000, generator=generator) < 0.7
    start = time.process_time()
    cox_nll(log_hazard, duration, event).backward()
    assert time.process_time() - start < 1.0


def outcome_of(seed: int = 0, patients: int = 60, visits: int = 3) -> tuple[torch.Tensor, Outcome]:
    generator = torch.Generator().manual_seed(seed)
    log_hazard = torch.randn(patients, visits, 1, generator=generator)
    duration = -torch.rand(patients, visits, generator=generator).log() * 300 * torch.exp(-log_hazard[..., 0])
    event = duration < 900
    at_risk = torch.rand(patients, visits, generator=generator) < 0.8
    return log_hazard, Outcome(duration=duration.clamp(0.5, 900), event=event, at_risk=at_risk)


def test_visits_not_at_risk_change_nothing():
    log_hazard, outcome = outcome_of()
    loss = Cox()
    weight = torch.rand(outcome.duration.shape)
    changed = torch.where(outcome.at_risk[..., None], log_hazard, torch.full_like(log_hazard, 7.0))
    torch.testing.assert_close(loss(changed, outcome, weight), loss(log_hazard, outcome, weight))


def test_predicted_curves_are_those_of_the_model_that_made_the_data():
    log_hazard, outcome = outcome_of(patients=2000)
    loss = Cox()
    loss.calibrate(log_hazard, outcome, 30.0 * torch.arange(outcome.duration.shape[1]).expand_as(outcome.duration))
    times = torch.tensor([0.0, 100.0, 300.0, 600.0])
    prediction = loss.predict(log_hazard, times)
    truth = torch.exp(-times / 300 * torch.exp(log_hazard))
    assert (prediction.survival - truth).abs().max() < 0.05
    assert (prediction.survival[..., 0] == 1.0).all()
    torch.testing.assert_close(prediction.risk, log_hazard[..., 0])


def test_curve_is_held_beyond_the_last_event_and_never_nan():
    log_hazard, outcome = outcome_of()
    loss = Cox()
    loss.calibrate(log_hazard, outcome, torch.zeros_like(outcome.duration))
    extreme = torch.tensor([[[90.0], [-90.0]]])
    survival = loss.predict(extreme, torch.tensor([0.0, 900.0, 9000.0])).survival
    torch.testing.assert_close(survival, torch.tensor([[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]))


def test_fresh_object_takes_over_the_state():
    log_hazard, outcome = outcome_of()
    fitted, fresh = Cox(), Cox()
    fitted.calibrate(log_hazard, outcome, torch.zeros_like(outcome.duration))
    times = torch.tensor([10.0, 400.0])
    with pytest.raises(ValueError, match="calibrate"):
        fresh.predict(log_hazard, times)
    fresh.load_state_dict(fitted.state_dict())
    torch.testing.assert_close(fresh.predict(log_hazard, times).survival, fitted.predict(log_hazard, times).survival)


def test_training_part_without_event_predicts_survival_of_one():
    log_hazard, outcome = outcome_of()
    censored = Outcome(outcome.duration, torch.zeros_like(outcome.event), outcome.at_risk)
    loss = Cox()
    loss.calibrate(log_hazard, censored, torch.zeros_like(outcome.duration))
    assert (loss.predict(log_hazard, torch.tensor([100.0])).survival == 1.0).all()


DAYS = torch.tensor([[0.0, 42.0, 84.0]]).expand(4000, 3)


def test_first_visits_and_later_ones_have_baselines_of_their_own():
    outcome = dying_early()
    loss = Cox()
    loss.calibrate(torch.zeros(4000, 3, 1), outcome, DAYS)
    first, second, third = loss.predict(torch.zeros(1, 3, 1), torch.tensor([60.0])).survival[0, :, 0].tolist()
    assert first == pytest.approx(0.8 * math.exp(-60 / 2000), abs=0.02)
    assert second == third == pytest.approx(math.exp(-60 / 2000), abs=0.01)


def test_later_visits_with_hardly_an_event_take_the_baseline_of_all():
    outcome = dying_early()
    rare = outcome.event.clone()
    rare[FEWEST_LATER - 1 :, 1:] = False
    loss = Cox()
    loss.calibrate(torch.zeros(4000, 3, 1), replace(outcome, event=rare), DAYS)
    rows, weight = outcome.at_risk, visit_weights(DAYS, outcome.at_risk)
    pooled = breslow(
        *(each[rows].double().numpy() for each in (torch.zeros(4000, 3), outcome.duration)),
        rare[rows].numpy(),
        weight[rows].double().numpy(),
    )
    times = torch.tensor([30.0, 60.0, 400.0])
    later = loss.predict(torch.zeros(1, 2, 1), times).survival[0, 1]
    np.testing.assert_allclose(later.numpy(), np.exp(-pooled(times.double().numpy())), atol=2e-3)


def test_first_visits_of_which_none_is_at_risk_take_the_baseline_of_all():
    outcome = dying_early()
    known_late = outcome.at_risk.clone()
    known_late[:, 0] = False
    loss = Cox()
    loss.calibrate(torch.zeros(4000, 3, 1), replace(outcome, at_risk=known_late), DAYS)
    first, later = loss.predict(torch.zeros(1, 2, 1), torch.tensor([400.0])).survival[0, :, 0].tolist()
    assert first == later == pytest.approx(math.exp(-400 / 2000), abs=0.02)


def test_baseline_of_later_visits_is_that_of_the_months_that_the_loss_weighs():
    """Deaths come after the visit of week 6 and not after a hundred visits of later years, which hardly count."""
    patients, visits = 400, 100
    duration = torch.full((patients, visits), 3000.0)
    duration[: patients // 2, 1] = 30.0
    event = duration < 3000
    at_risk = torch.ones_like(event)
    at_risk[: patients // 2, 2:] = False
    day = torch.cat([torch.tensor([0.0, 42.0]), 400.0 + 30.0 * torch.arange(visits - 2)]).expand(patients, visits)
    loss = Cox()
    loss.calibrate(torch.zeros(patients, visits, 1), Outcome(duration, event, at_risk), day)
    survival = float(loss.predict(torch.zeros(1, 2, 1), torch.tensor([60.0])).survival[0, 1])
    weight = visit_weights(day, at_risk)
    assert survival == pytest.approx(math.exp(-float((weight * event).sum() / weight[:, 1:].sum())), abs=0.01)
    assert survival < 0.8  # of all later visits 0.5 % are followed by a death, of those of week 6 every second


def test_a_state_of_one_baseline_serves_all_visits():
    log_hazard, outcome = outcome_of()
    fitted, fresh = Cox(), Cox()
    fitted.calibrate(log_hazard, outcome, 30.0 * torch.arange(outcome.duration.shape[1]).expand_as(outcome.duration))
    times = torch.tensor([10.0, 400.0])
    fresh.load_state_dict({name: value[1] for name, value in fitted.state_dict().items()})
    expected = fitted.predict(log_hazard, times).survival
    torch.testing.assert_close(fresh.predict(log_hazard, times).survival[:, 1:], expected[:, 1:])
    alike = fresh.predict(torch.zeros(1, 2, 1), times).survival[0]
    torch.testing.assert_close(alike[0], alike[1])
