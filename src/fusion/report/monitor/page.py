"""Writes `report/monitor.html`: one file with every patient in it, drawn by the reader's browser."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fusion.report.monitor.inputs import MonitorInput
from fusion.report.monitor.payload import payload
from fusion.report.template import TEMPLATES, fill

#: In the order in which they need each other.
SCRIPTS = ("monitor_draw.js", "monitor_charts.js", "monitor_patient.js", "monitor.js")


def write_monitor(tables: MonitorInput, path: Path) -> Path:
    """Write the page and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_monitor(tables), encoding="utf-8")
    return path


def render_monitor(tables: MonitorInput) -> str:
    """The page as text, the same for the same tables."""
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return fill(
        "monitor.html.j2",
        page_css=Markup((TEMPLATES / "monitor.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=inert_json(payload(tables)),
        cohort=tables.cohort,
        simulated=tables.simulated,
        held_out=tables.held_out,
    )


def inert_json(values: Any) -> Markup:
    r"""JSON that no text in it can leave: ASCII alone, and no character that HTML reads.

    >>> print(inert_json({"id": "</script>&"}))
    {"id":"\u003c/script\u003e\u0026"}
    """
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
