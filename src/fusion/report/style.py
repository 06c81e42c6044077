"""How every figure looks, and how it becomes SVG that lies inside a page and is the same bytes each time."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, RULE, BAND = "#1b2430", "#57616e", "#c9ced6", 0.14
#: Told apart with any kind of colour vision and at least 4.5 : 1 against white; ours first.
MODEL_COLOURS = ("#0b5aa2", "#b3470b", "#00705f", "#8a3a86")
#: Low, middle, high risk.
RISK_COLOURS = ("#0b5aa2", "#6b6f76", "#b3470b")
RISK_NAMES = ("low risk", "middle risk", "high risk")
DAYS_PER_MONTH = 365.25 / 12
#: Units of the drawing: a panel is shown at 330 to 520 px, so that 11 units never fall below 9 px.
PANEL = (4.1, 3.1)

_STYLE: Any = {
    "svg.hashsalt": "fusion",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # measured with it; the page shows its own system font
    "font.size": 8.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 8.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "butt",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Our settings for drawing, and nobody else's."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def panel(width: float = PANEL[0], height: float = PANEL[1]) -> tuple[Figure, Axes]:
    """One set of axes of the size of a panel, in inches of 72 units."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def to_svg(figure: Figure, *, key: str, title: str, description: str) -> Markup:
    """Render as SVG to stand in a page: no metadata, ids of its own, a title and a description to be read aloud."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r"url\(#", f"url(#{key}-", text)
    text = re.sub(r'href="#', f'href="#{key}-', text)
    text = re.sub(rf'id="{key}-model-([a-z0-9-]+?)\.\d+"', r'class="series" data-model="\1"', text)
    width, height = (72 * size for size in figure.get_size_inches())
    start = (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{key}-title {key}-desc" '
        f'style="--natural:{width:g}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    return Markup(re.sub(r"<svg[^>]*>", lambda _: start, text, count=1))


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Move labels apart to at least `gap`, in their order and about their common middle.

    >>> spread([0.5, 0.52, 0.9], gap=0.1)
    [0.46, 0.56, 0.9]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = []
    for i in order:
        groups.append([i])
        while len(groups) > 1 and _bottom(groups[-1], places, gap) - _top(groups[-2], places, gap) < gap - 1e-9:
            last = groups.pop()
            groups[-1] += last
    moved = [0.0] * len(places)
    for group in groups:
        for position, i in enumerate(group):
            moved[i] = round(_bottom(group, places, gap) + position * gap, 9)
    return moved


def _bottom(group: list[int], places: Sequence[float], gap: float) -> float:
    return float(np.mean([places[i] for i in group])) - gap * (len(group) - 1) / 2


def _top(group: list[int], places: Sequence[float], gap: float) -> float:
    return _bottom(group, places, gap) + gap * (len(group) - 1)
