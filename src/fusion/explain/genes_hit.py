"""What each mutated gene of a patient adds: taken away from the rest, and put in alone.

A gene is hit or not, and there is no straight line between. So the score is asked with the gene's variants taken out
of all, and with them put in when no other gene is hit, and the two differences are averaged. Where genes act alone or
in pairs this is the Shapley value of the gene; products of three and more are shared only roughly.

Dimension key: B patients, T visits, G genes of the vocabulary, N patients put together, R rows, F columns.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fusion.data.modalities.variants import BURDEN_GENE, Variants
from fusion.explain.feature_names import NamedValues
from fusion.explain.pool import Part
from fusion.explain.view import FoldView
from fusion.types import Samples


def bag_of(samples: Samples, sample: int) -> Float[Tensor, "R F"]:
    """Rows of one sample."""
    return samples.rows[int(samples.offsets[sample]) : int(samples.offsets[sample + 1])]


@dataclass(frozen=True)
class _Hit:
    """A gene of a sample, and where its four bags lie: all, none, without it, it alone."""

    patient: int
    gene: int
    bags: tuple[int, int, int, int]


def gene_contributions(view: FoldView, name: str) -> dict[str, NamedValues]:
    """Contributions of mutated genes to the score of the network, by task; what plain models say is not in them.

    Args:
        view: The fold.
        name: A modality of variants.
    """
    modality = cast(Variants, view.fitted.modalities[name])
    samples, num_visits = view.batch.samples[name], view.batch.num_visits
    bags: list[Tensor] = []
    hits: list[_Hit] = []
    slots: list[int] = []
    for sample, slot in enumerate(samples.slot.tolist()):
        if slot // num_visits >= len(view.held_out):
            break  # held-out patients come first
        bag, whole = bag_of(samples, sample), len(bags)
        gene_R = bag[:, 0].long()
        burden = gene_R <= BURDEN_GENE  # and genes outside the vocabulary, which have no name
        bags += [bag, bag[burden]]
        for gene in gene_R[~burden].unique().tolist():
            hits.append(_Hit(slot // num_visits, gene - BURDEN_GENE - 1, (whole, whole + 1, len(bags), len(bags) + 1)))
            bags += [bag[gene_R != gene], bag[burden | (gene_R == gene)]]
        slots += [slot] * (len(bags) - whole)
    values = {task: np.zeros((len(view.held_out), num_visits, len(modality.genes))) for task in view.tasks}
    if hits:
        slot_N = torch.tensor(slots)
        part = Part(recipient=slot_N // num_visits, replaced=(name, torch.arange(len(bags))), at=slot_N % num_visits)
        for task, answer in view.pool.with_bags(name, bags).answers(part).items():
            score = answer.score.double().numpy()
            for hit in hits:
                whole, none, without, alone = hit.bags
                values[task][hit.patient, :, hit.gene] += 0.5 * (
                    score[whole] - score[without] + score[alone] - score[none]
                )
    mask = view.held_out_batch.visit_mask.numpy()[..., None]
    return {task: NamedValues(modality.genes, value * mask) for task, value in values.items()}
