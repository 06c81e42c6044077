"""The members of an ensemble trained one by one and as one model: seconds of a training step.

    python benchmarks/many_models.py [out=FILE] [only=64x500,demo]

One step is what `EnsembleModule` does in one: outputs, loss (Cox, all patients at once), gradients, AdamW, averages.
`one by one, AdamW` is torch's default on a CPU, `fused` what configs/optimizer/adamw.yaml asks for. CPU seconds of one
thread, as in a run that fits a fold per core; the ways are taken in turn.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _timing import CPU, interleaved, markdown, medians, save

from fusion.losses.cox import Cox
from fusion.models.encoders.vector import VectorEncoder
from fusion.models.fusion.pairwise_products import PairwiseProducts
from fusion.models.patient_model import PatientModel
from fusion.models.temporal.continuous_decay import ContinuousDecay
from fusion.training.ensemble import Ensemble
from fusion.training.fold import Recipe
from fusion.training.module import EnsembleModule
from fusion.types import Outcome, PatientBatch, Samples

ROOT = Path(__file__).parents[1]
DIM = 16

#: Patients, features, and numbers of models.
SIZES = {
    "64x500": (64, 500, (5, 25, 100)),
    "400x2000": (400, 2000, (5, 25, 100)),
    "64x20000": (64, 20_000, (5, 25)),
}

#: Settings of AdamW by way of training.
WAYS: dict[str, dict[str, Any]] = {
    "one by one, AdamW": {"batched": False, "fused": False},
    "one by one, fused": {"batched": False, "fused": True},
    "batched": {"batched": True, "fused": True},
    "auto": {"batched": "auto", "fused": True},
}


def made_up(patients: int, features: int, seed: int = 0) -> PatientBatch:
    """Patients with one visit, one assay and one endpoint."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(patients, features, generator=generator)
    duration = (400.0 * torch.rand(patients, 1, generator=generator)).ceil()
    event = torch.rand(patients, 1, generator=generator) < 0.6
    real = torch.ones(patients, 1, dtype=torch.bool)
    return PatientBatch(
        patient_ids=tuple(f"P{number}" for number in range(patients)),
        day=torch.zeros(patients, 1),
        visit_mask=real,
        samples={"assay": Samples(rows=rows, offsets=torch.arange(patients + 1), slot=torch.arange(patients))},
        targets={"os": Outcome(duration=duration, event=event, at_risk=real)},
    )


def small_model(features: int) -> PatientModel:
    """The default network, of one assay."""
    return PatientModel(
        encoders={"assay": VectorEncoder(num_features=features, dim=DIM, hidden=16)},
        fusion=PairwiseProducts(dim=DIM, num_modalities=1),
        temporal=ContinuousDecay(dim=DIM),
        num_outputs={"os": 1},
        dim=DIM,
    )


def small_ensemble(features: int, models: int) -> Ensemble:
    return Ensemble(
        make_member=partial(small_model, features),
        losses={"os": Cox()},
        task_weights={"os": 1.0},
        num_members=models,
        seed=0,
    )


def demo(members: int = 5) -> tuple[Recipe, Callable[[], Ensemble], PatientBatch]:
    """How the demo fits a fold, its ensemble, and its training part."""
    from hydra import compose, initialize_config_dir

    from fusion.build import build_recipe, build_splitter, fitting_config, plain
    from fusion.data.dataset import fit_assays, load_assays, pack_cohort
    from fusion.run.cohorts import open_cohort

    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = plain(compose("train", ["name=demo", f"data.path={ROOT}/data/strong_240_seed0", f"members={members}"]))
    cohort = open_cohort(config["data"])
    config = fitting_config(config, cohort)
    recipe = build_recipe(config)
    assays = load_assays(cohort, recipe.make_modalities())
    split = build_splitter(config)(cohort)[0]
    ids = tuple(sorted((*split.train, *split.val)))
    fit_assays(cohort, assays, ids)
    batch = pack_cohort(cohort, assays, ids, tuple(recipe.task_weights))

    def make() -> Ensemble:
        ensemble = recipe.make_ensemble({name: assay.modality for name, assay in assays.items()}, 0)
        ensemble.prepare(batch)
        return ensemble

    return recipe, make, batch


class Silent(EnsembleModule):
    """The module without its trainer."""

    global_step = 100  # type: ignore[assignment]


def stepper(ensemble: Ensemble, batch: PatientBatch, *, batched: Any, fused: bool) -> tuple[Silent, Callable[[], None]]:
    """A module and its training step."""
    models = ensemble.num_members
    module = Silent(
        ensemble=ensemble,
        optimizer=partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.1, fused=fused),
        inner_fold={patient: number % max(models, 5) for number, patient in enumerate(batch.patient_ids)},
    )
    module.batch_learners(batch, batched)
    optimizer = module.configure_optimizers()

    def step() -> None:
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        optimizer.step()
        module.follow()

    return module.train(), step


def measured(name: str, make: Callable[[], Ensemble], batch: PatientBatch) -> dict[str, Any]:
    """Seconds of a step in every way, and what `auto` chose."""
    made = {way: stepper(make(), batch, **settings) for way, settings in WAYS.items()}
    chosen = made["auto"][0].one_by_one
    works = {way: step for way, (_, step) in made.items() if way != "auto"}
    seconds = interleaved(works, clock=CPU, warm_up=2)
    return {"name": name, "seconds": seconds, "median": medians(seconds), "auto": chosen or "batched"}


def row_of(found: dict[str, Any]) -> dict[str, str]:
    median = found["median"]
    row = {"patients x features, models": found["name"]}
    row |= {f"{way}, ms": f"{1e3 * value:.1f}" for way, value in median.items()}
    row["AdamW / batched"] = f"{median['one by one, AdamW'] / median['batched']:.1f}"
    row["fused / batched"] = f"{median['one by one, fused'] / median['batched']:.2f}"
    row["auto"] = "batched" if found["auto"] == "batched" else "one by one"
    return row


def main(words: Sequence[str]) -> int:
    """Measure, print a table, and write JSON where `out=FILE` is given."""
    given = dict(word.split("=", 1) for word in words)
    only = given["only"].split(",") if "only" in given else [*SIZES, "demo"]
    torch.set_num_threads(1)
    results = []
    for name in only:
        if name in SIZES:
            patients, features, counts = SIZES[name]
            batch = made_up(patients, features)
            for models in counts:
                make = partial(small_ensemble, features, models)
                results.append(measured(f"{patients} x {features}, {models}", make, batch))
        else:
            for members in (5, 25):  # 25: as many as five folds have
                _, make, batch = demo(members)
                results.append(measured(f"a fold of the demo, {members}", make, batch))
    print(markdown([row_of(found) for found in results]))
    for found in results:
        if found["auto"] != "batched":
            print(f"{found['name']}: one by one, since {found['auto']}")
    save(results, words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
