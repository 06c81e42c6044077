"""From config to objects: what the nodes of a resolved config make. Commands are in `fusion.run`."""

import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.data.modalities.base import Modality
from fusion.data.splits import Splitter
from fusion.models.patient_model import PatientModel
from fusion.training.baselines import FitBaselines, fit_baselines
from fusion.training.fold import Recipe
from fusion.training.loggers import EpochTable
from fusion.training.tuning import Search, Settings, check_range, chosen_settings


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as plain values, interpolations resolved."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[return-value]


def build(node: Any) -> Any:
    """The object, or with `_partial_` its maker, that a node of the config describes."""
    return instantiate(node, _convert_="all")


def build_splitter(config: Mapping[str, Any]) -> Splitter:
    """The way to split of the config; says what to take out where an experiment set it up for another way."""
    node = config["split"]
    known = {field.name for field in dataclasses.fields(get_class(node["_target_"]))}
    foreign = [key for key in node if key not in known and not key.startswith("_")]
    if foreign:
        words = " ".join(f"~split.{key}" for key in foreign)
        raise ValueError(f"{node['_target_']} knows no {', '.join(foreign)}, which the experiment sets; add {words}")
    splitter: Splitter = build(node)
    return splitter


def build_recipe(config: Mapping[str, Any]) -> Recipe:
    """What `cross_validate` needs, from a resolved config."""
    model = config["model"]

    def make_member(modalities: Mapping[str, Modality], num_outputs: Mapping[str, int]) -> PatientModel:
        dim = model["dim"]
        return PatientModel(
            encoders={n: build(model["encoders"][n])(dim=dim, **m.sizes) for n, m in modalities.items()},
            fusion=build(model["fusion"])(dim=dim, num_modalities=len(modalities)),
            temporal=build(model["temporal"])(dim=dim),
            num_outputs=num_outputs,
            dim=dim,
            modality_dropout=model["modality_dropout"],
            knows_days=model.get("knows_days", True),  # runs made before it could be hidden
        )

    tasks, trainer = config["tasks"], config["trainer"]["lightning"]
    every = min(trainer["check_val_every_n_epoch"], trainer["max_epochs"])  # a short run is validated too
    return Recipe(
        make_modalities=lambda: {name: build(node) for name, node in config["modalities"].items()},
        make_member=make_member,
        make_losses=lambda: {task: build(node["loss"]) for task, node in tasks.items()},
        task_weights={task: float(node["weight"]) for task, node in tasks.items()},
        optimizer=build(config["optimizer"]),
        make_trainer=build({**trainer, "check_val_every_n_epoch": every}),
        make_logger=lambda folder: build(config["logger"])(folder=folder),
        num_members=config["members"],
        batch_size=config["trainer"]["batch_size"],
        patience=config["trainer"]["patience"],
        seed=config["seed"],
        times=tuple(float(time) for time in config["evaluation"]["times"]),
    )


def build_search(config: Mapping[str, Any]) -> Search | None:
    """The nested search of the config; None if it asks for none."""
    tuning = config.get("tuning") or {}
    if not tuning:
        return None
    space = dict(_ranges(tuning["space"]))
    if tuning["trials"] < 1 or not space:
        raise ValueError("tuning needs trials=1 or more and a space that is not empty; tuning=none searches nothing")
    start = {name: _setting(config, name) for name in space}
    for name, node in space.items():
        check_range(name, node, start[name])
    return Search(
        make_recipe=lambda settings: build_recipe(with_settings(config, settings)),
        space=space,
        start=start,
        trials=tuning["trials"],
        seed=config["seed"],
    )


def fold_recipe(config: Mapping[str, Any], folder: Path) -> Recipe:
    """The recipe by which a fold was fitted: the config with the settings that were chosen in it."""
    return build_recipe(with_settings(config, chosen_settings(folder)))


def with_settings(config: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A copy of a config with other values at dotted places, `optimizer.lr`."""
    changed = copy.deepcopy(dict(config))
    for name, value in settings.items():
        _setting(config, name)
        *path, last = name.split(".")
        functools.reduce(lambda node, key: node[key], path, changed)[last] = value
    return changed


def _ranges(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted name and range of every setting of a space that is laid out as the config is."""
    for key, inner in node.items():
        if not isinstance(inner, Mapping):
            raise ValueError(f"tuning.space: {prefix}{key} is {inner}; give choices: [...], or low and high")
        if inner.keys() & {"choices", "low", "high"}:
            yield f"{prefix}{key}", inner
        else:
            yield from _ranges(inner, f"{prefix}{key}.")


def _setting(config: Mapping[str, Any], name: str) -> Any:
    try:
        return functools.reduce(lambda node, key: node[key], name.split("."), config)
    except (KeyError, TypeError):
        raise ValueError(f"tuning.space: the config has no {name}; name a value that --cfg job shows") from None


def wandb_logger(*, folder: Path, project: str, mode: str) -> list[Any]:
    """Weights & Biases beside `metrics.csv`, offline unless `mode` says otherwise."""
    from pytorch_lightning.loggers import WandbLogger

    return [EpochTable(folder=folder), WandbLogger(project=project, save_dir=str(folder), name=folder.name, mode=mode)]


def fitting_config(config: dict[str, Any], cohort: Cohort, say: Callable[[str], None] = print) -> dict[str, Any]:
    """The config less the modalities and tasks that the cohort has nothing of; `say` is told what was left out."""
    modalities = {}
    for name, node in config["modalities"].items():
        if build(node).sample_ids(cohort):
            modalities[name] = node
        else:
            say(f"modality {name}: this cohort has no sample of it; left out")
    has = {*cohort.endpoints, *([RESPONSE] if "response" in cohort.outcomes else [])}
    tasks = {task: node for task, node in config["tasks"].items() if task in has}
    for task in config["tasks"].keys() - tasks.keys():
        say(f"task {task}: outcomes.csv has no such endpoint; left out")
    if not modalities or not tasks:
        lacking, there = ("modality", cohort.samples["modality"].unique()) if tasks else ("task", sorted(has))
        raise ValueError(
            f"no {lacking} of the config is in this cohort; it has: {', '.join(map(str, there)) or 'none'}"
        )
    return {**config, "modalities": modalities, "tasks": tasks}


def build_baselines(config: Mapping[str, Any]) -> FitBaselines | None:
    """What fits the plain models of the config to a fold; None if it names none."""
    models = [build(node) for node in (config.get("baselines") or {}).values()]
    tasks = tuple(config["tasks"])
    return (lambda *fold: fit_baselines(models, tasks, *fold)) if models else None
