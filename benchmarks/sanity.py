"""Do reasons rest on what was learned? Those of a fitted fold against those of the same fold with shuffled weights.

    python benchmarks/sanity.py run=RUN_DIR [fold=fold_0_0] [shuffles=3] [patients=20] [out=FILE]

Rank correlation (Spearman) of the contributions at the first visit: of every assay over patients, of the genes and
other features of a patient, and of the patches of a slide, each the median. Beside it, as what reasons of two models
that learned the same look like, those of two single members of the ensemble.
"""

import copy
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _runs import markdown
from scipy.stats import spearmanr
from torch import nn

from fusion.data.dataset import load_tables
from fusion.explain.modality_values import modality_values
from fusion.explain.patches import patch_contributions
from fusion.explain.shuffled import shuffled_view
from fusion.explain.tables import feature_tables, modality_table
from fusion.explain.view import FoldView, open_view
from fusion.run.audit import open_study
from fusion.training.fold import load_fold
from fusion.training.manifest import machine_facts

#: Every feature, not the largest alone: those would agree in being large.
ALL = 10**9
SLIDES = 3


def only_member(view: FoldView, number: int) -> FoldView:
    """The fold with one member of its ensemble, the plain models beside it as ever."""
    ensemble = copy.deepcopy(view.fitted.ensemble)
    for task, members in ensemble.members.items():
        ensemble.members[task] = nn.ModuleList([members[number]])
    return replace(view, fitted=replace(view.fitted, ensemble=ensemble.eval()))


def reasons_of(view: FoldView) -> dict[str, pd.Series]:
    """Contributions at the first visit, by kind; the index says of what, its first level what is compared within."""
    tasks = view.tasks
    assays = modality_table(view, modality_values(view.pool, view.patients), tasks)
    features = feature_tables(view, tasks, steps=3, top=ALL).top
    patches = {}
    for name, modality in view.fitted.modalities.items():
        for number in range(min(SLIDES, len(view.held_out))) if modality.is_set and name == "histology" else ():
            slide = patch_contributions(view, name, number)
            for task, value in slide.contribution.items() if slide else ():
                patches |= {(f"{task} {view.held_out[number]}", place): each for place, each in enumerate(value)}
    assays = assays[assays["visit"] == 0]
    assays = assays.set_index([assays["task"] + assays["modality"], "patient_id"])["contribution"]
    first = features[features["visit"] == 0]
    what = first["modality"] + first["feature"]
    return {
        "assays over patients": assays,
        "features of a patient": first.set_index([first["task"] + first["patient_id"], what])["contribution"],
        "patches of a slide": pd.Series(patches, dtype=float),
    }


def agreement(one: pd.Series, other: pd.Series) -> float:
    """Median over what is compared within of the rank correlation; absent is zero."""
    both = pd.concat([one.rename("one"), other.rename("other")], axis=1).fillna(0.0)
    found = [float(spearmanr(each["one"], each["other"])[0]) for _, each in both.groupby(level=0) if len(each) > 4]
    return float(np.nanmedian(found)) if found else float("nan")


def opened(run: Path, fold: str, patients: int) -> FoldView:
    """A fold and some of the patients that it holds out."""
    study = open_study(run)
    split = next(each for each in study.splits if fold == f"fold_{each.repeat}_{each.fold}")
    fitted = load_fold(run / fold, study.recipe_of(run / fold))
    tables = load_tables(study.cohort, study.recipe.make_modalities())
    return open_view(fitted, study.cohort, tables, split.test[:patients], sorted((*split.train, *split.val)))


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    if "run" not in given:
        print("nothing to do: give run=RUN_DIR of a finished run")
        return
    view = opened(Path(given["run"]), given.get("fold", "fold_0_0"), int(given.get("patients", "20")))
    fitted = reasons_of(view)
    others = [reasons_of(shuffled_view(view, seed)) for seed in range(int(given.get("shuffles", "3")))]
    members = [reasons_of(only_member(view, number)) for number in (0, 1)]
    rows: list[dict[str, Any]] = []
    for kind, reasons in fitted.items():
        found = [agreement(reasons, other[kind]) for other in others]
        control = agreement(members[0][kind], members[1][kind])
        rows.append({"reasons": kind, "shuffled weights": found, "one member against another": control})
    shown = [
        {
            "reasons": str(row["reasons"]),
            "shuffled weights": ", ".join(f"{value:.2f}" for value in row["shuffled weights"]),
            "one member against another": f"{row['one member against another']:.2f}",
        }
        for row in rows
    ]
    print(markdown(shown))
    if "out" in given:
        Path(given["out"]).write_text(json.dumps({**machine_facts(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
