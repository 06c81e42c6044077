"""A plate: one figure with its title and caption, or the plain sentence that says why there is none."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Plate:
    """What the page shows in one place.

    Attributes:
        title: Short heading.
        caption: What is drawn and how to read it; the reason where nothing is.
        svg: The drawing, or None.
    """

    title: str
    caption: str
    svg: Markup | None = None
