"""Cross-entropy of response: masks, weights, decoding."""

import pytest
import torch

from fusion.losses.response import BinaryResponse, binary_nll
from fusion.types import Response

LABEL = torch.tensor([[1, 1, 0], [0, 1, 0]])
KNOWN = torch.tensor([[True, True, False], [True, False, False]])


def test_weights_are_replication():
    logit, label, weight = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([1, 0, 0]), torch.tensor([2, 0, 3])
    loss = binary_nll(logit, label, weight=weight.float())
    torch.testing.assert_close(loss, binary_nll(logit.repeat_interleave(weight), label.repeat_interleave(weight)))


def test_gradient_and_connected_zero():
    logit = torch.randn(4, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 1, 1, 0])
    assert torch.autograd.gradcheck(lambda x: binary_nll(x, label), (logit,))
    empty = binary_nll(logit[:0], label[:0])
    empty.backward()
    assert float(empty.detach()) == 0.0


def test_unknown_labels_change_nothing():
    loss, outputs, weight = BinaryResponse(), torch.randn(2, 3, 1), torch.rand(2, 3)
    changed_outputs = torch.where(KNOWN[..., None], outputs, torch.full_like(outputs, 8.0))
    changed = Response(label=torch.where(KNOWN, LABEL, 1 - LABEL), known=KNOWN)
    before = loss(outputs, Response(label=LABEL, known=KNOWN), weight)
    torch.testing.assert_close(loss(changed_outputs, changed, weight), before)


def test_untrained_head_predicts_the_share_of_responders():
    loss, response = BinaryResponse(), Response(label=LABEL.repeat(100, 1), known=KNOWN.repeat(100, 1))
    loss.prepare(response, torch.ones(200, 3))
    probability = loss.predict(torch.zeros(2, 3, 1)).probability
    torch.testing.assert_close(probability.sum(-1), torch.ones(2, 3))
    assert probability[0, 0, 1] == pytest.approx(2 / 3, abs=0.01)
    fresh = BinaryResponse()
    fresh.load_state_dict(loss.state_dict())
    torch.testing.assert_close(fresh.predict(torch.zeros(2, 3, 1)).probability, probability)


def test_no_known_label_is_defined():
    loss, response = BinaryResponse(), Response(label=LABEL, known=torch.zeros_like(KNOWN))
    loss.prepare(response, torch.ones(2, 3))
    assert float(loss(torch.zeros(2, 3, 1), response, torch.ones(2, 3))) == 0.0
    assert (loss.predict(torch.zeros(2, 3, 1)).probability == 0.5).all()


def test_level_is_fitted_around_the_outputs():
    generator = torch.Generator().manual_seed(0)
    outputs = 3.0 * torch.randn(2000, 1, 1, generator=generator)
    label = (torch.rand(2000, 1, generator=generator) < torch.sigmoid(outputs[..., 0] + 2.0)).long()
    loss, response = BinaryResponse(), Response(label=label, known=torch.ones_like(label, dtype=torch.bool))
    loss.prepare(response, torch.ones(2000, 1))
    assert float(loss.base_logit) < 1.2  # the log odds of the share, which is not the share of log odds
    loss.calibrate(outputs, response, torch.zeros(2000, 1))
    assert float(loss.base_logit) == pytest.approx(2.0, abs=0.2)
    responder = loss.predict(outputs).probability[..., 1]
    assert float(responder.mean()) == pytest.approx(float(label.float().mean()), abs=1e-3)
