"""The contract of a loss: how an outcome is modelled, its training loss and its decoding in one object.

Dimension key: E members of an ensemble, B patients, T visits, O outputs of the head, Q prediction times, C classes.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.types import Outcome, Response, ResponsePrediction, SurvivalPrediction


class SurvivalLoss(nn.Module, ABC):
    """One way to model a time to event, seen from every visit.

    The life of an object: `prepare` on the training part, `forward` while training, `calibrate` on the training part
    once the model is trained, then `predict`. All that is learned lies in buffers of fixed shape, so that a fresh
    object takes it over with `load_state_dict`.

    Attributes:
        num_outputs: Width of the head.
        visit_scale: Days over which the weight of later visits fades; see `visit_weights`.
        direction: What one unit of log hazard (of the first cause) adds to every output, or to each "O", so that plain
            models can speak through this loss; None where outputs and log hazards have no such relation.
        rounds: How often the scale of the outputs and `calibrate` follow each other: more than once where what one of
            them fits moves the other.
    """

    num_outputs: int
    visit_scale: float
    direction: float | Float[Tensor, " O"] | None = None
    rounds = 1

    @abstractmethod
    def prepare(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> None:
        """Learn from the outcomes of the training part what the loss needs, e.g. the cuts of discrete time."""

    @abstractmethod
    def forward(
        self, outputs: Float[Tensor, "B T O"], outcome: Outcome, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Loss over the visits at risk, each with its weight; a zero connected to the graph where there is none."""

    def each(
        self, outputs: Float[Tensor, "E B T O"], outcome: Outcome, weight: Float[Tensor, "E B T"]
    ) -> Float[Tensor, " E"]:
        """Loss of every member over the visits to which it gives weight; one by one, where a loss knows no better."""
        return torch.stack([self(own, outcome, share) for own, share in zip(outputs, weight, strict=True)])

    def total_weight(self, outcome: Outcome, weight: Float[Tensor, "B T"]) -> float:
        """What the mean that `forward` gives is over, so that their product is a likelihood: here the events."""
        return float((weight * outcome.event).sum())

    @abstractmethod
    def calibrate(self, outputs: Float[Tensor, "B T O"], outcome: Outcome, day: Float[Tensor, "B T"]) -> None:
        """Learn from the trained model's outputs on the training part what the decoding needs."""

    @abstractmethod
    def predict(self, outputs: Float[Tensor, "B T O"], times: Float[Tensor, " Q"]) -> SurvivalPrediction:
        """Risk and survival curve at every visit."""


class ResponseLoss(nn.Module, ABC):
    """One way to model a class of response at every visit before its assessment; lives like `SurvivalLoss`.

    Attributes:
        num_outputs: Width of the head.
        num_classes: Classes that it predicts, from worst to best.
        visit_scale: Days over which the weight of later visits fades; see `visit_weights`.
        direction: What one unit of the log odds of response adds to every output; see `SurvivalLoss`.
    """

    num_outputs: int
    visit_scale: float
    num_classes: int
    direction: float | None = None
    rounds = 1

    @abstractmethod
    def prepare(self, response: Response, weight: Float[Tensor, "B T"]) -> None:
        """Learn from the labels of the training part what the loss needs."""

    @abstractmethod
    def forward(
        self, outputs: Float[Tensor, "B T O"], response: Response, weight: Float[Tensor, "B T"]
    ) -> Float[Tensor, ""]:
        """Loss over the visits whose label is known; a zero connected to the graph where there is none."""

    def each(
        self, outputs: Float[Tensor, "E B T O"], response: Response, weight: Float[Tensor, "E B T"]
    ) -> Float[Tensor, " E"]:
        """Loss of every member over the visits to which it gives weight; one by one, where a loss knows no better."""
        return torch.stack([self(own, response, share) for own, share in zip(outputs, weight, strict=True)])

    def total_weight(self, response: Response, weight: Float[Tensor, "B T"]) -> float:
        """What the mean that `forward` gives is over: the labels."""
        return float(weight.sum())

    @abstractmethod
    def calibrate(self, outputs: Float[Tensor, "B T O"], response: Response, day: Float[Tensor, "B T"]) -> None:
        """Learn from the trained model's outputs on the training part what the decoding needs."""

    @abstractmethod
    def predict(self, outputs: Float[Tensor, "B T O"]) -> ResponsePrediction:
        """Probability of every class at every visit."""
