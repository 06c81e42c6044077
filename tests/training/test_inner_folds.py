"""A model is asked about large patients a few at a time, with the same answers."""

import pytest
import torch
from aids import make_batch, make_model
from torch import nn

import fusion.training.inner_folds
from fusion.training.inner_folds import held_out_outputs, numbers_of, outputs_of_all, pieces


def test_numbers_of_patients_are_all_that_lies_in_their_rows() -> None:
    batch = make_batch(9, seed=1)
    numbers = numbers_of(batch)
    assert int(numbers.sum()) == sum(samples.rows.numel() for samples in batch.samples.values())
    first = {name: samples.slot < batch.num_visits for name, samples in batch.samples.items()}
    expected = sum(
        int(samples.offsets.diff()[first[name]].sum()) * samples.rows.shape[1]
        for name, samples in batch.samples.items()
    )
    assert int(numbers[0]) == expected


@pytest.mark.parametrize("most", [1, 40, 10_000_000])
def test_answers_in_pieces_are_those_of_all_at_once(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, members = make_batch(12, seed=1), nn.ModuleList(make_model(seed=seed).eval() for seed in range(2))
    inner = torch.arange(12) % 3  # nobody leaves the last third out
    with torch.no_grad():
        expected = [member(batch) for member in members]
        monkeypatch.setattr(fusion.training.inner_folds, "MOST_NUMBERS", most)
        parts = pieces(batch, torch.arange(12))
        assert torch.equal(torch.cat(parts), torch.arange(12))
        assert len(parts) == 1 if most > 1000 else len(parts) > 1
        found, held_out = outputs_of_all(members, batch), held_out_outputs(members, batch, inner)
    for task in expected[0]:
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one[task], other[task])
        for place, member in enumerate(inner.tolist()):
            right = expected[member][task][place] if member < 2 else torch.zeros_like(expected[0][task][place])
            torch.testing.assert_close(held_out[task][place], right)


def test_nobody_is_no_piece_of_anything() -> None:
    batch = make_batch(3, seed=1)
    assert [len(part) for part in pieces(batch, torch.zeros(0, dtype=torch.long))] == [0]
