"""Figures over prediction times s: how well an event within the next window is foretold from what is known by s."""

from fusion.metrics.scorer import FUSION
from fusion.report.plates import Plate
from fusion.report.run_folder import Run
from fusion.report.score_figures import Lines, draw_score_lines, spoken
from fusion.report.style import DAYS_PER_MONTH, figure_style, panel, to_svg
from fusion.report.words import short_name, task_name

#: What is drawn of a prediction time: name of the figure, of its axis, value without skill, and how it is read.
PANELS = (
    ("auc", "AUC", 0.5, "The dotted line is chance."),
    ("scaled_brier", "Scaled Brier", 0.0, "1 is perfect; the dotted line is no better than Kaplan-Meier."),
)


def dynamic_lines(run: Run, task: str, figure: str) -> Lines:
    """Figure by week of prediction, of our model, the same held to its baseline visit, and last values."""
    lines: Lines = {}
    for model, days in run.drawn.get(task, {}).get("dynamic", {}).get("models", {}).items():
        found = [(float(day) / 7, run.drawn_figures(task, "dynamic", "models", model, day)) for day in days]
        points = [(week, figures[figure]) for week, figures in found if figure in figures]
        if points:
            lines[model] = points
    return lines


def dynamic_plates(run: Run, task: str) -> list[Plate]:
    """AUC and scaled Brier score over prediction times; nothing where patients have one visit."""
    window = run.drawn.get(task, {}).get("dynamic", {}).get("window")
    plates = []
    for figure, axis, chance, reading in PANELS:
        lines = dynamic_lines(run, task, figure)
        if window is None or len(lines.get(FUSION, [])) < 2:
            continue
        months = f"{window / DAYS_PER_MONTH:.0f} months"
        with figure_style():
            drawing, axes = panel()
            draw_score_lines(axes, lines, band=True, chance=chance)
            axes.set(xlabel="Week of prediction", ylabel=f"{axis}, next {months}")
            axes.set_xticks([week for week, _ in lines[FUSION] if week % 6 == 0])
            svg = to_svg(
                drawing,
                key=f"dynamic-{figure.replace('_', '-')}-{run.endpoints.index(task)}",
                title=f"{axis} of {task_name(task)} over prediction times",
                description=spoken(lines, "week"),
            )
        caption = (
            f"At every third week, patients still at risk, and what was known of them by then; event within the next "
            f"{months}. Shaded: 95 % interval of our model. {reading}"
        )
        plates.append(Plate(f"{short_name(task)}: {axis} over prediction times", caption, svg))
    return plates
