"""One picture of a run for a README: risk groups, what later visits add, calibration."""

from pathlib import Path

from matplotlib.figure import Figure

from fusion.metrics.scorer import FUSION
from fusion.report.run_folder import Run, read_run
from fusion.report.score_figures import draw_score_lines, landmark_lines
from fusion.report.style import figure_style
from fusion.report.survival_figures import (
    calibration_horizons,
    draw_calibration,
    draw_kaplan_meier,
    too_few,
)
from fusion.report.words import task_name


def headline_figure(run: Path, out: Path) -> Path:
    """Draw three panels of the first endpoint of a run as PNG (or by the suffix of `out`) and return `out`.

    Raises:
        ValueError: The run has no endpoint with enough events and a landmark.
    """
    found = read_run(run)
    task = next((task for task in found.endpoints if _drawable(found, task)), None)
    if task is None:
        raise ValueError(f"{run} has no endpoint with enough events and a landmark: draw another run")
    rows = found.at_visit(task)
    with figure_style():
        figure = Figure(figsize=(12.4, 3.6), layout="constrained")
        curves, gain, calibration = figure.subplots(1, 3, width_ratios=(1.15, 1.05, 0.95))
        draw_kaplan_meier(curves, rows, unit=task_name(task))
        draw_score_lines(gain, landmark_lines(found, task), band=False)
        gain.set_xticks([week for week, _ in landmark_lines(found, task)[FUSION]])
        gain.set(xlabel="Week of prediction", ylabel="C-index")
        draw_calibration(calibration, rows, calibration_horizons(found, task))
        titles = (
            "Held-out patients by predicted risk",
            "Predicted at baseline and later",
            "Predicted against observed",
        )
        for axes, title in zip((curves, gain, calibration), titles, strict=True):
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=10)
        out.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Software": None} if out.suffix == ".png" else {"Date": None}
        figure.savefig(out, dpi=160, facecolor="white", metadata=metadata)
    return out


def _drawable(run: Run, task: str) -> bool:
    enough = too_few(run.at_visit(task)) is None and bool(calibration_horizons(run, task))
    return enough and len(landmark_lines(run, task).get(FUSION, [])) > 1
