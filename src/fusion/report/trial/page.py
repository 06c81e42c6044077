"""Writes `report/figures.html` of a run: the figures of a trial paper with their captions, in one file."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from fusion.report.plates import Plate
from fusion.report.style import figure_style, to_svg
from fusion.report.template import fill
from fusion.report.trial.drawing import Drawing


def write_figures(drawings: Sequence[Drawing], path: Path, *, cohort: str, simulated: bool) -> Path:
    """Write the page and return its path: first what the cohort is, then what was predicted of it.

    Args:
        drawings: In the order in which they are shown; those that were not drawn are listed with the reason.
        path: Where to.
        cohort: Its name.
        simulated: Whether the patients never were.
    """
    with figure_style(), warnings.catch_warnings():
        # A name in a script that the font lacks is text in the page all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        plates = [plate_of(each) for each in drawings if each.figure is not None]
    page = fill(
        "figures.html.j2",
        plates=plates,
        missing=[(each.title, each.caption) for each in drawings if each.figure is None],
        cohort=cohort,
        simulated=simulated,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def plate_of(drawing: Drawing) -> tuple[str, Plate]:
    """Name and plate of a drawing that has a figure."""
    assert drawing.figure is not None
    svg = to_svg(drawing.figure, key=f"trial-{drawing.name}", title=drawing.title, description=drawing.caption)
    return drawing.name, Plate(title=drawing.title, caption=drawing.caption, svg=svg)
