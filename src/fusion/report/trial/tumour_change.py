"""Change of tumour size from baseline: waterfall of the best change, spider of the course, from RECIST assessments."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fusion.report.style import INK, MUTED, RULE, figure_style
from fusion.report.trial.drawing import (
    RESPONSE_COLOURS,
    RESPONSE_NAMES,
    RESPONSES,
    NothingToDraw,
    count,
    footnote,
    known_response,
    legend_below,
    mark,
    response_patches,
)

#: Per cent of change at which the axis ends; more growth than this is cut, and marked.
TOP = 100.0
#: Partial response and progression by RECIST 1.1, in per cent.
SHRUNK, GROWN = -30.0, 20.0
#: Up to so many patients one spider shows; more are drawn in a panel per response.
ONE_PANEL = 40


def followed_scans(assessments: pd.DataFrame) -> pd.DataFrame:
    """Scans from baseline up to and including the first with progression, as `assess_lesions` returns them."""
    progressed = assessments["scan_day"].where(assessments["overall_response"] == "PD")
    last = progressed.groupby(assessments["patient_id"].to_numpy()).transform("min").fillna(np.inf)
    first = assessments["scan_day"].where(assessments["baseline"]).groupby(assessments["patient_id"].to_numpy())
    return assessments[(assessments["scan_day"] <= last) & (assessments["scan_day"] >= first.transform("min"))]


def best_changes(assessments: pd.DataFrame) -> pd.DataFrame:
    """Best change of every patient, largest growth first.

    Args:
        assessments: What `fusion.data.recist.assess_lesions` returns.

    Returns:
        Indexed by `patient_id`: `change` (per cent of the baseline sum of diameters, the least of all complete sums
        after baseline and up to progression), `new_lesion` (whether one was seen by then). Patients without such a sum
        are left out.
    """
    scans = followed_scans(assessments)
    after = scans[~scans["baseline"]]
    table = pd.DataFrame(
        {
            "change": 100 * after.groupby("patient_id")["change"].min(),
            "new_lesion": after.groupby("patient_id")["new_lesion"].any(),
        }
    ).dropna(subset=["change"])
    table = table.reset_index().sort_values(["change", "patient_id"], ascending=[False, True], ignore_index=True)
    return table.set_index("patient_id")


def waterfall(assessments: pd.DataFrame, response: pd.Series) -> Figure:
    """One bar per patient: best change of the sum of target-lesion diameters, coloured by best overall response.

    Args:
        assessments: What `fusion.data.recist.assess_lesions` returns.
        response: Best overall response by `patient_id`.

    Raises:
        NothingToDraw: No patient has a complete sum after baseline.
    """
    best = best_changes(assessments)
    if best.empty:
        raise NothingToDraw("no patient has all target lesions measured both at baseline and at a later scan")
    total = assessments["patient_id"].nunique()
    classes = [known_response(response.get(patient)) for patient in best.index]
    change = best["change"].to_numpy(dtype=np.float64)
    place = np.arange(len(best))
    with figure_style():
        figure = Figure(figsize=(min(11.0, 5.5 + 0.025 * len(best)), 4.0), layout="constrained")
        axes = figure.subplots()
        width = 0.86 if len(best) <= 150 else 1.0
        axes.bar(place, change, width=width, color=[RESPONSE_COLOURS[name] for name in classes], linewidth=0)
        new = best["new_lesion"].to_numpy(dtype=bool)
        handles: list[Patch | Line2D] = [*response_patches(classes)]
        if new.any():
            height = np.minimum(np.maximum(change[new], 0.0), TOP) + 4
            axes.plot(place[new], height, linestyle="none", marker="*", color=INK, markersize=4.5, markeredgewidth=0)
            handles.append(mark(f"New lesion ({new.sum()})", marker="*", colour=INK, size=6))
        if (cut := change > TOP).any():
            axes.plot(
                place[cut], np.full(cut.sum(), TOP - 4), linestyle="none", marker="^", color="white", markersize=3
            )
        axes.axhline(0, color=INK, linewidth=0.8)
        _thresholds(axes)
        top = min(TOP, max(float(change.max()), GROWN + 10.0)) + 10
        axes.set(
            xlim=(-0.5 - 0.01 * len(best), len(best) - 0.5 + 0.01 * len(best)),
            ylim=(-104, top),
            xticks=[],
            xlabel=f"Patients, ordered by best change (n = {len(best)})",
            ylabel="Best change of the sum of\ntarget-lesion diameters",
        )
        _percent_ticks(axes, top)
        axes.spines["bottom"].set_visible(False)
        parts = []
        if total > len(best):
            parts.append(f"{total - len(best)} of {total} patients have no complete sum after baseline.")
        if (change > TOP).any():
            parts.append(f"{(change > TOP).sum()} bars go on beyond +{TOP:g} % (white triangle).")
        if parts:
            footnote(axes, " ".join(parts))
        legend_below(figure, handles, columns=3)
    return figure


def spider(assessments: pd.DataFrame, response: pd.Series) -> Figure:
    """One line per patient: change of the sum of target-lesion diameters over days, coloured by best response.

    Args:
        assessments: What `fusion.data.recist.assess_lesions` returns.
        response: Best overall response by `patient_id`.

    Raises:
        NothingToDraw: No patient has a complete sum after baseline.
    """
    scans = followed_scans(assessments)
    scans = scans[scans["change"].notna()]
    scans = scans[scans.groupby("patient_id")["change"].transform("size") > 1]
    if scans.empty:
        raise NothingToDraw("no patient has all target lesions measured both at baseline and at a later scan")
    classes = {str(patient): known_response(response.get(patient)) for patient in scans["patient_id"].unique()}
    counts = count(classes.values())
    shown = [name for name in RESPONSES if counts.get(name)]
    panels = [tuple(shown)] if len(classes) <= ONE_PANEL else [(name,) for name in shown]
    with figure_style():
        columns = 1 if len(panels) == 1 else 2
        height = -(-len(panels) // columns)
        figure = Figure(figsize=(6.2, 4.2) if columns == 1 else (8.8, 0.9 + 2.45 * height), layout="constrained")
        grid = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False)
        drawn = list(grid.flat)
        for axes in drawn[len(panels) :]:
            axes.axis("off")
        last = float(scans["scan_day"].max())
        end = last if columns == 1 else max(float(scans["scan_day"].quantile(0.98)), 84.0)
        top = min(TOP, max(float(100 * scans["change"].max()), GROWN + 10.0))
        for axes, group in zip(drawn, panels, strict=False):
            for patient, mine in scans.groupby("patient_id", sort=True):
                if classes[str(patient)] in group:
                    _leg(axes, mine, RESPONSE_COLOURS[classes[str(patient)]], len(classes))
            axes.axhline(0, color=INK, linewidth=0.8)
            _thresholds(axes, labels=axes in grid[:, -1])
            axes.set(ylim=(-104, top + 4), xlim=(min(0.0, float(scans["scan_day"].min())), end * 1.02))
            axes.set_xticks(day_ticks(end))
            if len(panels) > 1:
                name = group[0]
                axes.set_title(f"{RESPONSE_NAMES[name]} ({counts[name]})", loc="left", fontsize=8.2)
        _percent_ticks(drawn[0], top)
        for axes in grid[:, 0]:
            axes.set_ylabel("Change of the sum of\ntarget-lesion diameters")
        for axes in drawn[len(panels) - columns : len(panels)]:
            axes.set_xlabel("Days from start of treatment")
            axes.tick_params(axis="x", labelbottom=True)
        if end < last:
            cut = scans.loc[scans["scan_day"] > end, "patient_id"].nunique()
            figure.suptitle(
                f"The axis ends at day {end:.0f}: {cut} patients have later scans.",
                x=0.01,
                ha="left",
                fontsize=7.6,
                color=MUTED,
            )
        marks = [mark("Scan with a new lesion", marker="*", colour=INK, size=6)] if scans["new_lesion"].any() else []
        legend_below(figure, [*(response_patches(classes.values()) if len(panels) == 1 else []), *marks], columns=3)
    return figure


def _leg(axes: Axes, scans: pd.DataFrame, colour: str, patients: int) -> None:
    """The course of one patient, cut at the top of the axis."""
    days, change = scans["scan_day"].to_numpy(dtype=np.float64), 100 * scans["change"].to_numpy(dtype=np.float64)
    few = patients <= ONE_PANEL
    axes.plot(days, change, color=colour, linewidth=1.2 if few else 0.7, alpha=0.95 if few else 0.6)
    axes.plot(days[-1:], change[-1:], linestyle="none", marker="o", markersize=2.6, color=colour, markeredgewidth=0)
    new = scans["new_lesion"].to_numpy(dtype=bool)
    axes.plot(days[new], np.minimum(change[new], TOP), linestyle="none", marker="*", color=INK, markersize=4)


def _thresholds(axes: Axes, labels: bool = True) -> None:
    """The lines of partial response and of progression, named at the right."""
    for value, name in ((GROWN, "+20 %"), (SHRUNK, "−30 %")):
        axes.axhline(value, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=2.5)
        if labels:
            axes.annotate(
                name, xy=(1.008, value), xycoords=("axes fraction", "data"), va="center", fontsize=7.6, color=MUTED
            )
    axes.grid(axis="y", color=RULE, linewidth=0.4)
    axes.set_axisbelow(True)


def _percent_ticks(axes: Axes, top: float) -> None:
    ticks = [tick for tick in (-100, -75, -50, -25, 0, 25, 50, 75, 100) if tick <= top]
    axes.set_yticks(ticks, labels=[f"{tick:+d} %".replace("-", "−") if tick else "0" for tick in ticks])


def day_ticks(last: float, most: int = 8) -> list[float]:
    """Ticks at whole numbers of three-week cycles.

    >>> day_ticks(130.0)
    [0.0, 21.0, 42.0, 63.0, 84.0, 105.0, 126.0]
    """
    step = next((cycles * 21.0 for cycles in (1, 2, 4, 8, 16, 32, 64) if last / (cycles * 21.0) <= most), 2688.0)
    return [step * i for i in range(int(max(last, 0.0) // step) + 1)]
