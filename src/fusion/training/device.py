"""Where a cohort lies while a GPU trains on it: on the device when it fits, else in pinned memory, one batch ahead.

Copying a batch of 32 slides to a GPU takes some twenty times as long as the step on them, so that a cohort is copied
once if there is room. Without a GPU nothing here does anything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from fusion.types import TensorContainer

Container = TypeVar("Container", bound=TensorContainer)

#: Share of the free memory of a device that a cohort may take; the rest is for weights and what a step makes.
SHARE = 0.5


def tensors(value: object) -> Iterator[Tensor]:
    """All tensors of a container, also nested ones."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, TensorContainer):
        for field in fields(value):  # type: ignore[arg-type]
            yield from tensors(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors(item)


def num_bytes(container: TensorContainer) -> int:
    """Bytes of all tensors of a container."""
    return sum(tensor.nbytes for tensor in tensors(container))


def free_bytes(device: torch.device) -> int:
    """Free memory of a CUDA device."""
    return int(torch.cuda.mem_get_info(device)[0])


def resident(cohort: Container, device: torch.device, free: Callable[[torch.device], int] = free_bytes) -> Container:
    """The cohort on a CUDA device if it takes at most half of what is free there; else as it is."""
    if device.type != "cuda" or num_bytes(cohort) > SHARE * free(device):
        return cohort
    return cohort.to(device)


def pinned(value: Any) -> Any:
    """A copy of a batch in memory from which a GPU copies by itself, while the CPU goes on."""
    if isinstance(value, Tensor):
        return value.pin_memory()
    if isinstance(value, TensorContainer):
        return replace(value, **{f.name: pinned(getattr(value, f.name)) for f in fields(value)})  # type: ignore[arg-type,type-var]
    if isinstance(value, Mapping):
        return {key: pinned(item) for key, item in value.items()}
    return value


class Prefetched:
    """The batches of a loader on a CUDA device, each copied there while the one before is worked on.

    Args:
        loader: Gives batches in the memory of the CPU.
        device: Where they go.
    """

    def __init__(self, loader: Iterable[Any], device: torch.device) -> None:
        self.loader, self.device = loader, device

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        stream, ahead = torch.cuda.Stream(self.device), None
        for batch in self.loader:
            with torch.cuda.stream(stream):
                coming = pinned(batch).to(self.device, non_blocking=True)
            if ahead is not None:
                yield self._ready(ahead, stream)
            ahead = coming
        if ahead is not None:
            yield self._ready(ahead, stream)

    def _ready(self, batch: TensorContainer, stream: Any) -> TensorContainer:
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(stream)
        for tensor in tensors(batch):
            tensor.record_stream(current)  # its memory is not given to the next copy while it is read
        return batch


def prefetched(loader: Any, device: torch.device, cohort: object) -> Any:
    """The loader, one batch ahead of a CUDA device on which its cohort does not lie; else the loader itself."""
    if device.type != "cuda" or any(tensor.is_cuda for tensor in tensors(cohort)):
        return loader
    return Prefetched(loader, device)
