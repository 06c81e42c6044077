"""Binary objective response: cross-entropy of the visits whose label is known, decoded to two class probabilities.

Dimension key: N rows, B patients, T visits, O outputs, C classes (nonresponder, responder).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from fusion.losses.base import ResponseLoss
from fusion.losses.fit import minimise
from fusion.losses.precision import in_full
from fusion.losses.weights import VISIT_SCALE, visit_weights
from fusion.types import Response, ResponsePrediction


def binary_nll(
    logit: Float[Tensor, " N"], label: Int[Tensor, " N"], *, weight: Float[Tensor, " N"] | None = None
) -> Float[Tensor, ""]:
    """Cross-entropy averaged over the (weighted) rows; no row gives a zero that is connected to the graph.

    >>> binary_nll(torch.zeros(2), torch.tensor([0, 1]))
    tensor(0.6931)
    """
    logit = in_full(logit)
    weight_N = torch.ones_like(logit) if weight is None else weight.to(logit)
    loss_N = functional.binary_cross_entropy_with_logits(logit, label.to(logit), reduction="none")
    return (weight_N * loss_N).sum() / weight_N.sum().clamp_min(torch.finfo(logit.dtype).tiny)


class BinaryResponse(ResponseLoss):
    """Log odds of response at every visit, as a deviation from those of the training part.

    Once the model is trained, their level is fitted anew around its outputs: the mean of a spread of probabilities is
    not the probability of the mean.

    Args:
        visit_scale: Days over which the weight of later visits fades.
    """

    num_outputs = 1
    direction = 1.0
    num_classes = 2
    base_logit: Tensor

    def __init__(self, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("base_logit", torch.zeros(()))

    def prepare(self, response: Response, weight: Float[Tensor, "B T"]) -> None:
        """Log odds of the training part."""
        self._fit(torch.zeros_like(weight), response, weight)

    def forward(
        self, outputs: Float[Tensor, "B T O"], response: Response, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the visits whose label is known, each with its weight."""
        rows = response.known
        return binary_nll(outputs[..., 0][rows] + self.base_logit, response.label[rows], weight=weight[rows])

    def calibrate(self, outputs: Float[Tensor, "B T O"], response: Response, day: Float[Tensor, "B T"]) -> None:
        """Their level once more, around the outputs of the trained model."""
        self._fit(outputs[..., 0], response, visit_weights(day, response.known, scale=self.visit_scale))

    def predict(self, outputs: Float[Tensor, "B T O"]) -> ResponsePrediction:
        """Probability of nonresponder and responder."""
        responder = torch.sigmoid(outputs[..., 0] + self.base_logit)
        return ResponsePrediction(probability=torch.stack([1.0 - responder, responder], dim=-1))

    def _fit(self, logit: Float[Tensor, "B T"], response: Response, weight: Float[Tensor, "B T"]) -> None:
        """The likeliest level; half a patient more in each class keeps it finite."""
        rows = response.known
        logit_N, label_N, weight_N = logit[rows].double(), response.label[rows], weight[rows].double()

        def loss(level: Tensor) -> Tensor:
            prior = binary_nll(level.expand(2), label_N.new_tensor([0, 1]))
            return weight_N.sum() * binary_nll(logit_N + level, label_N, weight=weight_N) + prior

        self.base_logit.copy_(minimise(loss, self.base_logit[None])[0])
