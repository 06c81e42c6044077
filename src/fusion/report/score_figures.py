"""Figures of scores: time-dependent AUC, gain over landmarks, calibration of response, training curves."""

import re
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from fusion.metrics.calibration import response_calibration_curve
from fusion.metrics.scorer import FUSION, FUSION_AT_BASELINE
from fusion.report.plates import Plate
from fusion.report.run_folder import RESPONSE, Estimate, Run
from fusion.report.style import (
    BAND,
    DAYS_PER_MONTH,
    MODEL_COLOURS,
    MUTED,
    RULE,
    figure_style,
    panel,
    spread,
    to_svg,
)
from fusion.report.survival_figures import draw_reliability, num_groups
from fusion.report.words import bounds, chart_name, digits, listed, model_name, short_name, signed, task_name, when

#: Per model, place on the time axis and figure.
Lines = dict[str, list[tuple[float, Estimate]]]
#: Baselines drawn beside our model: the best ones.
NUM_BASELINES = 2


def best_baselines(run: Run, task: str, landmark: float | None = None) -> list[str]:
    """The baselines with the highest C-index, best first."""
    figures = {model: run.estimate(task, model, "c_index", landmark) for model in run.baseline_models(task)}
    scored = {model: figure.value for model, figure in figures.items() if figure is not None and model != "km"}
    return sorted(scored, key=lambda model: -scored[model])[:NUM_BASELINES]


def auc_lines(run: Run, task: str) -> Lines:
    """AUC at baseline every three months, as far as enough patients had the event and enough are followed beyond."""
    models = run.drawn.get(task, {}).get("auc", {})
    lines = {model: run.line(task, "auc", model) for model in models}
    return {
        model: [(day / DAYS_PER_MONTH, figure) for day, figure in points] for model, points in lines.items() if points
    }


def auc_plate(run: Run, task: str) -> Plate:
    """Time-dependent AUC at baseline for our model and the best baselines."""
    title = f"{short_name(task)}: AUC over time"
    lines = auc_lines(run, task)
    if FUSION not in lines:
        return Plate(title, "Not drawn: at no time have 10 patients had the event while 10 are followed beyond it.")
    with figure_style():
        figure, axes = panel()
        draw_score_lines(axes, lines, band=True)
        axes.set(xlabel="Months from baseline", ylabel="AUC")
        axes.set_xticks(np.arange(0, max(month for month, _ in lines[FUSION]) + 1, 6))
        svg = to_svg(
            figure,
            key=f"auc-{run.endpoints.index(task)}",
            title=f"Time-dependent AUC of {task_name(task)}",
            description=spoken(lines, "month"),
        )
    return Plate(
        title,
        "Cumulative/dynamic AUC at baseline every three months, weighted for patients lost to follow-up. Shaded: 95 % "
        "interval of our model. The dotted line is chance.",
        svg,
    )


def landmark_lines(run: Run, task: str) -> Lines:
    """C-index over prediction times: our model, the same held to its baseline visit, the best baselines."""
    days = (None, *run.landmarks(task))
    best = [model for day in (days[0], days[-1]) for model in best_baselines(run, task, day)[:1]]
    chosen = [FUSION, FUSION_AT_BASELINE, *best]
    lines: Lines = {}
    for model in dict.fromkeys(chosen):
        found = [(day or 0.0, run.estimate(task, model, "c_index", day)) for day in days]
        points = [(day / 7, figure) for day, figure in found if figure is not None]
        if points:
            lines[model] = points
    return lines


def landmark_plate(run: Run, task: str) -> Plate:
    """C-index at baseline and at the landmarks, and what the visits since baseline added."""
    title = f"{short_name(task)}: what later visits add"
    lines = landmark_lines(run, task)
    if len(lines.get(FUSION, [])) < 2:
        return Plate(title, "Not drawn: no later visit of this cohort has enough patients still at risk to be scored.")
    with figure_style():
        figure, axes = panel()
        draw_score_lines(axes, lines, band=False)
        axes.set_xticks([week for week, _ in lines[FUSION]])
        axes.set(xlabel="Week of prediction", ylabel="C-index")
        svg = to_svg(
            figure,
            key=f"landmark-{run.endpoints.index(task)}",
            title=f"C-index of {task_name(task)} at baseline and at later visits",
            description=spoken(lines, "week"),
        )
    gains = [(day, run.gain(task, FUSION_AT_BASELINE, "c_index", day)) for day in run.landmarks(task)]
    added = [f"{signed(gain.value)} ({bounds(gain)}) at {when(day)}" for day, gain in gains if gain is not None]
    sentence = f" Visits since baseline changed the C-index of our model by {listed(added)}." if added else ""
    return Plate(
        title,
        "Predictions made anew from all that is known by the visit, scored in the patients then still free of the "
        "event. The patients differ between weeks, so compare models within a week. Bars: 95 % interval; dashed: our "
        f"model held to what it knew at baseline.{sentence}",
        svg,
    )


def draw_score_lines(axes: Axes, lines: Lines, *, band: bool, chance: float = 0.5) -> None:
    """One line a model, named at its right end; intervals as a band for ours or as bars for all; chance is dotted."""
    shown = [(f, model == FUSION or not band) for model, points in lines.items() for _, f in points]
    lowest = min(f.low if f.low is not None and interval else f.value for f, interval in shown)
    highest = max(f.high if f.high is not None and interval else f.value for f, interval in shown)
    bottom, top = min(chance - 0.05, np.floor(lowest * 20) / 20), min(1.0, np.ceil(highest * 20) / 20)
    width = max(x for points in lines.values() for x, _ in points) - min(x for p in lines.values() for x, _ in p)
    baselines = [model for model in lines if model not in (FUSION, FUSION_AT_BASELINE)]
    ends = []
    for i, (model, points) in enumerate(lines.items()):
        ours = model in (FUSION, FUSION_AT_BASELINE)
        series = 0 if ours else 1 + baselines.index(model) % (len(MODEL_COLOURS) - 1)
        colour, marker = MODEL_COLOURS[series], "osD^"[series]
        x = np.array([place for place, _ in points], dtype=np.float64)
        value = np.array([f.value for _, f in points], dtype=np.float64)
        low = np.array([f.value if f.low is None else f.low for _, f in points], dtype=np.float64)
        high = np.array([f.value if f.high is None else f.high for _, f in points], dtype=np.float64)
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "zorder": 2, "linewidth": 1.3}
        if model == FUSION:
            style.update(linewidth=2.2, zorder=3)
        if model == FUSION_AT_BASELINE:
            style.update(linestyle=(0, (4, 2)))
        drawn: list[Artist] = []
        if band:
            drawn += axes.plot(x, value, **style)
            if model == FUSION and len(x) > 1:
                drawn.append(axes.fill_between(x, low, high, color=colour, alpha=BAND, linewidth=0))
        else:
            moved = x + width * 0.012 * (i - (len(lines) - 1) / 2)  # bars side by side
            drawn += axes.plot(moved, value, **style)
            drawn.append(axes.vlines(moved, low, high, color=colour, linewidth=1))
        for part, artist in enumerate(drawn):
            artist.set_gid(f"model-{slug(model)}.{part}")
        ends.append((model, colour, float(value[-1])))
    axes.axhline(chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_ylim(bottom, top)
    places = spread([value for _, _, value in ends], gap=(top - bottom) * 0.075)
    for (model, colour, _), place in zip(ends, places, strict=True):
        label = axes.annotate(
            chart_name(model),
            xy=(1.02, place),
            xycoords=("axes fraction", "data"),
            color=colour,
            va="center",
            fontsize=7.8,
            fontweight="bold" if model == FUSION else "normal",
        )
        label.set_gid(f"model-{slug(model)}.9")
    axes.grid(axis="y", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)


def slug(model: str) -> str:
    """A model's name as it may stand in an attribute.

    >>> slug("cox_all")
    'cox-all'
    """
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "model"


def spoken(lines: Lines, unit: str) -> str:
    parts = []
    for model, points in lines.items():
        figures = ", ".join(f"{digits(figure.value, 2)} at {unit} {place:.0f}" for place, figure in points)
        parts.append(f"{model_name(model)}: {figures}")
    return ". ".join(parts)


def response_plate(run: Run) -> Plate:
    """Predicted probability of response against the share of responders, in groups by prediction."""
    title = "Response: predicted against observed"
    rows = run.at_visit(RESPONSE).dropna(subset=["prob_responder", "label"])
    responded = rows["label"].to_numpy(dtype=np.float64) == 1
    if len(rows) < 20 or min(responded.sum(), (~responded).sum()) < 5:
        return Plate(title, "Not drawn: fewer than 20 assessed patients, or fewer than 5 with or without response.")
    predicted = rows["prob_responder"].to_numpy(dtype=np.float64)
    curve = response_calibration_curve(predicted, responded, num_groups(len(rows)))
    slope, ici = (run.estimate(RESPONSE, FUSION, name) for name in ("calibration_slope", "ici"))
    with figure_style():
        figure, axes = panel(height=3.4)
        draw_reliability(axes, curve, series=0, label="")
        axes.set(xlabel="Predicted probability of response", ylabel="Observed")
        svg = to_svg(
            figure,
            key="calibration-response",
            title="Calibration of predicted objective response",
            description="Share of responders by predicted probability, in groups of patients; the diagonal is ideal.",
        )
    sentence = f" Calibration slope {digits(slope.value, 2)} ({bounds(slope, 2)}); ideal is 1." if slope else ""
    sentence += f" ICI {digits(ici.value)}; ideal is 0." if ici else ""
    return Plate(title, f"Groups of patients with similar predictions at baseline; bars: 95 % interval.{sentence}", svg)


def training_plates(run: Run) -> list[Plate]:
    """Training and validation loss by epoch: a thin line per fold, a thick one for the median."""
    if run.curves.empty:
        return [Plate("Training curves", "Not drawn: this run folder has no loss by epoch.")]
    plates = []
    top = float(run.curves["loss"].quantile(0.995))
    bottom = float(run.curves["loss"].min())
    last = max(1, int(run.curves["epoch"].max()))
    for i, (part, name) in enumerate((("train", "Training loss"), ("val", "Validation loss"))):
        mine = run.curves[run.curves["part"] == part]
        if mine.empty:
            plates.append(Plate(name, "Not drawn: no such loss was logged."))
            continue
        wide = mine.pivot_table(index="epoch", columns=["repeat", "fold"], values="loss")
        middle = wide.median(axis=1).where(wide.notna().mean(axis=1) >= 0.5).dropna()
        with figure_style():
            figure, axes = panel()
            axes.plot(wide.index, wide.to_numpy(), color=MODEL_COLOURS[i], linewidth=0.6, alpha=0.45)
            axes.plot(middle.index, middle.to_numpy(), color=MODEL_COLOURS[i], linewidth=2.2)
            axes.set(xlabel="Epoch", ylabel="Loss", xlim=(0, last), ylim=(bottom - 0.04 * (top - bottom), top))
            svg = to_svg(
                figure,
                key=f"training-{part}",
                title=name,
                description=f"{name} of {wide.shape[1]} folds over {len(wide)} epochs; median ends at "
                f"{digits(float(middle.iloc[-1]), 2)}.",
            )
        caption = f"Thin: each of {wide.shape[1]} folds. Thick: their median, while half of the folds still train."
        plates.append(Plate(name, caption, svg))
    return plates
