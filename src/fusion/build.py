"""From config to objects: what the nodes of a resolved config make. Commands are in `fusion.run`."""

import dataclasses
import inspect
import logging
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.data.modalities.base import Modality
from fusion.data.splits import Splitter
from fusion.data.targets import survival_tasks
from fusion.models.base import Encoder
from fusion.models.patient_model import PatientModel
from fusion.training.baselines import FitBaselines, fit_baselines
from fusion.training.fold import Recipe
from fusion.training.search import Search, chosen_settings
from fusion.training.space import read_space, start_of, with_settings

#: Parts of a `Recipe` and the config group that each is chosen in.
AIDS = {"plan": "anchor", "pretraining": "pretraining", "combine": "task_weights"}


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
            encoders={n: build_encoder(model["encoders"][n], m, dim) for n, m in modalities.items()},
            fusion=build(model["fusion"])(dim=dim, num_modalities=len(modalities)),
            temporal=build(model["temporal"])(dim=dim),
            num_outputs=num_outputs,
            dim=dim,
            modality_dropout=build(model["modality_dropout"]),
            knows_days=model.get("knows_days", True),  # runs made before it could be hidden
            mixup=model.get("mixup", 0.0),
            auxiliary_heads=model.get("auxiliary", 0.0) > 0,
        )

    tasks, trainer = config["tasks"], config["trainer"]["lightning"]
    every = min(trainer["check_val_every_n_epoch"], trainer["max_epochs"])  # a short run is validated too
    return Recipe(
        make_modalities=lambda: {name: build(node) for name, node in config["modalities"].items()},
        make_member=make_member,
        make_losses=lambda: {task: build(node["loss"]) for task, node in tasks.items()},
        task_weights={task: float(node["weight"]) for task, node in tasks.items()},
        optimizer=build(config["optimizer"]),
        make_trainer=partial(_make_trainer, {**trainer, "check_val_every_n_epoch": every}),
        make_logger=lambda folder: build(config["logger"])(folder=folder),
        num_members=config["members"],
        batch_size=config["trainer"]["batch_size"],
        patience=config["trainer"]["patience"],
        checkpoint_seconds=config["trainer"].get("checkpoint_seconds", 10),  # runs made before it could be chosen
        seed=config["seed"],
        times=tuple(float(time) for time in config["evaluation"]["times"]),
        auxiliary=float(model.get("auxiliary", 0.0)),
        ranks=config["trainer"].get("ranks", 1),
        batched=config["trainer"].get("batched", False),  # runs made before it could be chosen go on as they began
        # runs made before these could be chosen have none of them
        **{name: build(_named(config[key])) for name, key in AIDS.items() if config.get(key)},
    )


def _named(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node as it is; plain models beside the network had no names in runs made before, and get numbers."""
    models = node.get("models")
    return {**node, "models": {str(i): each for i, each in enumerate(models)}} if isinstance(models, list) else node


def _make_trainer(node: Mapping[str, Any], **given: Any) -> Any:
    """A trainer; Lightning is imported for it, and its advertisements and notes on devices are no news of a run."""
    make = build(node)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    return make(**given)


def build_encoder(node: Mapping[str, Any], modality: Modality, dim: int) -> Encoder:
    """The encoder of a modality's rows, given those of the modality's `sizes` that it asks for.

    Raises:
        ValueError: The modality cannot tell what the encoder needs to know.
    """
    make = build(node)
    asked = inspect.signature(make).parameters
    given = {name: value for name, value in modality.sizes.items() if name in asked}
    open_ = [n for n, p in asked.items() if p.default is p.empty and n not in given and n != "dim"]
    if open_:
        raise ValueError(
            f"encoder {node['_target_'].rpartition('.')[2]} needs {', '.join(open_)}, which modality {modality.name!r} "
            "does not tell; choose another encoder, or the settings of the modality that docs/models.md names with it"
        )
    encoder: Encoder = make(dim=dim, **given)
    return encoder


def build_search(config: Mapping[str, Any]) -> Search | None:
    """The nested search of the config; None if it asks for none."""
    tuning = config.get("tuning") or {}
    if not tuning:
        return None
    space = read_space(config)
    if tuning["trials"] < 1 or not space:
        raise ValueError("tuning needs trials=1 or more and a space that is not empty; tuning=none searches nothing")
    if tuning["minutes"] is not None and tuning["minutes"] <= 0:
        raise ValueError(f"tuning.minutes is {tuning['minutes']}; give a time above 0, or null for no limit")
    return Search(
        make_recipe=lambda settings: build_recipe(with_settings(config, settings)),
        space=space,
        start=start_of(config, space),
        trials=tuning["trials"],
        minutes=tuning["minutes"],
        storage=tuning["storage"],
        seed=config["seed"],
    )


def fold_recipe(config: Mapping[str, Any], folder: Path) -> Recipe:
    """The recipe by which a fold was fitted: the config with the settings that were chosen in it."""
    return build_recipe(with_settings(config, chosen_settings(folder)))


def wandb_logger(*, folder: Path, project: str, mode: str) -> list[Any]:
    """Weights & Biases beside `metrics.csv`, offline unless `mode` says otherwise."""
    from pytorch_lightning.loggers import WandbLogger

    from fusion.training.loggers import EpochTable

    return [EpochTable(folder=folder), WandbLogger(project=project, save_dir=str(folder), name=folder.name, mode=mode)]


def fitting_config(config: dict[str, Any], cohort: Cohort, say: Callable[[str], None] = print) -> dict[str, Any]:
    """The config less the modalities and tasks that the cohort has nothing of; `say` is told what was left out."""
    modalities = {}
    for name, node in config["modalities"].items():
        if build(node).sample_ids(cohort):
            modalities[name] = node
        else:
            say(f"modality {name}: this cohort has no sample of it; left out")
    has = {*survival_tasks(cohort), *([RESPONSE] if "response" in cohort.outcomes else [])}
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
