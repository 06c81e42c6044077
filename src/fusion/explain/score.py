"""The one number per visit that is explained: the risk of a survival task, the log odds of response.

The risk is the log hazard where the loss has one (Cox and its kin). Dimension key: B patients, T visits, O outputs,
Q prediction times.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.training.ensemble import Ensemble, Prediction
from fusion.types import PatientBatch, SurvivalPrediction

#: Keeps the log odds of a probability that has been rounded to zero finite.
TINY = 1e-6


@dataclass(frozen=True)
class Answer:
    """What is said of a task at every visit.

    Attributes:
        score: Risk, or log odds of response: what is explained.
        chance: Probability of no event by the horizon, or of response.
    """

    score: Float[Tensor, "B T"]
    chance: Float[Tensor, "B T"]


def answer_of(prediction: Prediction) -> Answer:
    """Score and chance of a decoded prediction; a curve is read at its first time.

    >>> from fusion.types import ResponsePrediction
    >>> answer_of(ResponsePrediction(probability=torch.tensor([[[0.25, 0.75]]]))).score
    tensor([[1.0986]])
    """
    if isinstance(prediction, SurvivalPrediction):
        return Answer(score=prediction.risk, chance=prediction.survival[..., 0])
    half = prediction.probability.shape[-1] // 2  # classes go from worst to best
    worse, better = prediction.probability[..., :half].sum(dim=-1), prediction.probability[..., half:].sum(dim=-1)
    return Answer(score=better.clamp_min(TINY).log() - worse.clamp_min(TINY).log(), chance=better)


@torch.no_grad()
def answers(ensemble: Ensemble, batch: PatientBatch, horizon: float = 0.0) -> dict[str, Answer]:
    """Answer of every task, of the mean of the members with the plain models, as it is given in predictions.parquet.

    Args:
        ensemble: The fitted ensemble.
        batch: The patients.
        horizon: Days after the visit at which survival is read.
    """
    predictions: Mapping[str, Prediction] = ensemble.predict(batch, torch.tensor([float(horizon)]))
    return {task: answer_of(prediction) for task, prediction in predictions.items()}


def decoded(ensemble: Ensemble, task: str, outputs: Float[Tensor, "B T O"]) -> Float[Tensor, "B T"]:
    """Score of the outputs of a task, with gradients."""
    return answer_of(ensemble.decode(task, outputs, torch.zeros(1))).score
