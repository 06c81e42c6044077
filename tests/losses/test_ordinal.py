"""Cumulative logits: classes sum to one, labels known in part count with what they leave open."""

import numpy as np
import pytest
import torch

from fusion.losses.ordinal import OrdinalResponse, class_log_probabilities, ordinal_nll
from fusion.types import Response


def response_of(grade: torch.Tensor) -> Response:
    """Everything known."""
    return Response(
        label=(grade >= 2).long(),
        known=torch.ones_like(grade, dtype=torch.bool),
        possible=torch.nn.functional.one_hot(grade, 4).bool(),
    )


def drawn(patients: int = 400, slope: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A covariate, and a class from latent logistic noise around it."""
    generator = torch.Generator().manual_seed(0)
    covariate = torch.randn(patients, 1, generator=generator)
    uniform = torch.rand(patients, 1, generator=generator).clamp(1e-6, 1 - 1e-6)
    latent = slope * covariate + uniform.logit()
    return covariate, torch.bucketize(latent, torch.tensor([-1.5, 0.0, 2.0]))


def test_probabilities_are_differences_of_sigmoids():
    better, edges = torch.linspace(-8, 8, 9).double(), torch.tensor([-1.0, 0.5, 0.7]).double()
    above = torch.sigmoid(better[:, None] - edges)
    whole = torch.cat([torch.ones(9, 1), above], dim=1) - torch.cat([above, torch.zeros(9, 1)], dim=1)
    torch.testing.assert_close(class_log_probabilities(better, edges).exp(), whole)
    assert torch.isfinite(class_log_probabilities(torch.tensor([-300.0, 300.0]), edges.float())).all()


def test_a_label_in_part_sums_over_what_it_leaves_open():
    better, edges = torch.tensor([0.3]).double(), torch.tensor([-1.0, 0.5, 1.7]).double()
    possible = torch.tensor([[False, True, True, True]])
    not_progressive = torch.sigmoid(better - edges[0])
    assert float(ordinal_nll(better, possible, edges)) == pytest.approx(-float(not_progressive.log()))
    assert float(ordinal_nll(better, torch.ones(1, 4, dtype=torch.bool), edges)) == pytest.approx(0.0, abs=1e-12)


def test_gradient_and_connected_zero():
    better = torch.randn(4, dtype=torch.float64, requires_grad=True)
    edges = torch.tensor([-1.0, 0.5, 1.7], dtype=torch.float64, requires_grad=True)
    possible = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]]).bool()
    assert torch.autograd.gradcheck(lambda x, e: ordinal_nll(x, possible, e), (better, edges))
    empty = ordinal_nll(better[:0], possible[:0], edges)
    empty.backward()
    assert float(empty.detach()) == 0.0


def test_untrained_head_predicts_the_share_of_each_class():
    _, grade = drawn()
    loss = OrdinalResponse()
    loss.prepare(response_of(grade), torch.ones(400, 1))
    share = torch.bincount(grade.flatten(), minlength=4) / 400
    probability = loss.predict(torch.zeros(2, 1, 1)).probability
    torch.testing.assert_close(probability[0, 0], share, atol=0.005, rtol=0.0)
    fresh = OrdinalResponse()
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh.predict(torch.zeros(2, 1, 1)).probability, probability)


def test_visits_of_which_nothing_is_known_change_nothing():
    _, grade = drawn(40)
    response, weight = response_of(grade), torch.rand(40, 1)
    kept = torch.arange(40) % 3 > 0
    partly = response.only(kept)
    assert torch.equal(partly.asked[:, 0], kept)
    loss, outputs = OrdinalResponse(), torch.randn(40, 1, 1)
    changed = torch.where(kept[:, None, None], outputs, torch.full_like(outputs, 5.0))
    few = Response(response.label[kept], response.known[kept], response.possible[kept])
    torch.testing.assert_close(loss(changed, partly, weight), loss(outputs[kept], few, weight[kept]))
    nobody = response.only(torch.zeros(40, dtype=torch.bool))
    loss.prepare(nobody, weight)
    assert float(loss(outputs, nobody, weight)) == 0.0
    assert torch.isfinite(loss.predict(outputs).probability).all()


def test_learns_the_slope_and_the_edges():
    covariate, grade = drawn(2000, slope=1.0)
    response, loss = response_of(grade), OrdinalResponse()
    loss.prepare(response, torch.ones(2000, 1))
    slope = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([slope], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss(slope * covariate[..., None], response, torch.ones(2000, 1)).backward()
        optimizer.step()
    assert float(slope.detach()) == pytest.approx(1.0, abs=0.2)
    loss.calibrate(covariate[..., None], response, torch.zeros(2000, 1))
    np.testing.assert_allclose(loss.edges.numpy(), [-1.5, 0.0, 2.0], atol=0.2)


def test_knowing_responders_from_nonresponders_is_half_the_truth():
    """Without classes the label says which half; the middle edge is found all the same."""
    _, grade = drawn(1000)
    whole = response_of(grade)
    halves = Response(label=whole.label, known=whole.known)
    loss = OrdinalResponse()
    loss.prepare(halves, torch.ones(1000, 1))
    probability = loss.predict(torch.zeros(1, 1, 1)).probability[0, 0]
    assert float(probability[2:].sum()) == pytest.approx(float(whole.label.float().mean()), abs=0.005)
