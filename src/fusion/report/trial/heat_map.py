"""Availability heat map as a figure: which kind of data how many patients have at each visit."""

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from fusion.report.availability import Availability
from fusion.report.style import INK, MUTED, figure_style
from fusion.report.trial.drawing import NothingToDraw, plain

_SHADES = LinearSegmentedColormap.from_list("availability", ["#ffffff", "#0b5aa2"])


def availability_heat_map(found: Availability | None) -> Figure:
    """Draw what `fusion.report.availability.availability` counts: numbers of patients on shades of their share.

    Raises:
        NothingToDraw: Nothing was counted.
    """
    if found is None or not found.rows:
        raise NothingToDraw("there is no qc.json that counts samples by visit")
    share = [[part for _, part in cells] for _, cells in found.rows]
    with figure_style():
        size = (2.2 + 0.62 * len(found.visits), 1.25 + 0.29 * len(found.rows))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        axes.pcolormesh(share, cmap=_SHADES, vmin=0, vmax=1, edgecolors="white", linewidth=1.2)
        for row, (_, cells) in enumerate(found.rows):
            for column, (number, part) in enumerate(cells):
                colour = "white" if part > 0.7 else INK if number else MUTED
                axes.text(column + 0.5, row + 0.5, f"{number}", ha="center", va="center", color=colour, fontsize=7.6)
        names = [name.replace("Visit ", "Visit\n").replace("Baseline", "Base-\nline") for name, _ in found.visits]
        labels = [f"{name}\n({n})" for name, (_, n) in zip(names, found.visits, strict=True)]
        axes.set_xticks([i + 0.5 for i in range(len(labels))], labels=labels, fontsize=7.6)
        axes.set_yticks([i + 0.5 for i in range(len(found.rows))], labels=[plain(name) for name, _ in found.rows])
        axes.invert_yaxis()
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        more = f" {found.hidden} later visits are not shown." if found.hidden else ""
        axes.set_xlabel(f"Patients with the assay; shaded by their share of those with the visit.{more}", fontsize=7.6)
    return figure
