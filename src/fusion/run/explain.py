"""`explain`: why a run said what it said of its held-out patients, and what a missing assay would be worth."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fusion.build import plain
from fusion.data.bags import find_bag, read_bag
from fusion.data.dataset import load_tables
from fusion.data.modalities.bag_table import chosen_patches
from fusion.data.modalities.histology import Histology
from fusion.explain.importance import Permuted, importance, permuted_scores
from fusion.explain.modality_values import modality_values
from fusion.explain.next_assay import assay_table, next_assay, reveal
from fusion.explain.patches import SlidePatches, patch_contributions
from fusion.explain.slide_picture import slide_picture
from fusion.explain.tables import feature_tables, modality_table, pooled, visit_table
from fusion.explain.view import FoldView, open_view
from fusion.explain.visit_values import visit_values
from fusion.explain.words import reasons_in_words
from fusion.run.audit import open_study
from fusion.run.console import console
from fusion.run.monitor import monitor_run
from fusion.training.checkpoint import write_json
from fusion.training.fold import load_fold


@dataclass
class _Found:
    """Tables of all folds so far, by name, and what is scored at the end."""

    tables: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    permuted: dict[tuple[int, int], Permuted] = field(default_factory=dict)

    def add(self, name: str, table: pd.DataFrame, repeat: int, fold: int) -> None:
        table = table.copy()
        table.insert(0, "repeat", repeat)
        table.insert(1, "fold", fold)
        self.tables.setdefault(name, []).append(table)

    def table(self, name: str) -> pd.DataFrame:
        frames = self.tables.get(name, [])
        some = [frame for frame in frames if len(frame)] or frames[:1]  # an empty table has its columns too
        return pd.concat(some, ignore_index=True) if some else pd.DataFrame()


def explain(config: DictConfig) -> int:
    """Write the contributions of modalities, visits, features and patches of held-out patients into the run folder."""
    wanted = plain(config)
    patient = None if wanted["patient"] is None else str(wanted["patient"])
    study = open_study(Path(wanted["run"]), wanted["data"]["path"])
    tasks = _tasks(wanted.get("tasks"), tuple(study.recipe.task_weights))
    tables = load_tables(study.cohort, study.recipe.make_modalities())
    found = _Found()
    with console.status("reading") as status:
        for split in _chosen(study.splits, patient, wanted["repeats"]):
            place = study.folder / f"fold_{split.repeat}_{split.fold}"
            status.update(f"explaining {place.name}")
            fitted = load_fold(place, study.recipe_of(place))
            held_out = split.test if patient is None else (patient,)
            view = open_view(fitted, study.cohort, tables, held_out, sorted((*split.train, *split.val)))
            _explain_fold(view, (split.repeat, split.fold), tasks, wanted, found, whole=patient is None)
    folder = study.folder / "explain" / ("" if patient is None else f"patient_{_digest(patient)}")
    landmarks = study.metrics["settings"]["landmarks"][:1]
    _write(folder, found, tasks, wanted, None if patient is not None else (study.predictions, landmarks))
    if patient is None:
        _print(found, tasks)
    else:
        _say(found, patient)
    console.print(f"wrote {escape(str(folder))}")
    if (study.folder / "report" / "monitor.html").is_file():  # it shows them
        console.print(f"patients: {monitor_run(study.folder)}", markup=False, soft_wrap=True)
    return 0


def _digest(text: str) -> str:
    """A name for a file: ids come from data and are never used as paths."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tasks(wanted: Mapping[str, Any] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Tasks of the run, or those named by `task=`, which the config holds as it does for training."""
    unknown = [task for task in wanted or () if task not in known]
    if unknown:
        raise ValueError(f"this run has no task {', '.join(unknown)}; it has {', '.join(known)}")
    return tuple(wanted or known)


def _chosen(splits: Sequence[Any], patient: str | None, repeats: int | None) -> list[Any]:
    """Folds of the first repeats, or those that hold the patient out."""
    first = sorted({split.repeat for split in splits})[: repeats or None]
    kept = [split for split in splits if split.repeat in first and (patient is None or patient in split.test)]
    if not kept:
        raise ValueError(f"patient {patient!r} is held out in no fold of this run; name one of predictions.parquet")
    return kept


def _explain_fold(
    view: FoldView,
    key: tuple[int, int],
    tasks: Sequence[str],
    wanted: Mapping[str, Any],
    found: _Found,
    *,
    whole: bool,
) -> None:
    values = modality_values(view.pool, view.patients)
    found.add("modalities", modality_table(view, values, tasks), *key)
    found.add("visits", visit_table(view, visit_values(view.pool, view.patients, values), tasks), *key)
    features = feature_tables(view, tasks, wanted["steps"], wanted["top"])
    for name, table in {"features": features.top, "gene_sets": features.sets, "cohort": features.cohort}.items():
        found.add(name, table, *key)
    found.add("next_assay", next_assay(view, wanted["horizon"], wanted["donors"]), *key)
    if whole:
        found.add("reveal", reveal(view, wanted["horizon"], wanted["donors"]), *key)
        found.permuted[key] = permuted_scores(view, wanted["permutations"], seed=wanted["seed"])
    for number in range(min(len(view.held_out), wanted["slides"] if whole else 1)):
        for name, modality in view.fitted.modalities.items():
            if isinstance(modality, Histology):
                slide = patch_contributions(view, name, number)
                if slide is not None:
                    found.add("patches", _patch_table(view, modality, number, slide, tasks), *key)


def _patch_table(
    view: FoldView, modality: Histology, number: int, slide: SlidePatches, tasks: Sequence[str]
) -> pd.DataFrame:
    """A row per patch and task: where it lies, what it adds, and its share of attention where there is any."""
    frames = []
    for sample in slide.sample_ids:
        path = find_bag(view.cohort.folder / modality.assay, sample)
        if path is None:
            continue
        bag = read_bag(path)
        chosen = chosen_patches(sample, len(bag.features), modality.max_patches)
        places = np.full((len(chosen), 2), np.nan) if bag.coords is None else bag.coords[chosen]
        columns = {"sample_id": sample, "patch": chosen, "x": places[:, 0], "y": places[:, 1]}
        frames.append(pd.DataFrame({"patient_id": view.held_out[number], "visit": slide.visit, **columns}))
    places_of_all = pd.concat(frames, ignore_index=True)
    return pd.concat(
        [
            places_of_all.assign(
                task=task, contribution=slide.contribution[task], attention=slide.attention.get(task, np.nan)
            )
            for task in tasks
        ],
        ignore_index=True,
    )


def _write(
    folder: Path,
    found: _Found,
    tasks: Sequence[str],
    wanted: Mapping[str, Any],
    scored: tuple[pd.DataFrame, Sequence[float]] | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("modalities", "visits", "features", "gene_sets", "next_assay", "patches"):
        table = found.table(name)
        if len(table):
            if name == "patches":
                table["picture"] = table["sample_id"].map(_digest) + "_" + table["task"] + ".svg"
                _draw(folder / "slides", table)
            table.to_parquet(folder / f"{name}.parquet", index=False)
    if scored is None:
        return
    pooled(found.table("cohort")).to_parquet(folder / "cohort_features.parquet", index=False)
    figures = importance(scored[0], found.permuted, scored[1])
    write_json(folder / "importance.json", {"task": {task: figures[task] for task in tasks}})
    by_task = assay_table(found.table("next_assay"), found.table("reveal"))
    settings = {"horizon": wanted["horizon"], "donors": wanted["donors"]}
    write_json(folder / "next_assay.json", {"settings": settings, "task": {t: by_task.get(t, {}) for t in tasks}})


def _draw(folder: Path, patches: pd.DataFrame) -> None:
    """Heat maps of slides whose patches have places."""
    folder.mkdir(exist_ok=True)
    first = patches[patches["repeat"] == patches["repeat"].min()]
    for (picture, task), rows in first.groupby(["picture", "task"]):
        places = rows[["x", "y"]].to_numpy(dtype=np.float64)
        if np.isfinite(places).all():
            values = rows["contribution"].to_numpy(dtype=np.float64)
            drawn = slide_picture(places, values, label=f"adds to the score of {task}")
            (folder / str(picture)).write_bytes(drawn)


def _rows_of_patient(found: _Found, patient: str) -> Iterator[pd.DataFrame]:
    for name in ("modalities", "visits", "features"):
        table = found.table(name)
        yield table[(table["patient_id"] == patient) & (table["repeat"] == table["repeat"].min())]


def _say(found: _Found, patient: str) -> None:
    console.print(f"patient {escape(patient)}")
    for line in reasons_in_words(*_rows_of_patient(found, patient)):
        console.print(escape(line), highlight=False)


def _print(found: _Found, tasks: Sequence[str]) -> None:
    """Mean size of the contribution of each modality at the first visit."""
    table = found.table("modalities")
    first = table[table["visit"] == 0].assign(size=table["contribution"].abs())
    sizes = first.pivot_table(index="modality", columns="task", values="size", aggfunc="mean", observed=True)
    shown = Table(title="mean absolute Shapley value at the first visit", box=SIMPLE_HEAD, show_edge=False)
    shown.add_column("modality")
    for task in tasks:
        shown.add_column(task, justify="right")
    for name, row in sizes.sort_values(tasks[0], ascending=False).iterrows():
        shown.add_row(escape(str(name)), *(f"{row[task]:.3f}" for task in tasks))
    console.print(shown)
