"""The table of docs/pbc2.md, dynamic prediction of death in biliary cirrhosis, from a run folder and nothing else.

    python benchmarks/pbc2.py --run       makes the cohort and runs the experiment (about four minutes), then writes
    python benchmarks/pbc2.py             writes from the latest finished run in runs/pbc2
    python benchmarks/pbc2.py out=FILE    prints the tables, writes them as JSON, and leaves the page alone
                                          (--name NAME: of the latest run in runs/NAME)

The cohort needs the public table: FUSION_DATA=its parent folder (examples/README.md).

Dimension key: W weightings of the patients, the sample itself first.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from results import ROOT, TRAIN, Experiment, between_markers, latest_run, run_experiment, table

from fusion.metrics.bootstrap import FEW_EVENTS, average, difference, figure, patient_weights, replicate
from fusion.metrics.competing import Competing
from fusion.metrics.dynamic import ModelTable, held_out
from fusion.metrics.functional import scaled_brier
from fusion.metrics.survival import HeldOut, auc_at, brier_at
from fusion.metrics.weighted import auc, concordance, mean
from fusion.run.folder import config_of, read_run

Floats = NDArray[np.float64]

EXPERIMENT = Experiment("pbc2", "biliary cirrhosis (Mayo)", f"{TRAIN} experiment=pbc2", convert="examples/pbc2.py")
YEAR = 365.25
CAUSE, EITHER = "death", "os"
OURS, PLAIN = "fusion", "landmark_cox"
MODELS = (OURS, PLAIN, "landmark_mean", "landmark_visits", "cox_all", "cox_clinical")
#: Scores of a window and what they are called; the mean over windows is taken of each.
SCORES = {
    "auc_pooled": "AUC, folds pooled",
    "scaled_brier": "scaled Brier",
    "auc": "AUC within folds",
    "c_index": "C-index",
    "auc_censored": "AUC, transplanted censored",
    "scaled_brier_censored": "scaled Brier, transplanted censored",
}
#: Mean AUC and mean scaled Brier to beat, by model; the first row is the mark for `landmark_cox`.
TO_BEAT = {"landmark Cox, last value": (0.847, 0.268), "GRU, untuned": (0.853, 0.241), "baseline Cox": (0.755, 0.127)}
#: AUC and C of the landmark Cox to beat, by years of landmark and window.
TO_BEAT_AT = {
    (1, 2): (0.913, 0.885),
    (1, 5): (0.893, 0.864),
    (3, 3): (0.868, 0.842),
    (3, 5): (0.836, 0.828),
    (5, 2): (0.820, 0.810),
    (5, 5): (0.765, 0.779),
}
#: Composite endpoint, AUC at year 8 given the data to year 5, joint model of JMbayes2 in 5-fold cross-validation.
COMPOSITE, JOINT_MODEL = (1826.0, 1096.0), 0.818


@dataclass(frozen=True)
class Window:
    """A landmark and a look ahead from it, with the scores of every model.

    Attributes:
        landmark: Day.
        horizon: Days after it.
        at_risk: Patients alive and not transplanted at the landmark.
        events: Deaths in the window.
        values: "W" by model and score.
    """

    landmark: float
    horizon: float
    at_risk: int
    events: int
    values: Mapping[str, Mapping[str, Floats]]

    @property
    def years(self) -> tuple[int, int]:
        return round(self.landmark / YEAR), round(self.horizon / YEAR)


def window_scores(pair: Competing, horizon: float, weights: Floats) -> dict[str, Floats]:
    """Every score of one repeat and one model, "W" each."""
    cause, at = pair.cause, pair.cause.column(horizon)
    probability, (case, control) = pair.probability[:, at], (each[:, at] for each in pair.weights)
    inside = cause.event & (cause.duration <= horizon)
    brier, reference = (mean(weights, terms[:, at]) for terms in (pair.brier, pair.reference_brier))
    return {
        "auc_pooled": auc(weights, probability, case, control, np.zeros_like(cause.fold)),
        "scaled_brier": scaled_brier(brier, reference),
        "auc": auc(weights, probability, case, control, cause.fold),
        "c_index": concordance(weights, probability, cause.duration, inside, inside.astype(np.float64), cause.fold),
        "auc_censored": auc_at(cause, horizon, weights),
        "scaled_brier_censored": brier_at(cause, horizon, weights)[f"scaled_brier/{horizon:g}"],
    }


def mean_scores(windows: Sequence[Window], model: str) -> dict[str, Floats]:
    """Mean over the windows with enough events, "W" by score."""
    known = [window.values[model] for window in windows if window.events >= FEW_EVENTS]
    return {score: np.mean([values[score] for values in known], axis=0) for score in SCORES}


def standard_error(values: Floats) -> float:
    """Spread of a score over the resamples of the patients."""
    return float(np.nanstd(values[1:], ddof=1))


@dataclass(frozen=True)
class Run:
    """Scores of a finished run."""

    windows: Sequence[Window]
    composite: Mapping[str, Floats]
    means: Mapping[str, Mapping[str, Floats]]
    repeats: int


def score_folder(folder: Path, resamples: int = 1000) -> Run:
    """Score the predictions of a run folder in every window, all models under the same weights of patients."""
    tables, evaluation = read_run(folder), config_of(folder)["evaluation"]
    horizons = tuple(float(horizon) for horizon in evaluation["horizons"])
    models = {OURS: ModelTable(tables.predictions, tables.splits)}
    if tables.baselines is not None:
        models |= {str(name): ModelTable(rows, tables.splits) for name, rows in tables.baselines.groupby("model")}
    models = {name: models[name] for name in MODELS if name in models}
    patients = sorted(tables.splits["patient_id"].unique())
    place = {patient: number for number, patient in enumerate(patients)}
    weights = patient_weights(len(patients), resamples, seed=0)

    def asked(model: ModelTable, task: str, landmark: float) -> list[HeldOut]:
        rows = model.predictions[model.predictions["task"] == task]
        return held_out(rows, landmark, model.training_patients(), place, horizons)

    windows = []
    for landmark in map(float, evaluation["landmarks"]):
        pairs = {
            name: [
                Competing(cause=cause, either=either)
                for cause, either in zip(asked(model, CAUSE, landmark), asked(model, EITHER, landmark), strict=True)
            ]
            for name, model in models.items()
        }
        first = pairs[OURS][0].cause
        for horizon in horizons:
            values = {
                name: average(
                    [replicate(partial(window_scores, pair, horizon), weights, pair.cause.patient) for pair in repeats]
                )
                for name, repeats in pairs.items()
            }
            events = int((first.event & (first.duration <= horizon)).sum())
            windows.append(Window(landmark, horizon, len(first.patient), events, values))
    composite = {
        name: average(
            [
                replicate(lambda drawn, each=each: {"auc": auc_at(each, COMPOSITE[1], drawn)}, weights, each.patient)
                for each in asked(model, EITHER, COMPOSITE[0])
            ]
        )["auc"]
        for name, model in models.items()
    }
    means = {name: mean_scores(windows, name) for name in models}
    return Run(windows, composite, means, repeats=tables.splits["repeat"].nunique())


def short(value: float, *, signed: bool = False) -> str:
    """A figure without its leading zero.

    >>> short(0.8473), short(-0.012, signed=True), short(0.004, signed=True)
    ('.847', '-.012', '+.004')
    """
    return f"{value:+.3f}".replace("0.", ".", 1) if signed else f"{value:.3f}".replace("0.", ".", 1)


def with_error(values: Floats, *, signed: bool = False) -> str:
    """A figure and its standard error."""
    return f"{short(float(values[0]), signed=signed)} ({short(standard_error(values))})"


def table_of_means(run: Run) -> str:
    """Means over the windows by model, what there is to beat, and the paired difference to the landmark model."""
    lines = [[name, *(with_error(values[score]) for score in SCORES)] for name, values in run.means.items()]
    if PLAIN in run.means:
        ours, plain = run.means[OURS], run.means[PLAIN]
        lines.append([f"{OURS} - {PLAIN}", *(with_error(ours[score] - plain[score], signed=True) for score in SCORES)])
    lines += [
        [f"to beat: {name}", short(area), short(brier), *["" for _ in list(SCORES)[2:]]]
        for name, (area, brier) in TO_BEAT.items()
    ]
    return table(["model", *SCORES.values()], lines)


def table_of_windows(run: Run) -> str:
    """AUC over pooled folds / scaled Brier / C-index of every model in every window."""
    lines = []
    for window in run.windows:
        found = [
            " / ".join(short(float(values[score][0])) for score in ("auc_pooled", "scaled_brier", "c_index"))
            for values in window.values.values()
        ]
        area, c_index = TO_BEAT_AT.get(window.years, (None, None))
        goal = f"{short(area)} / / {short(c_index)}" if area and c_index else ""
        years = f"{window.years[0]}, {window.years[1]}"
        lines.append([years, str(window.at_risk), str(window.events), *found, goal])
    return table(["years", "at risk", "deaths", *run.means, "landmark Cox to beat"], lines)


def table_of_composite(run: Run) -> str:
    """AUC at year 8 given the data to year 5, death or transplantation."""
    found = [[name, with_error(values)] for name, values in run.composite.items()]
    return table(["model", "AUC"], [*found, ["JMbayes2, joint model", short(JOINT_MODEL)]])


def page(run: Run) -> str:
    """What stands between the markers of docs/pbc2.md."""
    counted = sum(window.events >= FEW_EVENTS for window in run.windows)
    return "\n\n".join(
        [
            f"Means over {counted} windows, {run.repeats} repeats of cross-validation; in brackets the standard error "
            "by redrawing patients.",
            table_of_means(run),
            "By years of landmark and window, AUC over pooled folds / scaled Brier / C-index within folds:",
            table_of_windows(run),
            "Death or transplantation, year 8 given the data to year 5:",
            table_of_composite(run),
        ]
    )


def as_json(run: Run) -> dict[str, object]:
    """The tables as values."""
    means = {
        name: {score: figure(each, FEW_EVENTS) | {"error": standard_error(each)} for score, each in values.items()}
        for name, values in run.means.items()
    }
    gain = {
        score: difference(run.means[OURS][score], run.means[PLAIN][score], FEW_EVENTS)
        for score in (SCORES if PLAIN in run.means else ())
    }
    windows = [
        {
            "landmark": window.landmark,
            "horizon": window.horizon,
            "at_risk": window.at_risk,
            "deaths": window.events,
            "models": {
                name: {score: float(each[0]) for score, each in values.items()}
                for name, values in window.values.items()
            },
        }
        for window in run.windows
    ]
    composite = {name: figure(values, FEW_EVENTS) for name, values in run.composite.items()}
    return {"mean": means, f"{OURS} - {PLAIN}": gain, "windows": windows, "composite": composite}


def main() -> int:
    """Run if asked for, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the experiment first")
    parser.add_argument("--name", default=EXPERIMENT.name, help="folder of the run below runs/")
    parser.add_argument("out", nargs="?", help="out=FILE: print, write JSON, leave the page alone")
    options = parser.parse_args()
    if options.run:
        run_experiment(EXPERIMENT)
    folder = latest_run(options.name)
    if folder is None:
        print(f"no finished run in runs/{options.name}; make it with --run", file=sys.stderr)
        return 0 if options.out else 1  # `make bench` goes on
    run = score_folder(folder)
    print(page(run))
    if options.out:
        Path(options.out.removeprefix("out=")).write_text(json.dumps(as_json(run), indent=1) + "\n")
    else:
        between_markers(ROOT / "docs" / "pbc2.md", page(run))
    return 0


if __name__ == "__main__":
    sys.exit(main())
