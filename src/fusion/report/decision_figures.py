"""Decision curves: would acting on the predicted probability do more good than treating everybody, or nobody?"""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from fusion.metrics.scorer import FUSION
from fusion.report.plates import Plate
from fusion.report.run_folder import RESPONSE, Run
from fusion.report.score_figures import Lines, slug
from fusion.report.style import BAND, DAYS_PER_MONTH, MODEL_COLOURS, MUTED, RULE, figure_style, panel, to_svg
from fusion.report.words import chart_name, digits, short_name, task_name

TREAT_ALL = "treat_all"


def decision_plate(run: Run, task: str) -> Plate:
    """Net benefit of our model and the best baseline beside treating all and treating none."""
    title = f"{short_name(task)}: decision curve"
    found = run.drawn.get(task, {})
    lines = {model: run.line(task, "decision", model) for model in found.get("decision", {})}
    lines = {model: points for model, points in lines.items() if points}
    if FUSION not in lines or any(figure.note for _, figure in lines[FUSION]):
        return Plate(title, "Not drawn: too few events by the horizon, or this run has no decision curves.")
    best = [model for model in lines if model not in (FUSION, TREAT_ALL)][:1]
    horizon = found.get("horizon")
    outcome = "response" if task == RESPONSE else f"the event by {horizon / DAYS_PER_MONTH:.0f} months"
    with figure_style():
        drawing, axes = panel(height=3.4)
        draw_decision(axes, {model: lines[model] for model in (FUSION, *best, TREAT_ALL)})
        axes.set(xlabel=f"Threshold: probability of {outcome}", ylabel="Net benefit per patient")
        key = "decision-response" if task == RESPONSE else f"decision-{run.endpoints.index(task)}"
        half = next((figure.value for at, figure in lines[FUSION] if at == 0.5), None)
        svg = to_svg(
            drawing,
            key=key,
            title=f"Decision curve of {task_name(task)}",
            description=f"Net benefit of our model at a threshold of one half: {digits(half)}. Treating none is 0.",
        )
    return Plate(
        title,
        "True positives less false positives, these weighted by the odds of the threshold at which one would act: the "
        f"highest line is the best policy there. Acting on {outcome} at baseline; dashed: treat all; shaded: 95 % "
        "interval of our model.",
        svg,
    )


def draw_decision(axes: Axes, lines: Lines) -> None:
    """One line a model, treating all dashed, treating none at zero."""
    top = max(figure.value if figure.high is None else figure.high for points in lines.values() for _, figure in points)
    for series, (model, points) in enumerate(lines.items()):
        x = np.array([at for at, _ in points])
        value = np.array([figure.value for _, figure in points])
        if model == TREAT_ALL:
            axes.plot(x, value, color=MUTED, linewidth=1.1, linestyle=(0, (4, 2)), label="Treat all")
            continue
        width = 2.2 if model == FUSION else 1.3
        colour = MODEL_COLOURS[series]
        drawn: list[Artist] = [*axes.plot(x, value, color=colour, linewidth=width, zorder=3, label=chart_name(model))]
        if model == FUSION:
            low = np.array([figure.value if figure.low is None else figure.low for _, figure in points])
            high = np.array([figure.value if figure.high is None else figure.high for _, figure in points])
            drawn.append(axes.fill_between(x, low, high, color=colour, alpha=BAND, linewidth=0))
        for part, artist in enumerate(drawn):
            artist.set_gid(f"model-{slug(model)}.{part}")
    axes.axhline(0.0, color=MUTED, linewidth=0.9, label="Treat none")
    axes.legend(frameon=False, loc="upper right", handlelength=2.2, borderaxespad=0)
    axes.set(ylim=(-0.12 * max(top, 0.1), top * 1.02), xlim=(0, 1))
    ticks = np.arange(0, 1.01, 0.25)
    axes.set_xticks(ticks, labels=[f"{100 * tick:.0f} %" for tick in ticks])
    axes.grid(axis="y", color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
