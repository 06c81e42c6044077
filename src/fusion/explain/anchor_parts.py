"""What the plain linear models say, column by column of the table that they read: exact, since they are linear.

Dimension key: B patients, T visits, P columns of the table, K plain models.
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from fusion.baselines.design import CLIP
from fusion.training.anchor import FIRST_VISIT, Anchors
from fusion.training.ensemble import Ensemble, summary_of
from fusion.types import PatientBatch


@dataclass(frozen=True)
class AnchorParts:
    """The weighted sum of the plain models, before the direction of the loss: `constant + parts.sum(-1)`.

    Attributes:
        constant: What is said of a patient who is at the training mean of every column.
        parts: `coefficient x (value - mean)` of each column, its indicator of a gap included.
        slope: What one unit more of the column would add; zero where it is blank or clipped.
    """

    constant: Float[Tensor, "B T"]
    parts: Float[Tensor, "B T P"]
    slope: Float[Tensor, "B T P"]


def anchor_parts(ensemble: Ensemble, task: str, batch: PatientBatch) -> AnchorParts | None:
    """Contributions of the columns to what the plain models of a task say; None where none answers.

    Args:
        ensemble: The fitted ensemble.
        task: The task.
        batch: Patients packed with `summary`.
    """
    if task not in ensemble.anchors:
        return None
    anchors = cast(Anchors, ensemble.anchors[task])
    summary, day = summary_of(batch), batch.day
    elapsed_BT = day - day[:, :1]
    constant, parts, slope = torch.zeros_like(day), torch.zeros_like(summary), torch.zeros_like(summary)
    blend_2K = getattr(ensemble, f"blend_{task}")
    for place, anchor in enumerate(anchors.models):
        source = summary[:, :1].expand_as(summary) if isinstance(anchor.model, FIRST_VISIT) else summary
        weight_BT = torch.full_like(day, float(blend_2K[1, place]))
        weight_BT[:, 0] = blend_2K[0, place]
        level, said, steep = (torch.zeros_like(value) for value in (day, summary, summary))
        for landmark, start in enumerate(anchors.day[place].tolist()):
            serves_BT = elapsed_BT >= start
            if serves_BT.any():
                one, each, per_unit = _rule(anchors, place, landmark, source)
                level = torch.where(serves_BT, one, level)
                said = torch.where(serves_BT[..., None], each, said)
                steep = torch.where(serves_BT[..., None], per_unit, steep)
        constant += weight_BT * (level - anchors.centre[place])
        parts += weight_BT[..., None] * said
        slope += weight_BT[..., None] * steep
    return AnchorParts(constant=constant, parts=parts, slope=slope)


def _rule(
    anchors: Anchors, place: int, landmark: int, source: Float[Tensor, "B T P"]
) -> tuple[Tensor, Float[Tensor, "B T P"], Float[Tensor, "B T P"]]:
    """Level, contribution of each column, and slope of one landmark of one plain model."""
    level, median, mean, scale, weight = (
        getattr(anchors, name)[place, landmark] for name in ("level", "median", "mean", "scale", "weight")
    )
    gap = source.isnan()
    design = torch.cat([torch.where(gap, median, source), gap.to(source)], dim=-1)
    units = (design - mean) / scale
    value, indicator = (units.clamp(-CLIP, CLIP) * weight).chunk(2, dim=-1)
    width = source.shape[-1]
    free = ~gap & (units[..., :width].abs() < CLIP)
    return level, value + indicator, torch.where(free, weight[:width] / scale[:width], 0.0)
