"""A fitted model whose weights have been shuffled: reasons that it shares with the fitted one are not learned.

The check of Adebayo et al. (2018), "Sanity checks for saliency maps", NeurIPS 31. Numbers within a tensor change
places, so that their sizes stay and what was learned is gone, in the network and in the plain models beside it.
"""

import copy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from fusion.explain.view import FoldView
from fusion.training.anchor import Anchors
from fusion.training.ensemble import Ensemble


def shuffled_view(view: FoldView, seed: int) -> FoldView:
    """The same patients before a model with shuffled weights.

    Args:
        view: The fold.
        seed: Of the order.
    """
    return replace(view, fitted=replace(view.fitted, ensemble=shuffled(view.fitted.ensemble, seed)))


@torch.no_grad()
def shuffled(ensemble: Ensemble, seed: int) -> Ensemble:
    """A copy with the numbers of every weight in another order; preprocessing and baseline hazard stay.

    Each coefficient of a plain model also gets a sign by chance: most are positive or negative together where columns
    of one assay say the same.
    """
    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(ensemble)
    for parameter in other.members.parameters():
        parameter.copy_(_mixed(parameter, generator))
    for module in other.anchors.values():
        weight = cast(Anchors, module).weight
        for rule in weight.flatten(0, -2):
            sign = torch.randint(0, 2, rule.shape, generator=generator) * 2 - 1
            rule.copy_(_mixed(rule, generator) * sign)
    return other.eval()


def _mixed(values: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.randperm(values.numel(), generator=generator)
    return values.flatten()[order].view_as(values)
