"""What the figures of a trial share: colours of response, text as it stands, and files that are the same each time."""

import io
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fusion.report.style import MUTED, figure_style

#: Best to worst, then not evaluable.
RESPONSES = ("CR", "PR", "SD", "PD", "NE")
#: Blues for response, grey, orange: told apart with any colour vision, and dark against light in print.
RESPONSE_COLOURS = {"CR": "#0b5aa2", "PR": "#6aaee6", "SD": "#8b919a", "PD": "#b3470b", "NE": "#d9dce1"}
RESPONSE_NAMES = {
    "CR": "Complete response",
    "PR": "Partial response",
    "SD": "Stable disease",
    "PD": "Progressive disease",
    "NE": "Not evaluable",
}
DPI = 160


class NothingToDraw(ValueError):
    """The tables hold nothing for this figure; the message says what is missing."""


@dataclass(frozen=True)
class Drawing:
    """One figure with its words, or the plain sentence that says why there is none.

    Attributes:
        name: Stem of its files.
        title: Short heading.
        caption: What is drawn and how to read it; the reason where nothing is.
        figure: The drawing, or None.
    """

    name: str
    title: str
    caption: str
    figure: Figure | None = None


def plain(text: object, most: int = 28) -> str:
    """Text from data as it may stand in a figure: one line, no control characters, not too long.

    >>> plain("P_1 $x$"), plain("a" * 40, most=6)
    ('P_1 $x$', 'aaaaa…')
    """
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return line if len(line) <= most else line[: most - 1] + "…"


def known_response(value: object) -> str:
    """A response class; whatever is none of them is not evaluable.

    >>> known_response("PR"), known_response(None)
    ('PR', 'NE')
    """
    return value if isinstance(value, str) and value in RESPONSES else "NE"


def response_patches(classes: Iterable[str]) -> list[Patch]:
    """Legend entries of the classes that occur, best first, with the number of patients of each."""
    counts = count(classes)
    return [
        Patch(facecolor=RESPONSE_COLOURS[name], label=f"{RESPONSE_NAMES[name]} ({counts[name]})")
        for name in RESPONSES
        if counts.get(name)
    ]


def count(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, in order of first sight."""
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def mark(label: str, *, marker: str, colour: str, size: float = 5.0, filled: bool = True) -> Line2D:
    """A legend entry for a marker."""
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        color=colour,
        markersize=size,
        markerfacecolor=colour if filled else "white",
        label=label,
    )


def legend_below(figure: Figure, handles: Sequence[Patch | Line2D], columns: int = 5) -> None:
    """One legend under the whole figure."""
    figure.legend(
        handles=list(handles),
        loc="outside lower left",
        ncols=min(columns, max(1, len(handles))),
        frameon=False,
        fontsize=7.8,
        handlelength=1.2,
        columnspacing=1.4,
    )


def footnote(axes: Axes, text: str) -> None:
    """A muted line above the axes: whom the figure does not show."""
    axes.set_title(text, loc="left", fontsize=7.6, color=MUTED, pad=5)


def tint(colour: str, share: float) -> str:
    """The colour with so much of it left, the rest white.

    >>> tint("#000000", 1.0), tint("#000000", 0.0)
    ('#000000', '#ffffff')
    """
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def percent(value: float) -> str:
    """A share as people write it.

    >>> percent(0.001), percent(0.5), percent(1.0)
    ('0.1 %', '50 %', '100 %')
    """
    return f"{100 * value:g} %"


def write_drawing(
    drawing: Drawing, folder: Path, *, prefix: str = "", formats: Sequence[str] = ("svg", "png")
) -> list[Path]:
    """Write the figure in each format, the same bytes each time, and return the paths.

    Raises:
        ValueError: The drawing has no figure, or a format is neither svg nor png.
    """
    if drawing.figure is None:
        raise ValueError(f"{drawing.name} was not drawn ({drawing.caption}); write only drawings with a figure")
    if unknown := sorted(set(formats) - {"svg", "png"}):
        raise ValueError(f"figures cannot be written as {', '.join(unknown)}; choose from svg, png")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{prefix}{drawing.name}.{suffix}" for suffix in formats]
    with figure_style(), warnings.catch_warnings():
        # An id in a script that the font lacks: the SVG holds it as text, the PNG shows boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for path in paths:
            if path.suffix == ".svg":
                path.write_text(_svg(drawing.figure, drawing.title), encoding="utf-8")
            else:
                drawing.figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": None})
    return paths


def _svg(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None, "Title": title}
    figure.savefig(buffer, format="svg", facecolor="white", metadata=metadata)
    text = buffer.getvalue()
    # Text stays text; where the font of the measure is not installed, its twin stands in, not a serif.
    text = re.sub(r"('DejaVu Sans')(?=[^<>]*\">)", r"\1, Verdana, sans-serif", text)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + text[text.index("<svg") :]


def write_captions(drawings: Sequence[Drawing], path: Path, note: str = "") -> Path:
    """Write title and caption of every figure, and of those not drawn the reason, as Markdown."""
    lines = ["# Figures", "", *([note, ""] if note else [])]
    for drawing in drawings:
        stem = f" (`{drawing.name}`)" if drawing.figure is not None else ""
        lines += [f"## {drawing.title}{stem}", "", drawing.caption, ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def shares(counts: Mapping[str, int]) -> str:
    """Counts in a sentence.

    >>> shares({"CR": 2, "PD": 1})
    'CR 2, PD 1'
    """
    return ", ".join(f"{name} {number}" for name, number in counts.items())
