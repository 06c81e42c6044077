"""What a missing assay costs: in a random half of the patients, everywhere, or with those patients left out.

    python benchmarks/missing.py run=true [assays=histology,plasma] [patients=240] [seeds=0,1,2]
    python benchmarks/missing.py [out=FILE]       the table of what is finished

Overall survival on `strong`, 5 folds, the default model. Held-out patients are the same in all arms and are scored from
their first visit and from their last by day 42. `complete cases`: half of the patients lack the assay, and training
leaves them out; the model is nevertheless asked about all.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _runs import ROOT, markdown

from fusion.build import build_recipe, fitting_config, plain
from fusion.cli import CONFIGS
from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay, load_tables
from fusion.data.read import read_cohort
from fusion.data.simulator import simulate_cohort
from fusion.data.splits import Split, StratifiedKFold
from fusion.metrics import score_run
from fusion.training.fit import fit_fold
from fusion.training.manifest import machine_facts

WORDS = ("task=[os]", "baselines=none", "trainer=quiet")
ARMS = ("all have it", "half lack it", "none has it", "complete cases")
DAYS = ("0", "42")


def without(cohort: Cohort, assay: str, patients: frozenset[str]) -> Cohort:
    """The cohort as if no sample of the assay had been taken from these patients."""
    samples = cohort.samples
    gone = (samples["modality"] == assay) & samples["patient_id"].isin(patients)
    return replace(cohort, samples=samples[~gone])


def kept_for_training(split: Split, left_out: frozenset[str]) -> Split:
    """A split that trains without some patients and predicts the same ones."""
    train, val = ([p for p in part if p not in left_out] for part in (split.train, split.val))
    return replace(split, train=tuple(train), val=tuple(val))


def c_indices(cohort: Cohort, splits: Sequence[Split], scored: Sequence[Split]) -> list[float]:
    """C-index at each day of folds that are trained as `splits` say, on the test patients of `scored`."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(CONFIGS, version_base="1.3"):
        config = fitting_config(plain(compose("train", list(WORDS))), cohort, say=lambda _: None)
    recipe = build_recipe(config)
    tables, frames = load_tables(cohort, recipe.make_modalities()), []
    with tempfile.TemporaryDirectory() as folder:
        for split in splits:
            assays = {name: Assay(modality, tables[name]) for name, modality in recipe.make_modalities().items()}
            fitted = fit_fold(cohort, assays, split, Path(folder) / str(split.fold), recipe)
            rows = fitted.predict(cohort, tables, split.test, recipe.times)
            frames.append(rows.assign(repeat=split.repeat, fold=split.fold))
    table = pd.DataFrame(
        [(s.repeat, s.fold, p, part) for s in scored for part in ("train", "val", "test") for p in getattr(s, part)],
        columns=["repeat", "fold", "patient_id", "part"],
    )
    task = score_run(pd.concat(frames), None, table, landmarks=(42.0,), resamples=2)["task"]["os"]
    levels = [task["model"], task["landmark"]["42"]]
    return [float(level["fusion"]["c_index"]["value"]) for level in levels]


def arms_of(cohort: Cohort, assay: str, seed: int, whole: Sequence[float] | None) -> dict[str, list[float]]:
    """C-index by arm and day; `whole` is what the untouched cohort gave, where that is known."""
    owners = sorted(set(cohort.samples.loc[cohort.samples["modality"] == assay, "patient_id"]))
    half = frozenset(np.random.default_rng(seed).permutation(owners)[: len(owners) // 2].tolist())
    lacking = frozenset(cohort.patient_ids) - (frozenset(owners) - half)
    splits = StratifiedKFold(folds=5, repeats=1)(cohort)
    halved = without(cohort, assay, half)
    return {
        "all have it": list(whole or c_indices(cohort, splits, splits)),
        "half lack it": c_indices(halved, splits, splits),
        "none has it": c_indices(without(cohort, assay, frozenset(owners)), splits, splits),
        "complete cases": c_indices(halved, [kept_for_training(split, lacking) for split in splits], splits),
    }


def rows_of(found: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> list[dict[str, str]]:
    """One row per assay and day: mean C-index of every arm over the seeds, and what each loses."""
    rows = []
    for assay, seeds in found.items():
        for place, day in enumerate(DAYS):
            values = {arm: np.array([each[arm][place] for each in seeds]) for arm in ARMS}
            row = {"assay": assay, "at": "baseline" if day == "0" else f"day {day}", "seeds": str(len(seeds))}
            row |= {arm: f"{value.mean():.3f}" for arm, value in values.items()}
            whole = values["all have it"]
            row |= {f"lost: {arm}": f"{(whole - values[arm]).mean():+.3f}" for arm in ARMS[1:]}
            rows.append(row)
    return rows


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    torch.set_num_threads(1)
    place, patients = ROOT / "runs" / "missing", int(given.get("patients", "240"))
    found: dict[str, list[dict[str, list[float]]]] = {}
    for assay in given.get("assays", "histology,plasma").split(","):
        for seed in map(int, given.get("seeds", "0,1,2").split(",")):
            saved = place / f"{assay}_{patients}_seed{seed}.json"
            if not saved.exists() and given.get("run") == "true":
                folder = ROOT / "data" / f"strong_{patients}_seed{seed}"
                if not folder.exists():
                    simulate_cohort(out=folder, preset="strong", patients=patients, seed=seed)
                place.mkdir(parents=True, exist_ok=True)
                others = sorted(place.glob(f"*_{patients}_seed{seed}.json"))
                whole = json.loads(others[0].read_text())["all have it"] if others else None
                saved.write_text(json.dumps(arms_of(read_cohort(folder), assay, seed, whole)))
            if saved.exists():
                found.setdefault(assay, []).append(json.loads(saved.read_text()))
    rows = rows_of(found)
    print(markdown(rows) if rows else "nothing finished yet: run=true")
    if "out" in given:
        Path(given["out"]).write_text(json.dumps({**machine_facts(), "arms": found, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
