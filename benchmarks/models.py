"""Every option of the model beside the default, on the same patients: the table of docs/models.md.

    python benchmarks/models.py run=true [cohorts=strong,nonlinear] [seeds=0,1] [patients=240] [jobs=2] [only=fusion]
    python benchmarks/models.py [out=FILE]        the table of the runs that are finished

Each option is one run of `scripts/train.py` per simulated cohort (network alone, without the plain models that
otherwise answer with it, so that options can be told apart; losses also beside them), with a folder of its own under
runs/models/COHORT/; finished ones are not run again. Then all are compared with the reference on the same patients and
the same resamples, and differences are averaged over the seeds. A second table says how good the curves of losses are.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from _runs import MODALITIES, ROOT, finished, fit_seconds, markdown, scores_of, train_all
from _timing import write

from fusion.metrics import ModelTable, compare_runs
from fusion.report.ablation import VariantScore, variant_scores
from fusion.report.run_folder import Estimate
from fusion.report.words import bounds, digits, signed

REFERENCE = "reference"
TASK = "os"
#: What every run shares: one task, three folds once, three members, no plain models.
SHARED = (
    *("baselines=none", f"task=[{TASK}]", "members=3", "split.folds=3", "split.repeats=1", "anchor=none"),
    *("final_model=false", "trainer=quiet", "evaluation.report=false"),
    *("evaluation.resamples=20", "evaluation.landmarks=[42,84]"),
)


#: Losses that plain models can speak through.
SPOKEN_THROUGH = (
    *("cox", "cox_stratified", "logistic_hazard", "pc_hazard", "deephit", "weibull_aft", "lognormal_aft", "rank"),
    "interval_hazard",
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
    "loss": {name: [f"loss@tasks.{TASK}.loss={name}"] for name in ("mtlr", *SPOKEN_THROUGH) if name != "cox"},
    "loss beside plain models": {name: ["anchor=linear", f"loss@tasks.{TASK}.loss={name}"] for name in SPOKEN_THROUGH},
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


def pooled(found: Sequence[Estimate]) -> Estimate:
    """Mean of estimates from separate cohorts, its interval from theirs."""
    value = float(np.mean([each.value for each in found]))
    half = [(each.high - each.low) / 2 for each in found if each.low is not None and each.high is not None]
    if len(half) < len(found):
        return Estimate(value=value)
    away = float(np.linalg.norm(half)) / len(half)
    return Estimate(value=value, low=value - away, high=value + away)


def rows_of(cohorts: Mapping[str, Sequence[VariantScore]], seconds: Mapping[str, float]) -> list[dict[str, str]]:
    """The table to be read: of the reference its C-index, of the others the difference to it, and their time.

    Args:
        cohorts: Scores of every simulated preset, those of all its seeds.
        seconds: Of fitting, by option.
    """
    table: dict[str, dict[str, str]] = {}
    for preset, scores in cohorts.items():
        for variant, day in dict.fromkeys((score.variant, score.day) for score in scores):
            mine = [score for score in scores if (score.variant, score.day) == (variant, day)]
            away = [score.difference for score in mine if score.difference]
            at = f"{preset}, {'baseline' if day == 0 else 'week 6'}"
            row = table.setdefault(variant, {"option": variant})
            if away:
                mean = pooled(away)
                row[at] = f"{signed(mean.value)} [{bounds(mean)}]"
            else:
                row[at] = f"C-index {digits(pooled([score.value for score in mine]).value)}"
    return [{**row, "seconds": f"{seconds[option]:.0f}"} for option, row in table.items()]


def curves(folders: Mapping[str, Sequence[Path]]) -> list[dict[str, str]]:
    """How good the curves of losses are, which a C-index does not say: means over all cohorts.

    Args:
        folders: Finished runs of every option.
    """
    rows = []
    for option, mine in folders.items():
        if mine and (option == REFERENCE or option.startswith("loss")):
            row = {"option": option}
            for measure, name in (("scaled_ibs", "scaled integrated Brier score"), ("calibration_slope", "slope")):
                days = np.mean([scores_of(folder, measure)["fusion"] for folder in mine], axis=0)
                row[f"{name}: baseline, week 6, week 12"] = ", ".join(f"{value:.2f}" for value in days)
            rows.append(row)
    return rows


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
    presets, seeds = given.get("cohorts", "strong").split(","), given.get("seeds", "0").split(",")
    patients = int(given.get("patients", "240"))
    groups = given.get("only", "").split(",") if given.get("only") else list(OPTIONS)
    options: dict[str, Sequence[str]] = {REFERENCE: []}
    for group in groups:
        options |= {f"{group}: {name}": overrides for name, overrides in OPTIONS[group].items()}
    place = ROOT / "runs" / "models"
    folders = {
        (preset, seed): {
            label: place / f"{preset}_{patients}_seed{seed}" / "".join(c if c.isalnum() else "_" for c in label)
            for label in options
        }
        for seed in seeds
        for preset in presets
    }
    if given.get("run") == "true":
        runs: dict[Path, Sequence[str]] = {}
        for (preset, seed), of_cohort in folders.items():
            simulated = f"data.simulate={{preset: {preset}, patients: {patients}, seed: {seed}}}"
            runs |= {f: [*SHARED, *options[label], simulated, f"name={f.name}"] for label, f in of_cohort.items()}
        train_all(runs, int(given.get("jobs", "1")))
    done = {key: of_cohort for key, of_cohort in folders.items() if finished(of_cohort[REFERENCE])}
    if not done:
        print(f"no finished run below {place}; run=true makes them")
        return
    cohorts: dict[str, list[VariantScore]] = {}
    for (preset, _), of_cohort in done.items():
        cohorts.setdefault(preset, []).extend(compared(of_cohort))
    spent = {label: [fit_seconds(of_cohort[label]) for of_cohort in done.values()] for label in options}
    seconds = {label: float(np.nanmean(each)) for label, each in spent.items() if np.isfinite(each).any()}
    rows = rows_of(cohorts, seconds)
    print(markdown(rows))
    finished_of = {label: [f[label] for f in done.values() if finished(f[label])] for label in options}
    of_losses = curves(finished_of)
    print(markdown(of_losses))
    if "null" in cohorts:
        print(by_chance(cohorts["null"]))
    out = Path(given.get("out", ROOT / "runs" / "bench" / "models.json"))
    write(
        out, cohorts=[f"{preset}, seed {seed}" for preset, seed in done], patients=patients, rows=rows, curves=of_losses
    )


if __name__ == "__main__":
    main(sys.argv[1:])
