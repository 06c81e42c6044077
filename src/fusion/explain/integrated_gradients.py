"""Integrated gradients of the columns that assays bring, through network and plain models (Sundararajan et al. 2017).

All vector assays go from the training mean to the patient's values on one straight line, and the plain models with
them; sets (variants, slides) stay as they are. So the contributions add up to the score less that of a patient who is
average in all vector assays. The plain models are linear in what they read: `coefficient x (value - mean)`.

Dimension key: B patients, T visits, S samples, F columns of a row, P columns of the summary.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusion.explain.anchor_parts import AnchorParts, anchor_parts
from fusion.explain.pool import encode_once
from fusion.explain.score import decoded
from fusion.training.ensemble import Ensemble
from fusion.types import PatientBatch, Samples


@dataclass(frozen=True)
class FeatureContributions:
    """Contributions of columns to the score of one task at every visit.

    Attributes:
        slope: By vector modality, mean slope of the score of each visit along the way, in each column of each sample.
        columns: Contribution of each column of the summary through the plain models; None where none answers.
        parts: What the plain models said, and how steeply; None where none answers.
        plain_slope: Mean slope of the score in what the plain models say, along the way.
        reference: Score of a patient who is average in all vector assays.
        output: Score.
    """

    slope: Mapping[str, Float[Tensor, "T S F"]]
    columns: Float[Tensor, "B T P"] | None
    parts: AnchorParts | None
    plain_slope: Float[Tensor, "B T"]
    reference: Float[Tensor, "B T"]
    output: Float[Tensor, "B T"]


def feature_contributions(
    ensemble: Ensemble, batch: PatientBatch, mean: Mapping[str, Float[Tensor, " F"]], steps: int = 6
) -> dict[str, FeatureContributions]:
    """Integrated gradients of every task.

    Args:
        ensemble: The fitted ensemble.
        batch: Patients, with the rows of their samples.
        mean: By vector modality, the mean row of the training part: where the way starts.
        steps: Points of the Gauss-Legendre rule along the way.
    """
    twin, samples = encode_once(ensemble, batch.samples, [name for name in batch.samples if name not in mean])
    light = replace(batch, samples=samples)
    return {task: _one_task(twin, task, light, mean, steps) for task in twin.losses}


def _one_task(
    ensemble: Ensemble, task: str, batch: PatientBatch, mean: Mapping[str, Tensor], steps: int
) -> FeatureContributions:
    parts = anchor_parts(ensemble, task, batch)
    plain = torch.zeros_like(batch.day) if parts is None else parts.parts.sum(dim=-1)
    constant = torch.zeros_like(plain) if parts is None else parts.constant
    rows = {name: batch.samples[name].rows for name in mean}
    slope = {name: torch.zeros(batch.num_visits, *value.shape) for name, value in rows.items()}
    plain_slope = torch.zeros_like(plain)
    # one direction per visit; patients do not touch each other, so that all are asked at once
    visits = int(batch.visit_mask.sum(dim=1).max())
    each_visit = torch.eye(batch.num_visits)[:visits, None] * batch.visit_mask
    points, weights = np.polynomial.legendre.leggauss(steps)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        here = {n: (mean[n] + float(point) * (x - mean[n])).requires_grad_() for n, x in rows.items()}
        said = (float(point) * plain).requires_grad_()
        score = _score(ensemble, task, _with_rows(batch, here), constant + said)
        (steep,) = torch.autograd.grad(score[batch.visit_mask].sum(), said, retain_graph=True, allow_unused=True)
        plain_slope += float(weight) * (torch.zeros_like(said) if steep is None else steep)
        found = torch.autograd.grad(
            score, list(here.values()), grad_outputs=each_visit, is_grads_batched=True, allow_unused=True
        )
        for name, gradient in zip(here, found, strict=True):
            slope[name][: len(each_visit)] += 0.0 if gradient is None else float(weight) * gradient
    with torch.no_grad():
        average = {name: mean[name].expand_as(value) for name, value in rows.items()}
        return FeatureContributions(
            slope=slope,
            columns=None if parts is None else plain_slope[..., None] * parts.parts,
            parts=parts,
            plain_slope=plain_slope,
            reference=_score(ensemble, task, _with_rows(batch, average), constant),
            output=_score(ensemble, task, batch, constant + plain),
        )


def _with_rows(batch: PatientBatch, rows: Mapping[str, Tensor]) -> PatientBatch:
    moved: dict[str, Samples] = {name: replace(batch.samples[name], rows=value) for name, value in rows.items()}
    return replace(batch, samples={**batch.samples, **moved})


def _score(ensemble: Ensemble, task: str, batch: PatientBatch, plain: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Score of a task when the plain models say `plain`."""
    members = ensemble.members_of(task)
    network = torch.stack([member(batch)[task] for member in members]).mean(dim=0)
    outputs = network * getattr(ensemble, f"scale_{task}")
    if task in ensemble.anchors:
        outputs = outputs + ensemble.loss_of(task).direction * plain[..., None]
    return decoded(ensemble, task, outputs)
