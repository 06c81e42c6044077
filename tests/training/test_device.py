"""Where a cohort lies while a GPU trains on it. The copies themselves need a GPU: `pytest -m gpu`."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fusion.training.device import Prefetched, num_bytes, pinned, prefetched, resident, tensors
from fusion.types import Outcome, PatientBatch, Samples

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def make_batch(patients: int = 3) -> PatientBatch:
    known = torch.ones(patients, 1, dtype=torch.bool)
    outcome = Outcome(duration=torch.ones(patients, 1), event=known, at_risk=known)
    slide = Samples(torch.randn(2 * patients, 4), 2 * torch.arange(patients + 1), torch.arange(patients))
    return PatientBatch(
        tuple(map(str, range(patients))), torch.zeros(patients, 1), known, {"slide": slide}, {"os": outcome}
    )


def test_every_tensor_is_counted() -> None:
    batch = make_batch()
    assert len(list(tensors(batch))) == 8
    assert num_bytes(batch) == 12 + 3 + 4 * 24 + 8 * 4 + 8 * 3 + 12 + 3 + 3


@pytest.mark.parametrize(("free", "moves"), [(2.5, True), (1.5, False)])
def test_a_cohort_moves_where_it_takes_at_most_half(free: float, moves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, moved = make_batch(), make_batch()
    monkeypatch.setattr(PatientBatch, "to", lambda self, device: moved)
    found: Any = resident(batch, GPU, lambda device: int(free * num_bytes(batch)))
    assert found is (moved if moves else batch)
    assert resident(batch, CPU) is batch


def test_without_a_gpu_the_loader_stays_as_it_is() -> None:
    loader = [make_batch()]
    assert prefetched(loader, CPU, loader[0]) is loader
    assert isinstance(prefetched(loader, GPU, loader[0]), Prefetched)


def test_batches_come_in_order_one_copied_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of things, with the GPU's part left out."""
    log: list[str] = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda one: torch.no_grad())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: stream)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: None)
    monkeypatch.setattr(
        PatientBatch, "to", lambda self, device, non_blocking: log.append(f"copy {len(self.patient_ids)}") or self
    )
    loader = Prefetched([make_batch(size) for size in (1, 2, 3)], GPU)
    for batch in loader:
        log.append(f"step {batch.num_patients}")
    assert log == ["copy 1", "copy 2", "step 1", "copy 3", "step 2", "step 3"]
    assert len(loader) == 3


@pytest.mark.gpu
def test_on_a_gpu_the_batches_are_the_same() -> None:
    batches = [make_batch(size) for size in (1, 2, 3)]
    for found, batch in zip(Prefetched(batches, GPU), batches, strict=True):
        for one, other in zip(tensors(found), tensors(batch), strict=True):
            assert one.is_cuda
            assert torch.equal(one.cpu(), other)
    near = resident(replace(batches[0]), GPU)
    assert all(tensor.is_cuda for tensor in tensors(near))
    assert all(tensor.is_pinned() for tensor in tensors(pinned(batches[0])))
