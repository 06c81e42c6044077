"""Every option of the model beside the default, on the same patients: the table of docs/models.md.

    python benchmarks/models.py run=true [cohort=strong] [patients=240] [jobs=2] [only=fusion,temporal]
    python benchmarks/models.py [out=FILE]        the table of the runs that are finished

Each option is one run of `scripts/train.py` (network alone, without the plain models that otherwise answer with it, so
that options can be told apart), with a folder of its own under runs/models/COHORT/; finished ones are not run again.
Then all are compared with the reference on the same patients and the same resamples.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from _runs import MODALITIES, ROOT, finished, fit_seconds, markdown, train_all
from _timing import write

from fusion.metrics import ModelTable, compare_runs
from fusion.report.ablation import VariantScore, variant_scores
from fusion.report.words import bounds, digits, signed

REFERENCE = "reference"
TASK = "os"
#: What every run shares: one task, three folds once, three members, no plain models.
SHARED = (
    *("baselines=none", f"task=[{TASK}]", "members=3", "split.folds=3", "split.repeats=1", "anchor=none"),
    *("final_model=false", "trainer=quiet", "evaluation.report=false"),
    *("evaluation.resamples=20", "evaluation.landmarks=[42,84]"),
)


def _swapped(modality: str, option: str) -> str:
    return f"encoder@model.encoders.{modality}={option}"


def _modalities(**replaced: str) -> str:
    return f"modality=[{','.join(replaced.get(name, name) for name in MODALITIES)}]"


#: Options by group: label and overrides.
OPTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "encoder of clinical data": {
        name: [_swapped("clinical", name)] for name in ("linear", "piecewise_linear", "periodic", "numeric_tokens")
    },
    "encoder of variants": {
        **{name: [_swapped("variants", name)] for name in ("variant_attention", "gene_burden", "burden")},
        "variants_pathways": [_modalities(variants="variants_pathways")],
    },
    "encoder of expression": {
        **{name: [_swapped("expression", name)] for name in ("linear", "interaction", "piecewise_linear")},
        "expression_signatures": [_modalities(expression="expression_signatures")],
        "signature_tokens": [
            _modalities(expression="expression_signatures"),
            _swapped("expression_signatures", "signature_tokens"),
        ],
        "pathway_tokens": [_modalities(expression="expression_pathways")],
    },
    "encoder of methylation": {
        "linear": [_swapped("methylation", "linear")],
        "methylation_rotated": [_modalities(methylation="methylation_rotated")],
        "region_tokens": [_modalities(methylation="methylation_regions")],
    },
    "encoder of histology": {
        name: [_swapped("histology", name)]
        for name in ("mean_pool", "gated_attention", "latent_attention", "mil_transformer", "prototype_pool")
    },
    "fusion": {
        name: [f"fusion={name}"]
        for name in (
            *("masked_mean", "masked_attention", "pairwise_products", "concatenation", "gated", "self_attention"),
            *("co_attention", "latent_bottleneck", "low_rank_bilinear", "risk_attention", "product_of_experts", "late"),
        )
    },
    "temporal": {
        name: [f"temporal={name}"]
        for name in (
            *("last_visit", "gru", "decay_gru", "decay_lstm", "causal_transformer", "continuous_decay"),
            "change_from_baseline",
        )
    },
    "loss": {
        name: [f"loss@tasks.{TASK}.loss={name}"]
        for name in (
            *("cox_stratified", "logistic_hazard", "pc_hazard", "mtlr", "deephit", "weibull_aft", "lognormal_aft"),
            *("rank", "interval_hazard"),
        )
    },
    "small cohorts": {
        "one member": ["members=1"],
        "five members": ["members=5"],
        "no modality dropout": ["model.modality_dropout.rate=0"],
        "matched modality dropout": ["modality_dropout=matched"],
        "mixup": ["model.mixup=0.4"],
        "loss of each modality": ["model.auxiliary=0.3"],
        "single-modality pretraining, frozen": ["pretraining=single_modality"],
        "alignment": ["pretraining=alignment"],
        "reconstruction": ["pretraining=reconstruction"],
        "weight decay 1.0": ["optimizer.weight_decay=1.0"],
        "with plain models": ["anchor=linear"],
        "residual of plain models": ["anchor=residual"],
    },
}


def compared(folders: Mapping[str, Path]) -> list[VariantScore]:
    """Scores of all finished runs and their differences to the reference."""
    tables = {
        label: ModelTable(
            pd.read_parquet(folder / "predictions.parquet"),
            pd.read_csv(folder / "splits.csv", dtype={"patient_id": str}),
        )
        for label, folder in folders.items()
        if finished(folder)
    }
    found = compare_runs(tables, horizons=(365.0,), landmarks=(42.0, 84.0), resamples=1000)
    return variant_scores(found, {label: label for label in tables}, REFERENCE)


def rows_of(scores: Sequence[VariantScore], seconds: Mapping[str, float]) -> list[dict[str, str]]:
    """The table to be read: an option, its score and difference at baseline and at week 6, and its time."""
    table: dict[str, dict[str, str]] = {}
    for score in scores:
        row = table.setdefault(score.variant, {"option": score.variant})
        at = "baseline" if score.day == 0 else "week 6"
        row[f"C-index, {at}"] = digits(score.value.value)
        away = score.difference
        row[f"difference, {at}"] = f"{signed(away.value)} [{bounds(away)}]" if away else ""
    return [{**row, "seconds": f"{seconds[option]:.0f}"} for option, row in table.items()]


def by_chance(scores: Sequence[VariantScore]) -> str:
    """How options fare where there is nothing to find: how many intervals hold .5, and how far values lie from it."""
    said = []
    for day, at in ((0, "baseline"), (42, "week 6")):
        found = [score.value for score in scores if score.day == day and score.value.low is not None]
        held = sum(each.low <= 0.5 <= each.high for each in found)
        values = [each.value for each in found]
        if values:
            said.append(f"{at}: {held} of {len(found)} intervals hold .5; {min(values):.3f} to {max(values):.3f}")
    return "; ".join(said)


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    cohort, patients = given.get("cohort", "strong"), int(given.get("patients", "240"))
    groups = given.get("only", "").split(",") if given.get("only") else list(OPTIONS)
    place = ROOT / "runs" / "models" / f"{cohort}_{patients}"
    options: dict[str, Sequence[str]] = {REFERENCE: []}
    for group in groups:
        options |= {f"{group}: {name}": overrides for name, overrides in OPTIONS[group].items()}
    folders = {label: place / "".join(c if c.isalnum() else "_" for c in label) for label in options}
    cohort_words = [f"data.simulate.preset={cohort}", f"data.simulate.patients={patients}"]
    if given.get("run") == "true":
        runs = {f: [*SHARED, *options[label], *cohort_words, f"name={f.name}"] for label, f in folders.items()}
        train_all(runs, int(given.get("jobs", "1")))
    if not finished(folders[REFERENCE]):
        print(f"no finished run below {place}; run=true makes them")
        return
    seconds = {label: fit_seconds(folder) for label, folder in folders.items()}
    scores = compared(folders)
    rows = rows_of(scores, seconds)
    print(markdown(rows))
    if cohort == "null":
        print(by_chance(scores))
    out = Path(given.get("out", ROOT / "runs" / "bench" / f"models_{cohort}.json"))
    write(out, cohort=cohort, patients=patients, rows=rows)


if __name__ == "__main__":
    main(sys.argv[1:])
