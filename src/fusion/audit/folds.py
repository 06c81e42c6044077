"""What saved models say of their training: at which epoch it stopped, and how well they know their own patients."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fusion.audit.finding import Finding, judged
from fusion.audit.ranks import baseline_rows, rank_of
from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay, pack_cohort
from fusion.data.splits import Split
from fusion.training.fold import FittedFold, Recipe, load_fold
from fusion.training.inner_folds import held_out_outputs

#: Single precision, and sums over patients in another order, allow so much between two values of one loss.
LOSS_TOLERANCE = 1e-3
#: A C-index so much higher on the training patients is worth a word.
WIDE_GAP = 0.2


@dataclass(frozen=True)
class SavedFold:
    """A fold on disk: its split, its folder, what made it, and what predicts for it."""

    split: Split
    folder: Path
    recipe: Recipe
    fitted: FittedFold

    @property
    def inside(self) -> list[str]:
        """Patients that it was fitted on, for whatever purpose."""
        return sorted((*self.split.train, *self.split.val))

    @property
    def inner_fold(self) -> Mapping[str, int]:
        """Inner fold by patient, as it was saved."""
        return _inner_fold(self.folder)


def _inner_fold(folder: Path) -> Mapping[str, int]:
    content: Mapping[str, Any] = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    return content.get("inner_fold", {})


def open_folds(folder: Path, splits: Sequence[Split], recipe_of: Callable[[Path], Recipe]) -> list[SavedFold]:
    """The fitted folds of a run.

    Args:
        folder: Run folder.
        splits: Its splits.
        recipe_of: The recipe by which the fold of a folder was made.

    Raises:
        ValueError: The models of a fold are not there, or are of another version of the code.
    """
    folds = []
    for split in splits:
        place = folder / f"fold_{split.repeat}_{split.fold}"
        if not (place / "model.safetensors").is_file():
            raise ValueError(f"{place} holds no model: an audit needs the whole run folder; train it anew")
        recipe = recipe_of(place)
        try:
            folds.append(SavedFold(split, place, recipe, load_fold(place, recipe)))
        except RuntimeError as error:  # a message of many lines, with the names of all weights
            raise ValueError(
                f"{place}: the weights do not fit this version of the code; train anew, or audit with the version that "
                "manifest.json names"
            ) from error
    return folds


def epochs_are_chosen_inside(folds: Sequence[SavedFold], cohort: Cohort, tables: Mapping[str, object]) -> Finding:
    """Rule 9, second half: the saved weights are those that were best on the patients whom each member left out.

    Their loss on these patients is worked out anew and compared with the least of the log.

    Args:
        folds: Folds of the run.
        cohort: The cohort.
        tables: Table of every modality.
    """
    faults, compared = [], 0
    for fold in folds:
        log = pd.read_csv(fold.folder / "metrics.csv")
        for task, loss in _held_out_losses(fold, cohort, tables).items():
            if f"val/{task}" not in log:
                continue
            least = float(log[f"val/{task}"].min())
            compared += 1
            if abs(loss - least) > LOSS_TOLERANCE * max(1.0, abs(least)):
                faults.append(f"{fold.folder.name}, {task}: saved weights have {loss:.4f}, the least is {least:.4f}")
    rule = "Rule 9: the epoch was chosen on inner folds"
    if not compared:
        return Finding(rule, "not applicable", "no task has a loss that can be worked out anew from the saved weights")
    return judged(
        rule,
        faults,
        f"{compared} losses on inner folds worked out anew from the saved weights are the least of their log",
        "choose the epoch by the loss of inner folds alone, and train anew",
    )


@torch.no_grad()
def _held_out_losses(fold: SavedFold, cohort: Cohort, tables: Mapping[str, object]) -> dict[str, float]:
    """Loss of every task over the training patients, each answered by the member that left it out.

    By the losses as they were in training: levels that were fitted around the outputs afterwards would flatter them. A
    network that learned a residual is left out, as what plain models said of left-out patients is not saved.
    """
    ensemble = fold.fitted.ensemble
    tasks = [task for task in fold.recipe.task_weights if not (ensemble.plan.residual and task in ensemble.anchors)]
    assays = {name: Assay(modality, tables[name]) for name, modality in fold.fitted.modalities.items()}
    batch = pack_cohort(cohort, assays, fold.inside, tasks)
    inner = torch.tensor([fold.inner_fold.get(patient, ensemble.num_members) for patient in batch.patient_ids])
    share = (inner < ensemble.num_members).to(batch.day.dtype)
    losses, found = fold.recipe.make_losses(), {}
    for task in tasks:
        weight = ensemble.weights_of(batch, task)
        loss: Any = losses[task]  # of the kind that the target demands
        loss.prepare(batch.targets[task], weight)
        outputs = held_out_outputs(ensemble.members_of(task), batch, inner)[task]
        found[task] = float(loss(outputs, batch.targets[task], weight * share[:, None]))
    return found


def training_gap(
    folds: Sequence[SavedFold], predictions: pd.DataFrame, cohort: Cohort, tables: Mapping[str, object]
) -> Finding:
    """How much better a model ranks the patients that it was trained on: a wide gap is over-fitting, no leak.

    Args:
        folds: Folds of the run.
        predictions: `predictions.parquet` of the run.
        cohort: The cohort.
        tables: Table of every modality.
    """
    frames: list[pd.DataFrame] = []
    for fold in folds:
        rows = fold.fitted.predict(cohort, tables, fold.inside, fold.recipe.times)
        # Every fold's model is a repeat of its own: a patient trains several.
        frames.append(rows.assign(repeat=len(frames), fold=0))
    training = pd.concat(frames, ignore_index=True)
    faults, good = [], []
    for task in training["task"].unique():
        inside, outside = (
            rank_of(baseline_rows(table, str(task)), resamples=0).value for table in (training, predictions)
        )
        if not np.isfinite(inside - outside):
            continue
        text = f"{task}: {inside:.3f} on training patients, {outside:.3f} on held-out ones"
        good.append(text)
        faults += [text] if inside - outside > WIDE_GAP else []
    return judged(
        "Training patients are not ranked much better than held-out ones",
        faults,
        "; ".join(good),
        "regularise more, or use fewer features; the held-out figures stand",
        bad="warn",
    )
