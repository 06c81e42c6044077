"""Outputs of each modality alone: from its own tokens, where it has been seen, and nowhere else."""

import torch
from torch import nn

from fusion.models.modality_outputs import modality_outputs, pooled_tokens
from fusion.types import Tokens

MASK = torch.tensor([[True, True], [True, False]])  # three real visits


def make_tokens() -> Tokens:
    """Two tokens of the first modality, one of the second, which the first visit has not seen."""
    generator = torch.Generator().manual_seed(0)
    seen = torch.tensor([[True, True, False], [True, True, True], [False, False, True]])
    values = torch.randn(3, 3, 4, generator=generator) * seen[..., None]
    return Tokens(values=values, mask=seen, modality=torch.tensor([0, 0, 1]))


def test_pooled_tokens_are_the_sum_of_each_modality() -> None:
    tokens = make_tokens()
    pooled, seen = pooled_tokens(tokens, 2)
    for visit in range(3):
        for modality in range(2):
            own = [tokens.values[visit, m] for m in range(3) if tokens.modality[m] == modality]
            torch.testing.assert_close(pooled[visit, modality], torch.stack(own).sum(dim=0))
    assert seen.tolist() == [[True, False], [True, True], [False, True]]


def test_each_modality_speaks_for_itself_where_it_has_been_seen() -> None:
    torch.manual_seed(0)
    heads = {name: {"os": nn.Linear(4, 1), "pfs": nn.Linear(4, 3)} for name in ("labs", "histology")}
    tokens = make_tokens()
    alone = modality_outputs(tokens, MASK, heads)
    assert alone.seen["labs"].tolist() == [[True, True], [False, False]]
    assert alone.seen["histology"].tolist() == [[False, True], [True, False]]
    for name, by_task in alone.outputs.items():
        for task, output in by_task.items():
            assert (output[~alone.seen[name]] == 0).all()
            assert (output[alone.seen[name]] != 0).all()
            assert output.shape == (2, 2, {"os": 1, "pfs": 3}[task])
    expected = heads["labs"]["os"](tokens.values[1, :2].sum(dim=0))
    torch.testing.assert_close(alone.outputs["labs"]["os"][0, 1], expected)
