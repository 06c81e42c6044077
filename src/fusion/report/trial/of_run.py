"""The figures of a run's held-out predictions: those of the report as files, ROC curves, forests of subgroups."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fusion.metrics.calibration import response_calibration_curve
from fusion.metrics.scorer import FUSION
from fusion.report import decision_figures
from fusion.report.decision_figures import TREAT_ALL, decision_plate
from fusion.report.plates import Plate
from fusion.report.run_folder import RESPONSE, Run, as_estimate, only_estimate
from fusion.report.score_figures import (
    auc_lines,
    auc_plate,
    draw_score_lines,
    landmark_lines,
    landmark_plate,
    response_plate,
)
from fusion.report.style import DAYS_PER_MONTH, figure_style, panel
from fusion.report.survival_figures import (
    calibration_horizons,
    calibration_plate,
    draw_calibration,
    draw_kaplan_meier,
    draw_number_at_risk,
    draw_reliability,
    kaplan_meier_plate,
    num_groups,
)
from fusion.report.trial.drawing import Drawing
from fusion.report.trial.forest import forest
from fusion.report.trial.hazard_ratios import Effect, subgroup_effects
from fusion.report.trial.plans import Plan, plan
from fusion.report.trial.roc import time_dependent_roc
from fusion.report.words import covariate_name, short_name, task_name


def run_plans(run: Run, groups: pd.DataFrame | None = None) -> dict[str, Callable[[], Drawing]]:
    """All figures of the predictions of a run, by name.

    Args:
        run: A finished run.
        groups: Covariates that define subgroups, as text, by `patient_id`.
    """
    plans = []
    for task in run.endpoints:
        plans += [
            _from_plate(
                f"kaplan_meier_{task}", partial(kaplan_meier_plate, run, task), partial(_kaplan_meier, run, task)
            ),
            _from_plate(f"calibration_{task}", partial(calibration_plate, run, task), partial(_calibration, run, task)),
            _roc(run, task),
            _from_plate(f"auc_{task}", partial(auc_plate, run, task), partial(_auc, run, task)),
            _from_plate(f"landmark_{task}", partial(landmark_plate, run, task), partial(_landmark, run, task)),
            _from_plate(f"decision_{task}", partial(decision_plate, run, task), partial(_decision, run, task)),
            *_forests(run, task, groups),
        ]
    if run.has_response:
        plans += [
            _from_plate("calibration_response", partial(response_plate, run), partial(_response_calibration, run)),
            _from_plate("decision_response", partial(decision_plate, run, RESPONSE), partial(_decision, run, RESPONSE)),
        ]
    return dict(plans)


def _from_plate(name: str, plate: Callable[[], Plate], draw: Callable[[], Figure]) -> Plan:
    """A figure of the report as one of its own: its words, and the same axes drawn by the same functions."""

    def drawn() -> Drawing:
        found = plate()
        if found.svg is None:
            return Drawing(name, found.title, found.caption)
        with figure_style():
            return Drawing(name, found.title, found.caption, draw())

    return name, drawn


def _kaplan_meier(run: Run, task: str) -> Figure:
    figure = Figure(figsize=(5.2, 4.2), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=(4.6, 1))
    draw_kaplan_meier(axes, run.at_visit(task), unit=task_name(task))
    draw_number_at_risk(below, run.at_visit(task))
    return figure


def _calibration(run: Run, task: str) -> Figure:
    figure, axes = panel(4.1, 3.9)
    draw_calibration(axes, run.at_visit(task), calibration_horizons(run, task))
    return figure


def _response_calibration(run: Run) -> Figure:
    figure, axes = panel(4.1, 3.9)
    rows = run.at_visit(RESPONSE).dropna(subset=["prob_responder", "label"])
    responded = rows["label"].to_numpy(dtype=np.float64) == 1
    predicted = rows["prob_responder"].to_numpy(dtype=np.float64)
    curve = response_calibration_curve(predicted, responded, num_groups(len(rows)))
    draw_reliability(axes, curve, series=0, label="")
    axes.set(xlabel="Predicted probability of response", ylabel="Observed")
    return figure


def _auc(run: Run, task: str) -> Figure:
    figure, axes = panel(4.9, 3.4)
    lines = auc_lines(run, task)
    draw_score_lines(axes, lines, band=True)
    axes.set(xlabel="Months from baseline", ylabel="AUC")
    axes.set_xticks(np.arange(0, max(month for month, _ in lines[FUSION]) + 1, 6))
    return figure


def _landmark(run: Run, task: str) -> Figure:
    figure, axes = panel(4.9, 3.4)
    lines = landmark_lines(run, task)
    draw_score_lines(axes, lines, band=False)
    axes.set(xlabel="Week of prediction", ylabel="C-index")
    axes.set_xticks([week for week, _ in lines[FUSION]])
    return figure


def _decision(run: Run, task: str) -> Figure:
    found = run.drawn.get(task, {})
    lines = {model: run.line(task, "decision", model) for model in found.get("decision", {})}
    best = [model for model, points in lines.items() if points and model not in (FUSION, TREAT_ALL)][:1]
    horizon = found.get("horizon")
    outcome = "response" if task == RESPONSE else f"the event by {horizon / DAYS_PER_MONTH:.0f} months"
    figure, axes = panel(4.9, 3.8)
    decision_figures.draw_decision(axes, {model: lines[model] for model in (FUSION, *best, TREAT_ALL)})
    axes.set(xlabel=f"Threshold: probability of {outcome}", ylabel="Net benefit per patient")
    return figure


def _roc(run: Run, task: str) -> Plan:
    caption = (
        "Held-out patients at baseline, folds pooled, ordered by the predicted probability of the event by each time; "
        "cases are weighted for loss to follow-up, patients lost before are no controls. The AUC over time of the "
        "report compares within folds, and may differ a little."
    )
    horizons = calibration_horizons(run, task)
    title = f"{short_name(task)}: ROC curves by time"
    return plan(f"roc_{task}", title, caption, lambda: time_dependent_roc(run.at_visit(task), horizons))


def _forests(run: Run, task: str, groups: pd.DataFrame | None) -> list[Plan]:
    rows = run.at_visit(task)
    known = pd.DataFrame(index=pd.unique(rows["patient_id"])) if groups is None else groups
    risk = plan(
        f"forest_risk_{task}",
        f"{short_name(task)}: predicted risk within subgroups",
        "Hazard ratio per standard deviation of the predicted risk at baseline, on the scale of each fold, of held-out "
        "patients. Bars: 95 % interval, which takes the risks as given. Above 1: higher predicted risk, sooner event.",
        lambda: forest(subgroup_effects(rows, known), note="Per SD of predicted risk"),
    )
    score = plan(
        f"forest_c_index_{task}",
        f"{short_name(task)}: C-index within subgroups",
        "C-index of the held-out predictions at baseline in each subgroup; 0.5 is chance. Bars: 95 % interval of a "
        "bootstrap over patients.",
        lambda: forest(subgroup_scores(run, task), label="C-index", null=0.5, log=False),
    )
    return [risk, score]


def subgroup_scores(run: Run, task: str, metric: str = "c_index") -> list[Effect]:
    """A score of our model in all patients and in every subgroup, as `metrics.json` holds it."""
    scored: Mapping[str, Any] = run.scores.get(task, {}).get("model", {}).get(FUSION, {})
    found = [_score(scored, "All patients", "", metric)]
    for covariate, levels in run.subgroups.get(task, {}).items():
        found += [_score(each, str(level), covariate_name(str(covariate)), metric) for level, each in levels.items()]
    return found


def _score(figures: Mapping[str, Any], label: str, group: str, metric: str) -> Effect:
    number = only_estimate(figures.get(metric))
    patients, events = (as_estimate(figures.get(name)) for name in ("n", "events"))
    nan = float("nan")
    return Effect(
        label=label,
        patients=int(patients.value) if patients else 0,
        events=int(events.value) if events else 0,
        value=nan if number is None else number.value,
        low=nan if number is None or number.low is None else number.low,
        high=nan if number is None or number.high is None else number.high,
        group=group,
        note="too few patients" if number is None else "",
    )
