"""What is hidden at a training step: the patterns that patients have, and nothing in evaluation."""

import pytest
import torch

from fusion.models.modality_dropout import IndependentDropout, MatchedDropout, ModalityDropout, presence
from fusion.types import PatientBatch, Samples

NAMES = ("labs", "variants", "expression")
#: Tissue gives variants and expression together; labs are there for all but one.
PATTERNS = [[True, True, True], [True, False, False], [True, True, True], [False, True, True], [True, False, False]]


def batch_of(patterns: list[list[bool]], visits: int = 2) -> PatientBatch:
    """Patients with a sample at the last visit of every modality that their pattern names."""
    num = len(patterns)
    samples = {}
    for index, name in enumerate(NAMES):
        slot = torch.tensor([i * visits + visits - 1 for i, row in enumerate(patterns) if row[index]], dtype=torch.long)
        samples[name] = Samples(torch.zeros(len(slot), 1), torch.arange(len(slot) + 1), slot)
    day = torch.zeros(num, visits)
    return PatientBatch(tuple(map(str, range(num))), day, torch.ones(num, visits, dtype=torch.bool), samples, {})


def drawn(dropout: ModalityDropout, batch: PatientBatch) -> torch.Tensor:
    return torch.cat(list(dropout(batch, NAMES)), dim=1)


def test_presence_is_the_pattern_of_the_samples() -> None:
    assert presence(batch_of(PATTERNS), NAMES).tolist() == PATTERNS


@pytest.mark.parametrize("dropout", [IndependentDropout(rate=0.5), MatchedDropout(rate=0.5)])
def test_nothing_is_hidden_in_evaluation(dropout: ModalityDropout) -> None:
    assert drawn(dropout.eval(), batch_of(PATTERNS)).all()


def test_matched_dropout_leaves_each_patient_with_its_own_pattern_less_what_another_lacks() -> None:
    torch.manual_seed(0)
    batch, present = batch_of(PATTERNS), torch.tensor(PATTERNS)
    dropout = MatchedDropout(rate=0.9).train()
    met: list[set[tuple[bool, ...]]] = [set() for _ in PATTERNS]
    for _ in range(300):
        for left, row in zip(met, present & drawn(dropout, batch), strict=True):
            left.add(tuple(row.tolist()))
    whole, labs, tissue = (True, True, True), (True, False, False), (False, True, True)
    assert met == [{whole, labs, tissue}, {labs}, {whole, labs, tissue}, {tissue}, {labs}]
    # variants without expression, which no patient has, never occur; nor does a patient with nothing at all


def test_matched_dropout_hides_a_modality_as_often_as_others_lack_it() -> None:
    torch.manual_seed(0)
    patterns = [[True, i < 30, i < 30] for i in range(40)]
    batch, dropout = batch_of(patterns), MatchedDropout(rate=0.5).train()
    kept = torch.stack([drawn(dropout, batch)[:30] for _ in range(400)]).float()
    hidden = 1.0 - kept.mean(dim=(0, 1))
    assert hidden[0] == 0.0
    assert hidden[1] == hidden[2] == pytest.approx(0.5 * 10 / 39, abs=0.01)


@pytest.mark.parametrize("patterns", [[], [[True, False, True]]])
def test_matched_dropout_of_one_patient_or_none_hides_nothing(patterns: list[list[bool]]) -> None:
    assert drawn(MatchedDropout(rate=0.9).train(), batch_of(patterns)).all()


def test_a_rate_of_one_would_hide_all() -> None:
    with pytest.raises(ValueError, match="below 1"):
        IndependentDropout(rate=1.0)
