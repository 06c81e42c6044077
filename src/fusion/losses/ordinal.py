"""Ordered classes of response, PD < SD < PR < CR, by cumulative logits; labels may be known in part.

Dimension key: N rows, B patients, T visits, O outputs, C classes from worst to best, E = C - 1 edges between them.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from fusion.losses.base import ResponseLoss
from fusion.losses.fit import minimise
from fusion.losses.precision import in_full
from fusion.losses.weights import VISIT_SCALE, visit_weights
from fusion.types import Response, ResponsePrediction


def class_log_probabilities(better: Float[Tensor, "*rows"], edges: Float[Tensor, " E"]) -> Float[Tensor, "*rows C"]:
    """Log probability of every class where log odds of lying above edge e are `better - edges[e]` (McCullagh 1980).

    >>> class_log_probabilities(torch.tensor([0.0]), torch.tensor([-1.0986, 1.0986])).exp()
    tensor([[0.2500, 0.5000, 0.2500]])
    """
    upper = functional.pad(edges, (0, 1), value=torch.inf) - better[..., None]
    lower = functional.pad(edges, (1, 0), value=-torch.inf) - better[..., None]
    width = functional.pad(edges.diff(), (1, 1), value=torch.inf)  # sigma(u) - sigma(l) without the loss of digits
    return functional.logsigmoid(upper) + functional.logsigmoid(-lower) + torch.log(-torch.expm1(-width))


def ordinal_nll(
    better: Float[Tensor, " N"],
    possible: Bool[Tensor, "N C"],
    edges: Float[Tensor, " E"],
    *,
    weight: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, ""]:
    """Negative log probability of the classes that are possible, averaged over the (weighted) rows.

    No row gives a zero that is connected to the graph.

    Args:
        better: Linear predictor, higher is better.
        possible: One class where it is known, several where it is known in part.
        edges: Edges between the classes on the scale of `better`, increasing.
        weight: Weight of each row.

    >>> edges, possible = torch.tensor([0.0, 1.0]), torch.tensor([[True, False, False], [False, True, True]])
    >>> ordinal_nll(torch.zeros(2), possible, edges)
    tensor(0.6931)
    """
    better = in_full(better)
    log_probability_NC = class_log_probabilities(better, edges.to(better))
    loss_N = -log_probability_NC.masked_fill(~possible, -torch.inf).logsumexp(dim=1)
    weight_N = torch.ones_like(loss_N) if weight is None else weight.to(loss_N)
    return (weight_N * loss_N).sum() / weight_N.sum().clamp_min(torch.finfo(loss_N.dtype).tiny)


class OrdinalResponse(ResponseLoss):
    """One log odds per visit of responding better, with common edges between the four classes of RECIST.

    The edges are those of the training part: an untrained head that gives zeros predicts the share of each class.
    Once the model is trained they are fitted anew around its outputs. A label that is known in part, such as
    responder without the word which, counts with the sum of the classes that it leaves open.

    Args:
        visit_scale: Days over which the weight of later visits fades.
    """

    num_outputs = 1
    direction = 1.0
    num_classes = 4
    edges: Tensor

    def __init__(self, visit_scale: float = VISIT_SCALE) -> None:
        super().__init__()
        self.visit_scale = visit_scale
        self.register_buffer("edges", torch.tensor([-1.0, 0.0, 1.0]))

    def prepare(self, response: Response, weight: Float[Tensor, "B T"]) -> None:
        """Edges between the classes from the labels of the training part."""
        self._fit(torch.zeros_like(weight), response, weight)

    def forward(
        self, outputs: Float[Tensor, "B T O"], response: Response, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Likelihood of the visits of whose label anything is known, each with its weight."""
        rows = response.asked
        return ordinal_nll(outputs[..., 0][rows], _possible(response)[rows], self.edges, weight=weight[rows])

    def calibrate(self, outputs: Float[Tensor, "B T O"], response: Response, day: Float[Tensor, "B T"]) -> None:
        """Edges once more, around the outputs of the trained model."""
        self._fit(outputs[..., 0], response, visit_weights(day, response.asked, scale=self.visit_scale))

    def predict(self, outputs: Float[Tensor, "B T O"]) -> ResponsePrediction:
        """Probability of PD, SD, PR and CR."""
        return ResponsePrediction(probability=class_log_probabilities(outputs[..., 0], self.edges).exp())

    def _fit(self, outputs: Float[Tensor, "B T"], response: Response, weight: Float[Tensor, "B T"]) -> None:
        rows = response.asked
        better_N, possible_NC, weight_N = outputs[rows].double(), _possible(response)[rows], weight[rows].double()
        one_of_each = torch.eye(self.num_classes, dtype=torch.bool, device=outputs.device)
        total = weight_N.sum()

        def edges_of(free: Tensor) -> Tensor:
            return torch.cat([free[:1], free[:1] + (functional.softplus(free[1:]) + 1e-3).cumsum(0)])

        def loss(free: Tensor) -> Tensor:
            """Half a patient more in each class keeps the edges finite and apart."""
            edges = edges_of(free)
            prior = ordinal_nll(free.new_zeros(self.num_classes), one_of_each, edges)
            return total * ordinal_nll(better_N, possible_NC, edges, weight=weight_N) + 0.5 * self.num_classes * prior

        self.edges.copy_(edges_of(minimise(loss, self.edges.new_tensor([-1.0, 0.5, 0.5]))))


def _possible(response: Response) -> Bool[Tensor, "B T C"]:
    """Classes that the label leaves open; a label without classes says responder or non-responder."""
    if response.possible is not None:
        return response.possible
    responder = response.label[..., None] == 1
    return torch.arange(OrdinalResponse.num_classes, device=response.label.device).ge(2) == responder
