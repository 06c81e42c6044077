"""The steps of a fit: Lightning's loop over all patients at once or over batches, from the last checkpoint on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

from fusion.training.callbacks import EpochOrder
from fusion.training.device import prefetched
from fusion.training.module import EnsembleModule


def train(
    trainer: pl.Trainer,
    module: EnsembleModule,
    whole: object,
    pick: Callable[[Int[Tensor, " P"]], object],
    *,
    num_patients: int,
    batch_size: int | None,
    seed: int,
    last: Path,
) -> None:
    """Train to the end, from the last checkpoint if there is one; Ctrl-C is a KeyboardInterrupt here too.

    Args:
        trainer: Runs the loop.
        module: What is trained.
        whole: All patients, as the module takes them; validation is on them.
        pick: Some patients of `whole` likewise, by their places.
        num_patients: Patients of `whole`.
        batch_size: Patients of a step; None for all at once.
        seed: Of the order of the patients.
        last: The checkpoint.
    """
    loader: DataLoader[Any] = DataLoader([whole], batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]
    if batch_size is not None and batch_size < num_patients:
        loader = DataLoader(
            range(num_patients),  # type: ignore[arg-type]
            batch_size=batch_size,
            sampler=EpochOrder(num_patients, seed, trainer),
            generator=torch.Generator(),
            collate_fn=lambda chosen: pick(torch.tensor(chosen)),
        )
    module.everyone = whole
    try:
        trainer.fit(
            module,
            train_dataloaders=prefetched(loader, trainer.strategy.root_device, whole),
            ckpt_path=str(last) if last.exists() else None,
            weights_only=True,
        )
    except SystemExit as stopped:
        if trainer.interrupted:
            raise KeyboardInterrupt from stopped  # Lightning turns Ctrl-C into exit code 1
        raise
