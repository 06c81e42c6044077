"""Figures that can be drawn, by name: nothing is drawn before it is asked for, and what cannot be says why."""

from collections.abc import Callable, Collection, Mapping

from matplotlib.figure import Figure

from fusion.report.trial.drawing import Drawing, NothingToDraw

#: Name of a figure, and what draws it.
Plan = tuple[str, Callable[[], Drawing]]


def plan(name: str, title: str, caption: str, draw: Callable[[], Figure]) -> Plan:
    """A figure with its caption, or the reason why there is none."""

    def drawn() -> Drawing:
        try:
            return Drawing(name, title, caption, draw())
        except NothingToDraw as reason:
            return Drawing(name, title, f"Not drawn: {str(reason).rstrip('.')}.")

    return name, drawn


def missing(name: str, title: str, what: str) -> Plan:
    """A figure for which there is no table.

    >>> missing("waterfall", "Waterfall", "the cohort has no lesions.csv")[1]().caption
    'Not drawn: the cohort has no lesions.csv.'
    """
    return name, lambda: Drawing(name, title, f"Not drawn: {what}.")


def draw_all(plans: Mapping[str, Callable[[], Drawing]], only: Collection[str] = ()) -> list[Drawing]:
    """Draw the figures of these names, or all.

    Raises:
        ValueError: There is no figure of a name.
    """
    if unknown := sorted(set(only) - set(plans)):
        raise ValueError(f"there is no figure {', '.join(unknown)}; choose from {', '.join(plans)}")
    return [draw() for name, draw in plans.items() if not only or name in only]
