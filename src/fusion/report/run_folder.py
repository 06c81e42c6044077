"""Reads a run folder: the only input of the report. What a run does not have comes as None or as an empty table."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.scorer import FUSION, FUSION_AT_BASELINE, HELD_TO_LESS

#: The task that is a class, not a time.
RESPONSE = "response"


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, the p value where it is a difference, and what the metrics note about it."""

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Run:
    """All files of a run folder that the report reads.

    Attributes:
        manifest: `manifest.json`.
        qc: `qc.json`; empty where absent.
        scores: `metrics.json` below `task`; empty where absent.
        predictions: Held-out predictions of the fused model.
        baselines: The same of every baseline with its `model`; empty where absent.
        splits: `repeat`, `fold`, `patient_id`, `part`; empty where absent.
        curves: Loss by `repeat`, `fold`, `epoch` and `part` (train, val); empty where absent.
        drawn: `metrics.json` below `curves`: scores along an axis, by task; empty where absent.
        subgroups: `metrics.json` below `subgroups`: figures by task, covariate and level; empty where absent.
        corrected: `metrics.json` below `bootstrap_632`: figures by task and model; empty where absent.
        weights: Trained numbers of one network, or None where no model is in the folder.
        audit: `audit.json`; empty where absent.
    """

    manifest: Mapping[str, Any]
    qc: Mapping[str, Any]
    scores: Mapping[str, Any]
    predictions: pd.DataFrame
    baselines: pd.DataFrame
    splits: pd.DataFrame
    curves: pd.DataFrame
    drawn: Mapping[str, Any]
    subgroups: Mapping[str, Any]
    corrected: Mapping[str, Any]
    weights: int | None
    audit: Mapping[str, Any] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """True where the cohort never was: only a simulator knows the truth."""
        return bool(self.manifest.get("oracle"))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Time-to-event tasks, in the order of the manifest."""
        known = [*self.manifest.get("tasks", []), *self.predictions["task"].unique(), *self.scores]
        return tuple(dict.fromkeys(task for task in known if task != RESPONSE))

    @property
    def has_response(self) -> bool:
        """True where objective response was predicted."""
        return RESPONSE in self.scores or bool((self.predictions["task"] == RESPONSE).any())

    @property
    def survival_times(self) -> NDArray[np.float64]:
        """Days of the grid of predicted survival curves."""
        columns = [name for name in self.predictions.columns if re.fullmatch(r"survival_\d+(\.\d+)?", str(name))]
        return np.array(sorted(float(name.removeprefix("survival_")) for name in columns), dtype=np.float64)

    def landmarks(self, task: str) -> tuple[float, ...]:
        """Days after baseline at which a task was scored again."""
        return tuple(sorted(float(day) for day in self.scores.get(task, {}).get("landmark", {})))

    def models(self, task: str) -> tuple[str, ...]:
        """Models scored on a task at any visit, ours first."""
        scored = self.scores.get(task, {})
        groups = [scored.get("model", {}), *scored.get("landmark", {}).values()]
        names = dict.fromkeys(name for group in groups for name in group if name != "compare")
        shown = [name for name in names if not name.startswith(HELD_TO_LESS)]
        return tuple(sorted(shown, key=lambda name: (name != FUSION, name != FUSION_AT_BASELINE)))

    def held_to_less(self, task: str) -> tuple[str, ...]:
        """Our model held to less than was known at a landmark: baseline, the visit before, old samples of an assay."""
        groups = self.scores.get(task, {}).get("landmark", {}).values()
        return tuple(dict.fromkeys(n for g in groups for n in g if n.startswith((FUSION_AT_BASELINE, *HELD_TO_LESS))))

    def baseline_models(self, task: str) -> tuple[str, ...]:
        """Plain models scored on a task."""
        return tuple(model for model in self.models(task) if model not in (FUSION, FUSION_AT_BASELINE))

    def estimate(self, task: str, model: str, metric: str, landmark: float | None = None) -> Estimate | None:
        """A figure of `metrics.json`, or None where it was not scored; `metric` may be `auc/180`."""
        found: Any = self._level(task, landmark).get(model, {})
        for key in metric.split("/"):
            found = found.get(key) if isinstance(found, Mapping) else None
        return as_estimate(found)

    def gain(self, task: str, model: str, metric: str, landmark: float | None = None) -> Estimate | None:
        """Paired difference of our model minus another."""
        scored = self.scores.get(task, {})
        compared = scored.get("compare", {}) if landmark is None else self._level(task, landmark).get("compare", {})
        return as_estimate(compared.get(f"{FUSION} - {model}", {}).get(metric))

    def best_baseline(self, task: str, metric: str, landmark: float | None = None) -> str | None:
        """The baseline with the highest figure, or None where there is no baseline."""
        figures = {
            model: found.value
            for model in self.baseline_models(task)
            if (found := self.estimate(task, model, metric, landmark)) is not None
        }
        return max(figures, key=lambda model: figures[model]) if figures else None

    def horizons(self, task: str, model: str) -> tuple[float, ...]:
        """Days at which the AUC of a model was scored at baseline."""
        return tuple(sorted(float(day) for day in self._level(task, None).get(model, {}).get("auc", {})))

    def time_lost(self, task: str) -> str | None:
        """Day up to which our model's risk groups are compared in restricted mean survival, or None."""
        return next(iter(self._level(task, None).get(FUSION, {}).get("rmst_difference", {})), None)

    def oracle(self, name: str) -> float | None:
        """A figure of the simulation's truth, or None where there is none."""
        return _number((self.manifest.get("oracle") or {}).get(name))

    def _level(self, task: str, landmark: float | None) -> Mapping[str, Any]:
        scored = self.scores.get(task, {})
        if landmark is None:
            return scored.get("model", {})
        return next((group for day, group in scored.get("landmark", {}).items() if float(day) == landmark), {})

    def drawn_figures(self, *keys: str) -> dict[str, Estimate]:
        """Figures of `drawn` below these keys, by name, as far as they are defined."""
        found: Any = self.drawn
        for key in keys:
            found = found.get(key, {})
        figures = {name: as_estimate(figure) for name, figure in found.items()}
        return {name: figure for name, figure in figures.items() if figure is not None}

    def line(self, *keys: str) -> list[tuple[float, Estimate]]:
        """Places on the axis of a curve, and the figure at each."""
        return [(float(place), figure) for place, figure in self.drawn_figures(*keys).items()]

    def at_visit(self, task: str, visit: int = 0, repeat: int = 0) -> pd.DataFrame:
        """Held-out rows of one visit and repeat of patients still at risk; one row per patient."""
        table = self.predictions
        rows = table[(table["task"] == task) & (table["visit"] == visit) & (table["repeat"] == repeat)]
        rows = rows[rows["at_risk"].astype(bool)]
        return rows.assign(event=rows["event"].astype(bool))


def _number(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return number if math.isfinite(number) else None


def as_estimate(found: object) -> Estimate | None:
    """A figure as `fusion.metrics` writes it, or None where it is undefined."""
    if not isinstance(found, Mapping):
        found = {"value": found}
    value = _number(found.get("value"))
    if value is None:
        return None
    low, high, p = (_number(found.get(name)) for name in ("low", "high", "p"))
    return Estimate(value=value, low=low, high=high, p=p, note=str(found.get("note") or ""))


def only_estimate(found: object) -> Estimate | None:
    """A figure, or the one of the only horizon that it was scored at."""
    if isinstance(found, Mapping) and "value" not in found and len(found) == 1:
        return as_estimate(next(iter(found.values())))
    return as_estimate(found)


def read_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        ValueError: The folder has no manifest or no predictions.
    """
    for name in ("manifest.json", "predictions.parquet"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}: finish the run first, `train.py ... resume={folder}`")
    metrics, manifest = read_json(folder / "metrics.json"), read_json(folder / "manifest.json")
    return Run(
        manifest=manifest,
        qc=read_json(folder / "qc.json"),
        audit=read_json(folder / "audit.json"),
        scores=metrics.get("task", {}),
        predictions=pd.read_parquet(folder / "predictions.parquet"),
        baselines=_read_table(folder / "baselines.parquet"),
        splits=_read_table(folder / "splits.csv"),
        curves=_read_curves(folder),
        drawn=metrics.get("curves", {}),
        subgroups=metrics.get("subgroups", {}),
        corrected=metrics.get("bootstrap_632", {}),
        weights=_count_weights(folder, int(manifest.get("members") or 1)),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run folder; empty where there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _count_weights(folder: Path, members: int) -> int | None:
    """Numbers in the first fold's model, read from the head of its file alone, per member of the ensemble."""
    path = next(iter(sorted(folder.glob("fold_*_*/model.safetensors"))), None)
    if path is None:
        return None
    with path.open("rb") as stream:
        head = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    sizes = [math.prod(each["shape"]) for name, each in head.items() if name != "__metadata__"]
    return sum(sizes) // members


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame({name: [] for name in ("repeat", "fold", "patient_id", "part", "model", "task")})
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype={"patient_id": str})


def _read_curves(folder: Path) -> pd.DataFrame:
    """Mean train and validation loss of every epoch; a logger leaves blanks where a row holds only the other."""
    frames = []
    for path in sorted(folder.glob("fold_*_*/metrics.csv")):
        repeat, fold = path.parent.name.removeprefix("fold_").split("_")
        table = pd.read_csv(path)
        for part in ("train", "val"):
            column = next((name for name in table.columns if re.fullmatch(rf"{part}[_/]?loss(_epoch)?", name)), None)
            if column is None or "epoch" not in table:
                continue
            loss = table.dropna(subset=[column]).groupby("epoch")[column].mean()
            frames.append(
                pd.DataFrame(
                    {
                        "repeat": int(repeat),
                        "fold": int(fold),
                        "part": part,
                        "epoch": loss.index.to_numpy(),
                        "loss": loss.to_numpy(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["repeat", "fold", "part"])
