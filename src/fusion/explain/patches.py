"""What each patch of a slide adds to the score: the slide with the patch, less the slide without it.

Network and plain models are asked together: without the patch the slide has another mean and other shares of the kinds
of patches, which the plain models read. This works with every encoder of bags. Attention says which patches an encoder
looks at, not which way they move the score; where an encoder has it, it is given beside the contribution and never in
its place.

Dimension key: R patches of a slide, S samples, T visits.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from fusion.data.modalities.bag_table import BagTable
from fusion.data.modalities.histology import Histology
from fusion.explain.feature_names import packed_sample_ids
from fusion.explain.genes_hit import bag_of
from fusion.explain.pool import Part, lay
from fusion.explain.view import FoldView
from fusion.models.encoders.gated_attention import GatedAttentionEncoder
from fusion.models.layers import segment_softmax
from fusion.models.patient_model import PatientModel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SlidePatches:
    """The patches of one patient's slide (of several at one visit, end to end).

    Attributes:
        sample_ids: The slides, in the order of their patches.
        visit: Visit at which the slide was known first, and of which the score is explained.
        contribution: By task what each patch adds, "R".
        attention: By task the share of attention of each patch, mean of the members; empty where there is none.
    """

    sample_ids: tuple[str, ...]
    visit: int
    contribution: dict[str, Floats]
    attention: dict[str, Floats]


def patch_contributions(view: FoldView, name: str, patient: int) -> SlidePatches | None:
    """Contributions of the patches of a patient's first slide; None where there is none.

    Costs as many bags as there are patches: seconds for a slide of a thousand.

    Args:
        view: The fold.
        name: A modality of bags.
        patient: Place of the patient among the held-out ones.
    """
    known = view.pool.sample_of[name][patient]
    visits = (known >= 0).nonzero().squeeze(1).tolist()
    if not visits:
        return None
    visit = int(visits[0])
    bag = bag_of(view.batch.samples[name], int(known[visit]))
    keep = ~torch.eye(len(bag), dtype=torch.bool)
    bags = [bag, *(bag[row] for row in keep)]
    count = len(bags)
    sample_ids = tuple(packed_sample_ids(view, name, patient, visit))
    part = Part(
        recipient=torch.full((count,), patient),
        replaced=(name, torch.arange(count)),
        columns=_columns(view, name, sample_ids),
        at=torch.full((count,), visit),
        visits=torch.full((count,), visit + 1),
    )
    answers = view.pool.with_bags(name, bags).answers(part)
    score = {task: answer.score[:, visit].double().numpy() for task, answer in answers.items()}
    attention = {task: share for task in score if (share := _attention(view, task, name, bag)) is not None}
    return SlidePatches(
        sample_ids=sample_ids,
        visit=visit,
        contribution={task: value[0] - value[1:] for task, value in score.items()},
        attention=attention,
    )


def _columns(view: FoldView, name: str, sample_ids: tuple[str, ...]) -> torch.Tensor | None:
    """What the plain models read of the slide, whole and without each patch; None where none answers."""
    modality = view.fitted.modalities[name]
    if view.batch.summary is None or not isinstance(modality, Histology):
        return None
    table, detail = cast(BagTable, view.tables[name]), view.fitted.ensemble.plan.detail
    return torch.from_numpy(modality.without_each_patch(table, sample_ids, detail=detail))


@torch.no_grad()
def _attention(view: FoldView, task: str, name: str, bag: torch.Tensor) -> Floats | None:
    """Share of attention of every patch, where the encoder has it."""
    shares = []
    for member in view.fitted.ensemble.members_of(task):
        encoder = cast(PatientModel, member).encoders[name]
        if not isinstance(encoder, GatedAttentionEncoder):
            return None
        score = encoder.attention(encoder.project(bag))
        shares.append(segment_softmax(score, lay([bag]).sample_of_row, 1)[:, 0])
    return np.asarray(torch.stack(shares).mean(dim=0).double().numpy())
