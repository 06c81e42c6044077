"""ctDNA over time by response: every course, the median of the group, limit of detection, molecular response."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fusion.report.style import BAND, INK, MUTED, RULE, figure_style
from fusion.report.trial.drawing import (
    RESPONSE_COLOURS,
    NothingToDraw,
    known_response,
    legend_below,
    mark,
    percent,
)
from fusion.report.trial.tumour_change import day_ticks

#: Columns of the figure: name, and the best responses that belong to it.
GROUPS = (("Response (CR, PR)", ("CR", "PR")), ("Stable disease", ("SD",)), ("Progressive disease", ("PD",)))
GROUP_COLOURS = (RESPONSE_COLOURS["CR"], "#57616e", RESPONSE_COLOURS["PD"])
#: Ends of the windows in days, the first up to day 0: cycles of treatment, then twice as long while draws are rarer.
WINDOWS = (0.0, 21.0, 42.0, 84.0)
STEP = 42.0
#: A median of fewer patients is not drawn.
FEWEST = 5
#: What is left of the baseline value at a molecular response.
MOLECULAR = ((0.5, "−50 %"), (0.1, "−90 %"))


def drawn_values(draws: pd.DataFrame) -> pd.DataFrame:
    """Values as they are drawn, each with its ratio to the patient's baseline.

    Args:
        draws: `patient_id`, `day`, `fraction`; optionally `detected` (0/1) and `lod`. A value is undetected where
            `detected` is 0, or, where that is not told, it is no higher than `lod` or zero.

    Returns:
        Sorted by patient and day: `patient_id`, `day`, `value` (undetected: half the limit, or half the least value of
        all where no limit is told), `found`, and `ratio` to the last draw on or before day 0, NaN where there is none
        or it was undetected; zero where
        the value was not detected.
    """
    table = draws[draws["fraction"].notna()].sort_values(["patient_id", "day"], kind="stable", ignore_index=True)
    fraction = table["fraction"].to_numpy(dtype=np.float64)
    limit = table["lod"].to_numpy(dtype=np.float64) if "lod" in table else np.full(len(table), np.nan)
    found = fraction > np.nan_to_num(limit)
    if "detected" in table:
        told = table["detected"].to_numpy(dtype=np.float64)
        found = np.where(np.isnan(told), found, (told != 0) & (fraction > 0))
    least = fraction[fraction > 0].min(initial=np.inf)
    floor = np.where(np.isnan(limit), least if np.isfinite(least) else 1e-4, limit) / 2
    table = table[["patient_id", "day"]].assign(value=np.where(found, fraction, floor), found=found.astype(bool))
    before = table[table["day"] <= 0].groupby("patient_id").last()
    baseline = before["value"].where(before["found"]).reindex(table["patient_id"]).to_numpy(dtype=np.float64)
    return table.assign(ratio=np.where(table["found"], table["value"], 0.0) / baseline)


def window_of(day: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of the window that each day lies in, 0 = up to day 0.

    >>> window_of(np.array([-3.0, 0.0, 1.0, 21.0, 22.0, 84.0, 85.0, 127.0])).tolist()
    [0, 0, 1, 1, 2, 3, 4, 5]
    """
    later = len(WINDOWS) - 1 + np.ceil(np.maximum(day - WINDOWS[-1], 0.0) / STEP)
    return np.where(day > WINDOWS[-1], later, np.searchsorted(WINDOWS, day)).astype(np.int64)


def window_medians(table: pd.DataFrame, column: str, fewest: int = FEWEST) -> pd.DataFrame:
    """Median and quartiles over patients by window of time, of the last draw of each patient in it.

    Args:
        table: `patient_id`, `day` and the values in `column`.
        column: Which values; blanks are left out.
        fewest: Windows with fewer patients are left out.

    Returns:
        By window (0 = up to day 0): `day` (median of the draws), `low`, `median`, `high`, `patients`.
    """
    rows = table[table[column].notna()]
    window = window_of(rows["day"].to_numpy(dtype=np.float64))
    last = rows.assign(window=window).sort_values("day", kind="stable").groupby(["patient_id", "window"]).last()
    groups = last.groupby("window")
    result = pd.DataFrame(
        {
            "day": groups["day"].median(),
            "low": groups[column].quantile(0.25),
            "median": groups[column].median(),
            "high": groups[column].quantile(0.75),
            "patients": groups.size(),
        }
    )
    return result[result["patients"] >= fewest]


def ctdna_kinetics(draws: pd.DataFrame, response: pd.Series, *, measure: str = "ctDNA tumour fraction") -> Figure:
    """Above the measured values, below what is left of each patient's baseline, a column per response.

    Args:
        draws: As `drawn_values` takes it, days from start of treatment.
        response: Best overall response by `patient_id`.
        measure: What `fraction` is.

    Raises:
        NothingToDraw: There are no draws, or no patient with draws has an assessed response.
    """
    table = drawn_values(draws)
    if table.empty:
        raise NothingToDraw("no plasma sample has a value")
    classes = table["patient_id"].map(lambda patient: known_response(response.get(patient)))
    columns = [
        (name, colour, table[classes.isin(members)])
        for (name, members), colour in zip(GROUPS, GROUP_COLOURS, strict=True)
    ]
    columns = [each for each in columns if len(each[2])]
    if not columns:
        raise NothingToDraw("no patient with plasma samples has an assessed response")
    drawn = pd.concat([rows for _, _, rows in columns])
    end = _end(columns, drawn)
    seen = drawn.loc[(drawn["day"] <= end) & (drawn["ratio"] > 0), "ratio"]
    floor = 10.0 ** np.floor(np.log10(seen.min() if len(seen) else 0.1) - 0.15)
    drawn = drawn.assign(ratio=drawn["ratio"].mask(drawn["ratio"] == 0, floor))
    limits = draws["lod"].dropna().to_numpy(dtype=np.float64) if "lod" in draws else np.empty(0)
    with figure_style():
        figure = Figure(figsize=(1.2 + 2.75 * len(columns), 5.6), layout="constrained")
        axes = figure.subplots(2, len(columns), sharex=True, sharey="row", squeeze=False)
        for (name, colour, rows), (above, below) in zip(columns, axes.T, strict=True):
            _courses(above, rows, "value", colour)
            _courses(below, rows, "ratio", colour, floor)
            patients, compared = rows["patient_id"].nunique(), rows.loc[rows["ratio"].notna(), "patient_id"].nunique()
            above.set_title(f"{name}, n = {patients}", loc="left", fontsize=8.6, fontweight="bold", color=colour)
            below.set_title(f"detected at baseline: {compared}", loc="left", fontsize=7.6, color=MUTED, pad=3)
            if len(limits):
                above.axhspan(0.0, limits.min(), color=RULE, alpha=0.45, linewidth=0, zorder=0)
                for limit in np.unique([limits.min(), limits.max()]):
                    above.axhline(limit, color=MUTED, linewidth=0.8, linestyle=(0, (1.5, 1.5)))
            below.axhline(1.0, color=INK, linewidth=0.6)
            below.axhspan(0.0, floor * 1.5, color=RULE, alpha=0.45, linewidth=0, zorder=0)
            for value, _ in MOLECULAR:
                below.axhline(value, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        for value, text in MOLECULAR:
            axes[1, -1].annotate(
                text, xy=(1.012, value), xycoords=("axes fraction", "data"), va="center", fontsize=7.6, color=MUTED
            )
        if len(limits):
            text = "limit of\ndetection" if limits.min() == limits.max() else "limits of\ndetection"
            axes[0, -1].annotate(
                text,
                xy=(1.012, limits.max()),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7.6,
                color=MUTED,
            )
        axes[1, -1].annotate(
            "not detected",
            xy=(1.012, floor),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7.6,
            color=MUTED,
        )
        within = drawn[drawn["day"] <= end]
        _log_axis(axes[0, 0], within["value"], measure)
        _log_axis(
            axes[1, 0], pd.concat([within["ratio"].dropna(), pd.Series([floor, 1.0])]), "Share of the baseline value"
        )
        axes[0, 0].set(xlim=(min(0.0, float(drawn["day"].min())) - 2, end))
        for below in axes[1]:
            below.set_xticks(day_ticks(end, most=5))
            below.set_xlabel("Days from start of treatment")
        ticks = [tick for tick in axes[1, 0].get_yticks() if tick > floor * 1.01]
        axes[1, 0].set_yticks(ticks, labels=[percent(tick) for tick in ticks])
        handles = [
            mark("One patient", marker="_", colour="#aeb4bc", size=10),
            mark("Median of the group; shaded: middle half of the patients", marker="_", colour=INK, size=10),
        ]
        if not drawn["found"].all():
            words = "Not detected: drawn at half the limit" if len(limits) else "Not detected: at half the least value"
            handles.append(mark(words, marker="o", colour=MUTED, size=3, filled=False))
        legend_below(figure, handles, columns=3)
    return figure


def _courses(axes: Axes, rows: pd.DataFrame, column: str, colour: str, floor: float = 0.0) -> None:
    rows = rows.assign(**{column: rows[column].clip(lower=floor)})
    patients = rows["patient_id"].unique()
    for _, mine in rows[rows[column].notna()].groupby("patient_id", sort=True):
        axes.plot(mine["day"], mine[column], color=colour, linewidth=0.5, alpha=0.22 if len(patients) < 100 else 0.14)
    unseen = rows[~rows["found"] & rows[column].notna()]
    axes.plot(
        unseen["day"],
        unseen[column],
        linestyle="none",
        marker="o",
        markersize=2.4,
        markerfacecolor="white",
        markeredgecolor=colour,
        markeredgewidth=0.4,
        alpha=0.7,
    )
    middle = window_medians(rows, column)
    axes.fill_between(middle["day"], middle["low"], middle["high"], color=colour, alpha=BAND + 0.12, linewidth=0)
    axes.plot(middle["day"], middle["median"], color=colour, linewidth=2.2, marker="o", markersize=3)


def _end(columns: list[tuple[str, str, pd.DataFrame]], drawn: pd.DataFrame) -> float:
    """Where the axis ends: the last cycle in which some group still has a median, else the last draw."""
    last = [window_medians(rows, "value")["day"].max() for _, _, rows in columns]
    known = [float(day) for day in last if np.isfinite(day)]
    return (max(known) if known else max(1.0, float(drawn["day"].max()))) + 10


def _log_axis(axes: Axes, values: pd.Series, label: str) -> None:
    low, top = (
        np.floor(np.log10(values.min())),
        max(float(values.max()) * 1.3, 10.0 ** np.floor(np.log10(values.min())) * 10),
    )
    axes.set_yscale("log")
    axes.set_ylim(10**low * 0.7, top)
    ticks = 10.0 ** np.arange(low, np.floor(np.log10(top)) + 1)
    axes.set_yticks(ticks, labels=[percent(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylabel(label)
