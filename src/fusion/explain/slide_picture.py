"""A slide drawn patch by patch at its coordinates, coloured by what each patch adds to the score.

Dimension key: R patches.
"""

import io
from typing import Literal

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fusion.report.style import figure_style

Floats = NDArray[np.float64]

#: Colours from what lowers the score, through none, to what raises it; told apart with any kind of colour vision.
COLOURS = "RdBu_r"


def slide_picture(coords: Floats, contribution: Floats, *, label: str, kind: Literal["svg", "png"] = "svg") -> bytes:
    """Heat map of a slide.

    Args:
        coords: Place of each patch, "R 2", the second downwards as in an image.
        contribution: What each patch adds, "R".
        label: Words beside the colour bar.
        kind: File format.

    Raises:
        ValueError: There is not one place for each patch.
    """
    if coords.shape != (len(contribution), 2):
        raise ValueError(
            f"{len(contribution)} patches but places {coords.shape}; store one [x, y] per patch as `coords`"
        )
    limit = max(float(np.quantile(np.abs(contribution), 0.99)), 1e-12) if len(contribution) else 1.0
    with figure_style():
        figure = Figure(figsize=(4.6, 4.0), layout="constrained")
        axes = figure.subplots()
        size = 72 * 3.2 / max(np.ptp(coords, axis=0).max() / _pitch(coords) + 1, 1) if len(coords) else 1.0
        drawn = axes.scatter(
            coords[:, 0],
            coords[:, 1],
            c=contribution,
            s=size**2,
            marker="s",
            linewidths=0,
            cmap=COLOURS,
            norm=TwoSlopeNorm(0.0, -limit, limit),
            rasterized=len(coords) > 2000,
        )
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_axis_off()
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.8)
        buffer = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, metadata=metadata, dpi=150)
    return buffer.getvalue()


def _pitch(coords: Floats) -> float:
    """Distance between neighbouring patches.

    >>> _pitch(np.array([[0.0, 0.0], [256.0, 0.0], [1024.0, 256.0]]))
    256.0
    """
    gaps = [gap for axis in coords.T for gap in np.diff(np.unique(axis))]
    return float(min(gaps)) if gaps else 1.0
