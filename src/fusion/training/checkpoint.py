"""A fitted fold on disk: safetensors and JSON, written whole or not at all, never a pickle."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_model, save_model

from fusion.data.modalities.base import FittedState, Modality
from fusion.training.ensemble import Ensemble


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file to write to, which then takes the place of `path`: a killed run leaves no half of one."""
    temporary = path.with_name(path.name + ".part")
    yield temporary
    os.replace(temporary, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def save_preprocessing(folder: Path, modalities: Mapping[str, Modality], extra: Mapping[str, Any]) -> None:
    """Write what each modality learned in this fold."""
    states = {name: modality.state() for name, modality in modalities.items()}
    arrays = {
        f"{name}/{key}": np.ascontiguousarray(value) for name, s in states.items() for key, value in s.arrays.items()
    }
    save_file(arrays, folder / "preprocessing.safetensors")
    write_json(folder / "preprocessing.json", {"modalities": {n: dict(s.values) for n, s in states.items()}, **extra})


def load_preprocessing(folder: Path, modalities: Mapping[str, Modality]) -> dict[str, Any]:
    """Restore fresh modalities from a fold; returns the rest of the JSON file."""
    content = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / "preprocessing.safetensors")
    values = content.pop("modalities")
    for name, modality in modalities.items():
        if name not in values:
            raise ValueError(f"{folder} was trained without modality {name!r}; it knows {', '.join(values)}")
        mine = {key.removeprefix(f"{name}/"): a for key, a in arrays.items() if key.startswith(f"{name}/")}
        modality.restore(FittedState(values=values[name], arrays=mine))
    return content


def save_ensemble(folder: Path, ensemble: Ensemble) -> None:
    """Write the weights; the file appears once it is complete."""
    with whole(folder / "model.safetensors") as temporary:
        save_model(ensemble, str(temporary))


def load_ensemble(folder: Path, ensemble: Ensemble) -> None:
    """Load the weights into a freshly built ensemble of the same shape."""
    load_model(ensemble, str(folder / "model.safetensors"))
    ensemble.eval()
