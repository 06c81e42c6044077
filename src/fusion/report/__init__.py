"""The report of a run: one self-contained page, and one picture of it."""

from fusion.report.page import build_report
from fusion.report.picture import headline_figure

__all__ = ["build_report", "headline_figure"]
