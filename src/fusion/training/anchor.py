"""Anchors: plain linear models that are fitted beside the network, on the same inner folds, and answer with it.

At 100 to 300 patients a tuned Cox model is hard to beat, and the mean of several is harder. So a fold fits some plain
models per task, and each again without every inner fold: for a patient of the training part that gives an honest
prediction (pre-validation, Tibshirani & Efron 2002), as the member that left the patient out does. What is said in the
end is a weighted sum of plain models and network; `fusion.training.blend` chooses the weights.

A plain model that is linear in its table is written down as such: gaps filled, indicators of gaps, scaled, clipped,
multiplied. Nothing has to be unpickled to use it again.

Dimension key: K plain models, L landmarks, P columns of the table, D = 2 P columns of the design
(values, then indicators of gaps), B patients, T visits, N rows.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from fusion.baselines.base import Baseline
from fusion.baselines.design import CLIP, Design
from fusion.baselines.hazard import FirstVisitHazard
from fusion.baselines.landmark import LandmarkCox
from fusion.baselines.landmark_logistic import LandmarkLogistic
from fusion.baselines.logistic import LogisticAll
from fusion.types import VisitTable

#: Plain models that know the first visit only.
FIRST_VISIT = (FirstVisitHazard, LogisticAll)

#: Landmarks that a plain model may have; more are refused.
MAX_LANDMARKS = 16


@dataclass(frozen=True, kw_only=True)
class AnchorModel:
    """A plain model and how far it is believed before the data have spoken.

    Attributes:
        model: The plain model, of a kind that is linear in its table.
        first: Weight at the first visit.
        later: Weight at later visits.
        endpoint: Survival endpoint that it is fitted to and speaks of response by, since who will die early seldom
            responds, and deaths tell more of the patients apart than one label does. None: the task itself.
    """

    model: Baseline
    first: float
    later: float
    endpoint: str | None = None

    @property
    def name(self) -> str:
        """What it is called in `preprocessing.json`."""
        return self.model.name if self.endpoint is None else f"{self.model.name} of {self.endpoint}"

    def applies(self, table: VisitTable, task: str) -> bool:
        """Whether it can speak of a task."""
        of_response = self.endpoint is None or task in table.responses
        return of_response and self.model.applies(table, self.endpoint or task)

    @property
    def sign(self) -> float:
        """A high risk of the endpoint speaks against response."""
        return 1.0 if self.endpoint is None else -1.0


@dataclass(frozen=True, kw_only=True)
class AnchorPlan:
    """Which plain models answer with the network, and how.

    Attributes:
        models: The plain models by a name of their own, for a config to change one of them; those that do not apply to
            a task stand aside. None: the network answers alone.
        network: Weight of the network before the data have spoken, beside those of the plain models.
        trust: How firmly weights are held to these; see `fusion.training.blend`.
        residual: The network is trained on what the plain models leave unexplained, in place of the outcome itself.
        detail: They see more of an assay than the plain models of the comparison do: see `Modality.detail`.
    """

    models: Mapping[str, AnchorModel] = field(default_factory=dict)
    network: float = 0.4
    trust: float = 30.0
    residual: bool = False
    detail: bool = False

    def of(self, task: str, table: VisitTable) -> list[AnchorModel]:
        """The models that can speak of a task."""
        return [each for each in self.models.values() if each.applies(table, task)]


@dataclass(frozen=True)
class LinearRule:
    """A linear predictor of one landmark: `clip((filled, gap) - mean) / scale) @ weight + level`."""

    day: float
    median: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    level: float


def linear_rules(fitted: Baseline) -> list[LinearRule]:
    """What a fitted plain model is, landmark by landmark.

    The risk of a landmark Cox model looks `horizon` days ahead from the landmark, not from the visit that it serves.

    Raises:
        ValueError: It is not linear in its table.
    """
    if isinstance(fitted, LandmarkCox) and type(fitted)._covariates is LandmarkCox._covariates:
        horizon = np.array([fitted.horizon], dtype=np.float64)
        ahead = [float(mark.model.baseline(horizon)[0]) for mark in fitted.models]
        levels = [float(np.log(max(hazard, 1e-3))) for hazard in ahead]
        return [_rule(mark.model, mark.day, level) for mark, level in zip(fitted.models, levels, strict=True)]
    if isinstance(fitted, LandmarkLogistic):
        return [_rule(mark.model, mark.day, mark.model.intercept) for mark in fitted.models]
    model = getattr(fitted, "model", None)
    if isinstance(fitted, FIRST_VISIT) and hasattr(model, "coefficients"):
        return [_rule(model, 0.0, getattr(model, "intercept", 0.0))]
    raise ValueError(
        f"{fitted.name} is not linear in its table and cannot be an anchor; "
        "choose among cox_all, elastic_net, landmark_cox, landmark_elastic_net, logistic_all, landmark_logistic"
    )


def _rule(model: Any, day: float, level: float) -> LinearRule:
    design: Design = model.design
    columns = len(design.median)
    place = np.concatenate([np.arange(columns), columns + design.patterns])[design.kept]
    mean, scale, weight = np.zeros(2 * columns), np.ones(2 * columns), np.zeros(2 * columns)
    mean[place], scale[place], weight[place] = design.mean, design.scale, model.coefficients
    return LinearRule(day=day, median=design.median, mean=mean, scale=scale, weight=weight, level=level)


class Fits:
    """Plain models fitted to a training part, tuning included, and again without each inner fold.

    What was tuned is kept in the latter: a penalty is one number, and choosing it anew each time made a fold twice as
    slow. Where two tasks ask for the same model of the same endpoint, it is fitted once.

    Args:
        table: The training part.
        inner_fold: Inner fold of each row of the table, "N".
        num_folds: Inner folds.
    """

    def __init__(self, table: VisitTable, inner_fold: Int[Tensor, " N"], num_folds: int) -> None:
        self.table = table
        self.parts = [table.rows((inner_fold != fold).numpy()) for fold in range(num_folds)]
        self.done: dict[tuple[object, ...], tuple[Baseline, list[Baseline]]] = {}

    def __call__(self, anchor: AnchorModel, task: str) -> tuple[Baseline, list[Baseline]]:
        """The model fitted to everyone, and for each inner fold the one that did not see it."""
        model, endpoint = copy.copy(anchor.model), anchor.endpoint or task
        key = (endpoint, type(model), repr(sorted(vars(model).items())))
        if key not in self.done:
            model.fit(self.table, endpoint)
            self.done[key] = model, [model.settled().fit(part, endpoint) for part in self.parts]
        return self.done[key]


class Anchors(nn.Module):
    """The plain models of one task; all that is learned lies in buffers.

    Args:
        models: What is fitted to a training table.
        num_columns: Columns of the table.
    """

    centre: Tensor
    day: Tensor
    level: Tensor
    median: Tensor
    mean: Tensor
    scale: Tensor
    weight: Tensor

    def __init__(self, models: Sequence[AnchorModel], *, num_columns: int) -> None:
        super().__init__()
        self.models = tuple(models)
        self.num_columns = num_columns
        self.register_buffer("centre", torch.zeros(len(self.models)))
        lead = (len(self.models), MAX_LANDMARKS)
        for name in ("day", "level"):
            self.register_buffer(name, torch.full(lead, torch.inf if name == "day" else 0.0))
        for name, width in (("median", 1), ("mean", 2), ("scale", 2), ("weight", 2)):
            filled = torch.ones if name == "scale" else torch.zeros
            self.register_buffer(name, filled(*lead, width * num_columns))

    @property
    def prior(self) -> Float[Tensor, "2 K"]:
        """Weights before the data have spoken: at the first visit, and at later ones."""
        return torch.tensor([[m.first for m in self.models], [m.later for m in self.models]])

    def fit(self, fits: Fits, task: str) -> "list[Anchors]":
        """Take over every model as fitted to the training part; for each inner fold, the models that did not see it."""
        pairs = [fits(anchor, task) for anchor in self.models]
        self._take([fitted for fitted, _ in pairs])
        twins = []
        for without in zip(*(parts for _, parts in pairs), strict=True):
            twins.append(Anchors(self.models, num_columns=self.num_columns))
            twins[-1]._take(without)
        return twins

    def _take(self, fitted: Sequence[Baseline]) -> None:
        """Write fitted models down."""
        for place, model in enumerate(fitted):
            rules, sign = linear_rules(model), self.models[place].sign
            if len(rules) > MAX_LANDMARKS:
                raise ValueError(f"{model.name} has {len(rules)} landmarks; give it at most {MAX_LANDMARKS}")
            if len(rules[0].median) != self.num_columns:
                raise ValueError(f"{model.name} does not read all columns; it cannot be an anchor")
            for landmark, rule in enumerate(rules):
                turned = replace(rule, weight=sign * rule.weight, level=sign * rule.level)
                for each in fields(turned):
                    value = torch.as_tensor(getattr(turned, each.name), dtype=torch.float32)
                    getattr(self, each.name)[place, landmark] = value

    def forward(self, summary: Float[Tensor, "B T P"], day: Float[Tensor, "B T"]) -> Float[Tensor, "K B T"]:
        """What every plain model says of every visit.

        Args:
            summary: Last values known at each visit, NaN where there were none.
            day: Day of each visit.
        """
        elapsed_BT = day - day[:, :1]
        first_BTP = summary[:, :1].expand_as(summary)
        outputs = [
            self._said(first_BTP if isinstance(anchor.model, FIRST_VISIT) else summary, elapsed_BT, place)
            for place, anchor in enumerate(self.models)
        ]
        return torch.stack(outputs) - self.centre[:, None, None]

    def _said(self, source: Float[Tensor, "B T P"], elapsed: Float[Tensor, "B T"], place: int) -> Float[Tensor, "B T"]:
        gap_BTP = source.isnan()
        output_BT = torch.zeros_like(elapsed)
        for landmark, day in enumerate(self.day[place].tolist()):
            serves_BT = elapsed >= day
            if not serves_BT.any():
                continue
            mean, scale, weight, level, median = (
                getattr(self, name)[place, landmark] for name in ("mean", "scale", "weight", "level", "median")
            )
            design = torch.cat([torch.where(gap_BTP, median, source), gap_BTP.to(source)], dim=-1)
            value_BT = ((design - mean) / scale).clamp(-CLIP, CLIP) @ weight + level
            output_BT = torch.where(serves_BT, value_BT, output_BT)
        return output_BT


def left_out(
    twins: Sequence[Anchors], summary: Float[Tensor, "B T P"], day: Float[Tensor, "B T"], inner_fold: Int[Tensor, " B"]
) -> Float[Tensor, "K B T"]:
    """For each patient what the models say that were fitted without the patient's inner fold."""
    outputs = torch.zeros(len(twins[0].models), *day.shape)
    for fold, twin in enumerate(twins):
        mine = torch.nonzero(inner_fold == fold).squeeze(1)
        outputs[:, mine] = twin(summary[mine], day[mine])
    return outputs
