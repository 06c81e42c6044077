"""Reasons of a run on a simulated cohort against the truth beside it: do they name what the risk was made of?

    python scripts/explain.py run=RUN_DIR slides=6 permutations=5
    python benchmarks/reasons.py run=RUN_DIR [data.path=COHORT] [out=FILE]

AUROC of .5 is chance: mean absolute contributions of genes and regions that carry risk against those that do not, and
contributions of patches of the risk-bearing morphotype (the truth's manifest names it) against other patches of the
same slide, the median over slides. Lymphocytes go with a lower risk, so that theirs should lie below .5.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _runs import markdown
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from fusion.data.simulator import genesets
from fusion.data.simulator.variants import MYC_FAMILY, NOTCH_FAMILY
from fusion.training.manifest import machine_facts

#: Latent part of the risk that each assay reads, and its weight in the log hazard of the preset `strong`.
PARTS = {
    "variants": ("wes", 0.4),
    "expression": ("rna", 0.85),
    "methylation": ("meth", 0.7),
    "histology": ("hist", 0.55),
    "clinical": ("clin", 1.0),
}
RISK_GENES = {*genesets.T_CELL_INFLAMED, *genesets.MACROPHAGE, *genesets.MYC_TARGETS}
MUTATED = {"RB1", "KMT2D", *NOTCH_FAMILY, *MYC_FAMILY}
#: Morphotype of lymphocytes, as numbered in `patch_labels.parquet`: of the presets without interactions its share goes
#: with a lower risk.
LYMPHOCYTES = 5


def area(is_true: Sequence[bool], score: Sequence[float]) -> float:
    """AUROC; NaN where all or none are true."""
    truth = np.asarray(is_true)
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def modality_rows(modalities: pd.DataFrame, latents: pd.DataFrame, task: str) -> list[dict[str, Any]]:
    """How contributions at the first visit go with the true part of the log hazard, by assay."""
    first = modalities[(modalities["visit"] == 0) & (modalities["task"] == task)]
    wide = first.pivot_table(index="patient_id", columns="modality", values="contribution")
    rows = []
    for modality, (latent, weight) in PARTS.items():
        if modality in wide:
            said = wide[modality].dropna()
            rank = float(spearmanr(said, latents.loc[said.index, latent])[0])
            true_sd = float((latents[latent] * weight).std())
            rows.append({"assay": modality, "rank": rank, "sd": float(said.std()), "true sd": true_sd})
    return rows


def feature_areas(features: pd.DataFrame, task: str) -> dict[str, float]:
    """AUROC of features that carry risk, by kind."""
    of_task = features[features["task"] == task]
    size = of_task.set_index(["modality", "feature"])["mean_absolute"].groupby(level=[0, 1]).mean()
    areas = {}
    for kind, modality in (("genes", "expression"), ("mutated genes", "variants"), ("CIMP regions", "methylation")):
        mine = size[modality] if modality in size.index.get_level_values(0) else pd.Series(dtype=float)
        mine = mine[~mine.index.str.startswith(("(", "burden"))]
        true = {
            "genes": mine.index.isin(sorted(RISK_GENES)),
            "mutated genes": mine.index.isin(sorted(MUTATED)),
            "CIMP regions": mine.index.str.startswith("cimp_"),
        }[kind]
        areas[kind] = area(true, mine)
    return areas


def patch_area(patches: pd.DataFrame, labels: pd.DataFrame, task: str, kind: int) -> tuple[float, int]:
    """Median over slides of the AUROC of patches of a kind within a slide, and of how many slides."""
    mine = patches[patches["task"] == task].merge(labels, on=["sample_id", "patch"])
    areas = np.array(
        [area(slide["label"] == kind, slide["contribution"]) for _, slide in mine.groupby(["repeat", "sample_id"])]
    )
    known = areas[np.isfinite(areas)]
    return (float(np.median(known)) if len(known) else float("nan")), len(known)


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    if "run" not in given:
        print("nothing to do: give run=RUN_DIR of a run that explain.py has explained")
        return
    run = Path(given["run"])
    cohort = Path(given.get("data.path") or json.loads((run / "config.json").read_text())["data"]["path"])
    latents = pd.read_parquet(cohort / "truth" / "latents.parquet").set_index("patient_id")
    labels = pd.read_parquet(cohort / "truth" / "patch_labels.parquet")
    read = {name: pd.read_parquet(run / "explain" / f"{name}.parquet") for name in ("modalities", "cohort_features")}
    patches = run / "explain" / "patches.parquet"
    truth = json.loads((cohort / "truth" / "manifest.json").read_text(encoding="utf-8"))
    kinds = {"risk-bearing patches": int(truth["risk_bearing_morphotype"]), "lymphocytes": LYMPHOCYTES}
    found: dict[str, Any] = {}
    for task in read["modalities"]["task"].unique():
        found[task] = {
            "modalities": modality_rows(read["modalities"], latents, task),
            **feature_areas(read["cohort_features"], task),
        }
        if patches.exists():
            for name, kind in kinds.items():
                found[task][name], found[task]["slides"] = patch_area(pd.read_parquet(patches), labels, task, kind)
    rows = [
        {
            "task": task,
            **{k: f"{v:.2f}" if isinstance(v, float) else str(v) for k, v in each.items() if k != "modalities"},
        }
        for task, each in found.items()
    ]
    assays = [
        {"task": task, **{k: f"{v:.2f}" if isinstance(v, float) else v for k, v in row.items()}}
        for task, each in found.items()
        for row in each["modalities"]
    ]
    print(markdown(assays), "\n\n" + markdown(rows))
    if "out" in given:
        Path(given["out"]).write_text(json.dumps({**machine_facts(), "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
