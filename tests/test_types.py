"""Containers move whole and keep their shapes."""

import torch

from fusion.types import Outcome, PatientBatch, Samples


def test_a_batch_moves_with_everything_inside() -> None:
    outcome = Outcome(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))
    samples = Samples(torch.ones(3, 4), torch.tensor([0, 1, 3]), torch.tensor([0, 1]))
    batch = PatientBatch(
        ("a",), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), {"rna": samples}, {"os": outcome}
    )
    moved = batch.to("meta")
    assert moved.samples["rna"].rows.device.type == "meta"
    assert moved.targets["os"].duration.device.type == "meta"
    assert moved.patient_ids == ("a",)


def test_rows_know_their_sample_also_when_one_is_empty() -> None:
    samples = Samples(torch.ones(3, 1), torch.tensor([0, 1, 1, 3]), torch.tensor([0, 1, 2]))
    assert samples.sample_of_row.tolist() == [0, 2, 2]
