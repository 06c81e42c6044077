"""Co-attention over every patch: the tokens of one assay ask, the patches of a slide answer (MCAT; Chen et al. 2021).

A building block, not an option of the configuration: `PatientModel` encodes each assay by itself, so that an assay can
be missing, hidden, or come later without a slide being read anew; its `fusion: co_attention` asks the few tokens into
which a slide's encoder has put it. Where all patients have both assays at once, this one reads the slide itself.

Dimension key: R patches, F features of a patch, S samples, L questions of a sample, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fusion.models.bag_rows import RowDropout, by_sample, read_bags
from fusion.models.patch_reading import project_and_read
from fusion.types import Samples


class PatchCoAttention(nn.Module):
    """Single-head attention from the questions of each sample to its projected patches, keys and values absorbed.

    `query . W_k h = (W_k' query) . h`, and values are projected after pooling: beside the projection of the patches
    only 2 L numbers are computed for each. Equal to `nn.MultiheadAttention` with one head, patient by patient.

    Args:
        num_features: Width of a patch embedding.
        dim: Width of a question and of an answer.
        patch_dropout: Share of patches left out at each training step, in place of dropout over their elements.
    """

    def __init__(self, *, num_features: int, dim: int, patch_dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = RowDropout(patch_dropout)
        self.project = nn.Linear(num_features, dim)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)  # a bias adds the same to all scores of a question
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, samples: Samples, question: Float[Tensor, "S L D"]) -> Float[Tensor, "S L D"]:
        """One answer per question; an empty bag answers nothing but the biases."""
        rows_RF, segment_R = self.drop(samples)
        asked_SLD = self.query(question) @ self.key.weight / question.shape[-1] ** 0.5
        if by_sample(rows_RF.shape[0] * question[0:1].numel(), len(question), rows_RF.device):
            counts = segment_R.bincount(minlength=len(question)).tolist()
            read_SLD = project_and_read(rows_RF, self.project.weight, self.project.bias, asked_SLD, counts)
        else:
            read_SLD = read_bags(asked_SLD, torch.relu_(self.project(rows_RF)), segment_R)
        return self.out(self.value(read_SLD))
