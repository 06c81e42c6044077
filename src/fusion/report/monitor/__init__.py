"""The page of a clinician: every patient's course and outlook after each visit, in one file that needs no network."""

from fusion.report.monitor.inputs import MonitorInput
from fusion.report.monitor.page import render_monitor, write_monitor

__all__ = ["MonitorInput", "render_monitor", "write_monitor"]
