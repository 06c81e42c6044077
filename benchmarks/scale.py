"""How time and memory grow: every stage of a run against patients, patches, genes, CpGs and visits.

    python benchmarks/scale.py [axis=patients] [quick=true] [out=FILE] [figure=FILE.png]

Each axis has a process of its own, and each size a forked child of it, so that its memory is its own. One thread, CPU
seconds. Memory is resident memory beyond what was there before the stage. Slopes are of the logarithms: 1 is linear,
less is mostly fixed cost; `end` is the slope between the two largest sizes.
"""

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _scale_cohort import Size, write_cohort
from _timing import CPU, markdown, peak_memory, save
from hydra import compose, initialize_config_dir
from many_models import stepper

from fusion.build import build_recipe, fitting_config, plain
from fusion.cli import CONFIGS
from fusion.data.dataset import fit_assays, load_assays, pack_cohort
from fusion.data.read import read_cohort
from fusion.data.splits import StratifiedKFold
from fusion.data.visit_table import build_visit_table
from fusion.metrics import score_run
from fusion.training.baselines import one_thread
from fusion.training.fold import FittedFold
from fusion.training.inner_folds import num_inner_folds

#: A stage quicker than this is repeated, and the median taken.
QUICK, REPETITIONS = 0.3, 5
#: Less memory than this is noise of the allocator, and takes no part in a slope.
LEAST_MB = 4.0
#: The plain models search for penalties, which takes minutes for more patients than this, and shows nothing new.
PLAIN, MOST_FOR_PLAIN = "plain models", 3_000
#: Name of the sum over the other stages.
ALL = f"all but {PLAIN}"


@dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes:
        unit: What its numbers count.
        sizes: Sizes at which it is measured.
        tiny: Sizes for a test.
        cohort: The cohort of a size.
        stages: Stages that are measured beside reading, fitting, packing, a step and predicting.
    """

    unit: str
    sizes: tuple[int, ...]
    tiny: tuple[int, ...]
    cohort: Callable[[int], Size]
    stages: frozenset[str] = frozenset()


EVALUATION = frozenset({"split", PLAIN, "score"})
AXES = {
    "patients": Axis(
        "patients, 4 visits, 200 genes, 200 regions, variants",
        (100, 300, 1_000, 3_000, 10_000, 20_000),
        (40, 60),
        lambda size: Size(patients=size, visits=4, genes=200, regions=200, variants=True),
        EVALUATION,
    ),
    "patches": Axis(
        "patches of each of 8 slides", (1_000, 4_000, 16_000, 60_000), (50, 100), lambda n: Size(patients=8, patches=n)
    ),
    "genes": Axis("genes, 300 patients", (500, 2_000, 6_000, 20_000), (40, 80), lambda n: Size(patients=300, genes=n)),
    "cpgs": Axis(
        "CpGs, 100 patients", (10_000, 50_000, 150_000, 450_000), (40, 80), lambda n: Size(patients=100, regions=n)
    ),
    "visits": Axis(
        "visits of each of 300 patients",
        (1, 3, 10, 25, 50),
        (1, 3),
        lambda n: Size(patients=300, visits=n),
        EVALUATION,
    ),
}


@dataclass
class Meter:
    """Seconds and megabytes of each stage of one size."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    megabytes: dict[str, float] = field(default_factory=dict)
    most_resident: float = 0.0

    def __call__(self, stage: str, work: Callable[[], Any], *, once: bool = False) -> Any:
        """What a stage returns; `once` where a second time would be another work."""
        kept: list[Any] = []

        def timed() -> None:
            start = CPU()
            kept[:] = [work()]
            self.seconds.setdefault(stage, []).append(CPU() - start)

        before = resident()
        self.megabytes[stage] = (peak_memory(timed) or 0) / 1e6
        self.most_resident = max(self.most_resident, before + self.megabytes[stage])
        while not once and sum(self.seconds[stage]) < QUICK and len(self.seconds[stage]) < REPETITIONS:
            timed()
        return kept[0]


def resident() -> float:
    """Megabytes that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def measure(size: Size, stages: frozenset[str], folder: Path) -> dict[str, Any]:
    """Seconds and peak megabytes of every stage of a run on a cohort of this size, with the default model."""
    write_cohort(folder, size)
    meter, before = Meter(), resident()
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        words = ["name=scale", "experiment=demo", "data=cohort", f"data.path={folder}", "task=[os]"]
        config = plain(compose("train", words))
    cohort = meter("read and check", lambda: read_cohort(folder))
    recipe = build_recipe(fitting_config(config, cohort, say=lambda _: None))
    modalities = recipe.make_modalities()
    assays = meter("load", lambda: load_assays(cohort, modalities))
    patients, tasks = cohort.patient_ids, tuple(recipe.task_weights)
    if "split" in stages:
        meter("split", lambda: StratifiedKFold(folds=5, repeats=1)(cohort))
    meter("fit preprocessing", lambda: fit_assays(cohort, assays, patients))
    detail = recipe.plan.detail
    batch = meter("pack", lambda: pack_cohort(cohort, assays, patients, tasks, summary=True, detail=detail))

    inner = torch.arange(len(patients)) % num_inner_folds(recipe.num_members)
    if PLAIN in stages and len(patients) <= MOST_FOR_PLAIN:
        pairs = [(assay.modality, assay.table) for assay in assays.values()]

        def fit_plain_models() -> None:
            table = build_visit_table(cohort, pairs, patients, tasks, response=False, detail=detail)
            chosen = {task: [each.name for each in recipe.plan.of(task, table)] for task in tasks}
            recipe.make_ensemble(modalities, seed=0, anchored=chosen).fit_anchors(batch, table, inner)

        meter(PLAIN, fit_plain_models)
    ensemble = recipe.make_ensemble(modalities, seed=0)
    meter("prepare", lambda: ensemble.prepare(batch))
    _, step = stepper(ensemble, batch, batched="auto", fused=True)
    meter("first step", step, once=True)  # lays out what each member trains on
    meter("training step", step)
    meter("calibrate", lambda: ensemble.calibrate(batch, inner))
    fold = FittedFold(modalities=modalities, ensemble=ensemble, cuts=dict.fromkeys(tasks, (0.0, 0.1)), inner_loss=0)
    tables = {name: assay.table for name, assay in assays.items()}
    rows = meter("predict", lambda: fold.predict(cohort, tables, patients, recipe.times))
    if "score" in stages:
        meter("score", lambda: score_run(*five_folds(rows, patients), resamples=100))
    return {"seconds": meter.seconds, "megabytes": meter.megabytes, "resident": meter.most_resident - before}


def five_folds(rows: pd.DataFrame, patients: Sequence[str]) -> tuple[pd.DataFrame, None, pd.DataFrame]:
    """These predictions as if each fifth of the patients had been held out."""
    fold = dict(zip(patients, np.arange(len(patients)) % 5, strict=True))
    rows = rows.assign(repeat=0, fold=rows["patient_id"].map(fold))
    whose = np.array([fold[patient] for patient in patients])
    splits = [
        pd.DataFrame({"repeat": 0, "fold": k, "patient_id": patients, "part": np.where(whose == k, "test", "train")})
        for k in range(5)
    ]
    return rows, None, pd.concat(splits, ignore_index=True)


def measured_apart(size: Size, stages: frozenset[str]) -> dict[str, Any]:
    """`measure` in a forked child, on a cohort that is gone afterwards."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:

        def work() -> None:
            theirs.send(measure(size, stages, Path(folder) / "cohort"))

        child = context.Process(target=work)
        child.start()
        theirs.close()
        try:
            return ours.recv()
        except EOFError as error:
            raise RuntimeError(f"{size} was not measured: its process ended") from error
        finally:
            child.join()


def run_axis(name: str, tiny: bool) -> dict[str, dict[str, Any]]:
    """Measurements by size."""
    axis = AXES[name]
    torch.set_num_threads(1)
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        everything = Size(patients=40, visits=2, genes=20, regions=20, patches=20, variants=True)
        measure(everything, EVALUATION - {PLAIN}, Path(folder) / "cohort")  # libraries load what they need, once
        found = {}
        for size in axis.tiny if tiny else axis.sizes:
            found[str(size)] = measured_apart(axis.cohort(size), axis.stages)
            seconds = sum(statistics.median(each) for each in found[str(size)]["seconds"].values())
            print(f"{name} {size}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return found


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Least-squares slope of the logarithms; NaN of fewer than two points.

    >>> round(slope([1, 10, 100], [2, 20, 200]), 6)
    1.0
    """
    if len(sizes) < 2:
        return float("nan")
    x, y = np.log(sizes), np.log(values)
    x = x - x.mean()
    return float(x @ y / (x @ x))


def curves(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[int, float], dict[int, float]]]:
    """Every stage with its seconds and megabytes by size, and last their sum and the peak of the whole process."""
    stages = dict.fromkeys(stage for at in found.values() for stage in at["seconds"])
    for stage in stages:
        at = {int(size): each for size, each in found.items() if stage in each["seconds"]}
        seconds = {size: statistics.median(each["seconds"][stage]) for size, each in at.items()}
        yield stage, seconds, {size: each["megabytes"][stage] for size, each in at.items()}
    at = {int(size): each for size, each in found.items()}
    total = {
        size: sum(statistics.median(seconds) for stage, seconds in each["seconds"].items() if stage != PLAIN)
        for size, each in at.items()
    }
    yield ALL, total, {size: each["resident"] for size, each in at.items()}


def table(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The slopes of every stage along every axis, in Markdown."""
    rows = []
    for name, found in results.items():
        for stage, seconds, megabytes in curves(found):
            sizes = sorted(seconds)
            large = [size for size in sizes if megabytes[size] >= LEAST_MB]
            rows.append(
                {
                    "axis": f"{name} {sizes[0]:,} to {sizes[-1]:,}",
                    "stage": stage,
                    "seconds": f"{seconds[sizes[0]]:.3f} to {seconds[sizes[-1]]:.2f}",
                    "slope": f"{slope(sizes, [seconds[size] for size in sizes]):.2f}",
                    "end": f"{slope(sizes[-2:], [seconds[size] for size in sizes[-2:]]):.2f}",
                    "MB at most": f"{megabytes[sizes[-1]]:.0f}",
                    "slope of MB": f"{slope(large, [megabytes[s] for s in large]):.2f}" if len(large) > 1 else "-",
                }
            )
    return markdown(rows)


def draw(results: Mapping[str, Mapping[str, Mapping[str, Any]]], path: Path) -> None:
    """Seconds and megabytes against each axis, both logarithmic, with a line of slope one to compare with."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, len(results), figsize=(3.1 * len(results), 5.6), squeeze=False, sharex="col")
    every = dict.fromkeys(stage for found in results.values() for stage, *_ in curves(found))
    colour = {stage: plt.get_cmap("tab20")(place) for place, stage in enumerate(every)}
    for column, (name, found) in enumerate(results.items()):
        for stage, seconds, megabytes in curves(found):
            style = {"color": "black" if stage == ALL else colour[stage], "lw": 2.2 if stage == ALL else 1.2}
            panels[0, column].plot(list(seconds), list(seconds.values()), marker=".", label=stage, **style)
            large = {size: value for size, value in megabytes.items() if value >= LEAST_MB}
            panels[1, column].plot(list(large), list(large.values()), marker=".", **style)
        for panel in panels[:, column]:
            sizes = np.array([int(size) for size in found], dtype=np.float64)
            low, high = panel.get_ylim()
            panel.plot(sizes, high * sizes / sizes[-1], ls=":", color="grey", lw=1)
            panel.set(xscale="log", yscale="log", ylim=(max(low, 1e-3), high * 1.5))
        panels[1, column].set_xlabel(AXES[name].unit, fontsize=8)
    panels[0, 0].set_ylabel("CPU seconds")
    panels[1, 0].set_ylabel("peak MB")
    lines = {line.get_label(): line for panel in panels[0] for line in panel.lines if line.get_label() in every}
    figure.legend(lines.values(), lines, ncols=7, loc="lower center", fontsize=8, frameon=False)
    figure.suptitle("Dotted: slope one", fontsize=9)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def run_all(tiny: bool) -> dict[str, dict[str, dict[str, Any]]]:
    """Every axis in a process of its own."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in AXES:
            out = Path(folder) / f"{name}.json"
            words = [f"axis={name}", f"quick={str(tiny).lower()}", f"out={out}"]
            subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.DEVNULL)
            results |= json.loads(out.read_text(encoding="utf-8"))["results"]
    return results


def main(words: Sequence[str]) -> int:
    """Measure, print the table, write JSON where `out=` and a figure where `figure=` is given."""
    given = dict(word.split("=", 1) for word in words)
    unknown = set(given) - {"axis", "quick", "out", "figure"} or {given.get("axis", "patients")} - set(AXES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; axes are {', '.join(AXES)}", file=sys.stderr)
        return 1
    tiny = given.get("quick") == "true"
    results = {given["axis"]: run_axis(given["axis"], tiny)} if "axis" in given else run_all(tiny)
    print(table(results))
    save(results, words)
    if "figure" in given:
        draw(results, Path(given["figure"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
