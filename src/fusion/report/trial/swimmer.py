"""Swimmer figure: one bar per patient, from start of treatment to the last follow-up, with all that happened on it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fusion.report.style import DAYS_PER_MONTH, INK, MUTED, figure_style
from fusion.report.trial.drawing import (
    RESPONSE_COLOURS,
    RESPONSE_NAMES,
    RESPONSES,
    NothingToDraw,
    footnote,
    known_response,
    legend_below,
    mark,
    plain,
    tint,
)

Floats = NDArray[np.float64]

#: More bars than this cannot be read: of more patients, so many are shown, evenly spaced by length of follow-up.
MOST_BARS = 60


def swimmer_course(outcomes: pd.DataFrame, endpoint: str = "os", progression: str = "pfs") -> pd.DataFrame:
    """Where each bar ends and why, from the outcomes of a cohort.

    Args:
        outcomes: Indexed by `patient_id`, with `<E>_days` and `<E>_event`.
        endpoint: The endpoint whose event is death.
        progression: The endpoint whose event is progression or death; its event counts as progression where it comes
            before the death, or the patient lives.

    Returns:
        Indexed by `patient_id`: `end_day`, `died`, `progression_day` (NaN without); patients with a known end alone.

    >>> table = pd.DataFrame({"os_days": [90.0], "os_event": [1], "pfs_days": [60.0], "pfs_event": [1]}, index=["a"])
    >>> swimmer_course(table)["progression_day"].tolist()
    [60.0]
    """
    unknown = pd.Series(np.nan, index=outcomes.index)
    number = {
        name: pd.to_numeric(outcomes[name]).astype("Float64").astype(float) if name in outcomes else unknown
        for name in (f"{endpoint}_days", f"{endpoint}_event", f"{progression}_days", f"{progression}_event")
    }
    end, died = number[f"{endpoint}_days"], number[f"{endpoint}_event"] == 1
    end = end.fillna(number[f"{progression}_days"])
    day = number[f"{progression}_days"].where(number[f"{progression}_event"] == 1)
    course = pd.DataFrame({"end_day": end, "died": died, "progression_day": day.where(~died | (day < end))})
    return course[course["end_day"].notna()]


def shown_patients(course: pd.DataFrame, most: int = MOST_BARS) -> list[str]:
    """Ids from the longest follow-up to the shortest; of more than `most`, evenly spaced in that order.

    >>> shown_patients(pd.DataFrame({"end_day": [5.0, 9.0, 7.0]}, index=["a", "b", "c"]), most=2)
    ['b', 'a']
    """
    end = course["end_day"]
    ids = sorted((str(patient) for patient in course.index), key=lambda patient: (-float(end[patient]), patient))
    if len(ids) <= most:
        return ids
    return [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, most).round().astype(int))]


def swimmer(
    course: pd.DataFrame,
    response: pd.Series,
    assessments: pd.DataFrame | None = None,
    draws: pd.DataFrame | None = None,
    *,
    most: int = MOST_BARS,
    show_ids: bool = True,
) -> Figure:
    """Draw the course of every patient, the longest follow-up on top.

    Args:
        course: What `swimmer_course` returns.
        response: Best overall response by `patient_id`: the colour of the bar.
        assessments: What `fusion.data.recist.assess_lesions` returns: a dot for every scan after baseline.
        draws: `patient_id` and `day` of blood samples: a tick below the bar.
        most: Most bars.
        show_ids: Whether the patient ids stand at the bars.

    Raises:
        NothingToDraw: No patient has a known end of follow-up.
    """
    if course.empty:
        raise NothingToDraw("no patient has a known end of follow-up")
    ids = shown_patients(course, most)
    row = pd.Series(np.arange(len(ids)), index=ids)
    classes = [known_response(response.get(patient)) for patient in ids]
    mine = course.loc[ids]
    months = mine["end_day"].to_numpy(dtype=np.float64) / DAYS_PER_MONTH
    died = mine["died"].to_numpy(dtype=bool)
    with figure_style():
        figure = Figure(figsize=(8.2, 1.5 + 0.135 * max(len(ids), 8)), layout="constrained")
        axes = figure.subplots()
        colours = [_tint(name) for name in classes]
        axes.barh(row, months, height=0.72, color=colours, linewidth=0)
        handles: list[Patch | Line2D] = []
        if draws is not None and len(taken := draws[draws["patient_id"].isin(ids)]):
            taken = taken[taken["day"].to_numpy() <= mine["end_day"].reindex(taken["patient_id"]).to_numpy()]
            axes.plot(
                taken["day"] / DAYS_PER_MONTH,
                row.loc[taken["patient_id"]].to_numpy() + 0.27,
                linestyle="none",
                marker="|",
                color=MUTED,
                markersize=2.6,
                markeredgewidth=0.7,
            )
            handles.append(mark("Blood draw", marker="|", colour=MUTED))
        if assessments is not None:
            scans = assessments[assessments["patient_id"].isin(ids) & assessments["overall_response"].notna()]
            for name in RESPONSES:
                these = scans[scans["overall_response"] == name]
                axes.plot(
                    these["scan_day"] / DAYS_PER_MONTH,
                    row.loc[these["patient_id"]].to_numpy() - 0.06,
                    linestyle="none",
                    marker="o",
                    color=RESPONSE_COLOURS[name],
                    markersize=3.4,
                    markeredgecolor=INK,
                    markeredgewidth=0.3,
                )
        progressed = mine["progression_day"].to_numpy(dtype=np.float64) / DAYS_PER_MONTH
        _events(axes, progressed, row.to_numpy(), marker="D", size=3.8, colour=RESPONSE_COLOURS["PD"])
        _events(axes, months[died], row.to_numpy()[died], marker="X", size=4.8, colour=INK)
        reach = float(months.max())
        _events(axes, months[~died] + 0.008 * reach, row.to_numpy()[~died], marker=">", size=4.2, colour="#0b5aa2")
        axes.set(ylim=(len(ids) - 0.4, -0.6), xlim=(0, reach * 1.03), xlabel="Months from start of treatment")
        step = next((step for step in (3, 6, 12, 24) if reach / step <= 9), 60)
        axes.set_xticks(np.arange(0, reach * 1.03, step))
        if show_ids:
            axes.set_yticks(row, labels=[plain(patient, 16) for patient in ids], fontsize=5.8)
        else:
            axes.set_yticks([])
            axes.set_ylabel("Patients")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        if len(ids) < len(course):
            footnote(axes, f"{len(ids)} of {len(course)} patients, evenly spaced by length of follow-up.")
        handles = [
            *(_bar(name) for name in RESPONSES if name in classes),
            *([mark("Scan, coloured by its response", marker="o", colour=MUTED)] if assessments is not None else []),
            mark("Progression", marker="D", colour=RESPONSE_COLOURS["PD"], size=4.5),
            mark("Death", marker="X", colour=INK),
            mark("Alive at last follow-up", marker=">", colour="#0b5aa2"),
            *handles,
        ]
        legend_below(figure, handles, columns=4)
    return figure


def _events(axes: Axes, x: Floats, y: NDArray[np.int64], *, marker: str, size: float, colour: str) -> None:
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=marker,
        markersize=size,
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.4,
        clip_on=False,
        zorder=4,
    )


def _tint(name: str) -> str:
    """The colour of a class as a light ground on which marks can be seen."""
    return tint(RESPONSE_COLOURS[name], 0.38 if name != "NE" else 1.0)


def _bar(name: str) -> Patch:
    return Patch(facecolor=_tint(name), label=f"Best: {RESPONSE_NAMES[name].lower()}")
