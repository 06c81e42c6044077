"""The page: what stands in it, that it stands alone, that nothing missing breaks it, that texts are inert."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fake_run import HOSTILE, write_run

from fusion.report import build_report


class Page(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.raw = text
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._inside = tag
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action"):
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def page_of(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def test_every_section_stands_in_a_complete_page(complete_page: Path) -> None:
    page = page_of(complete_page)
    anchors = [link.removeprefix("#") for link in page.links if link.startswith("#") and not link.startswith("#a-")]
    assert {"answer", "scores", "patients", "risk-groups", "visits", "auc", "calibration", "training"} <= set(anchors)
    assert set(anchors) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.count("svg") == 2 + (2 + 4) + 2 + 3 + 3 + 2
    assert page.text.count("Not drawn") == 0
    assert page.text.count("Research use only") == 2
    assert "Simulated cohort" in page.text
    assert "0.803" in page.text  # the oracle


def test_printed_figures_are_those_of_the_metrics(complete_run: Path, complete_page: Path) -> None:
    page = page_of(complete_page)
    scores = json.loads((complete_run / "metrics.json").read_text())["task"]
    for figure in (
        scores["os"]["model"]["fusion"]["c_index"],
        scores["pfs"]["landmark"]["42"]["cox_all"]["c_index"],
        scores["response"]["model"]["logistic_all"]["auroc"],
    ):
        assert f"{figure['value']:.3f}" in page.text
        assert f"{figure['low']:.3f}–{figure['high']:.3f}" in page.text


def test_page_is_the_same_bytes_and_stands_alone(complete_run: Path, complete_page: Path) -> None:
    first = complete_page.read_bytes()
    assert build_report(complete_run).read_bytes() == first
    page = page_of(complete_page)
    assert all(link.startswith(("#", "data:")) for link in page.links)
    assert not re.search(r"@import|url\((?!#)|\d{4}-\d\d-\d\d", page.raw)
    assert str(complete_run) not in page.raw


def test_the_seconds_of_the_report_itself_change_nothing(
    complete_run: Path, complete_page: Path, tmp_path: Path
) -> None:
    before = complete_page.read_bytes()
    shutil.copytree(complete_run, tmp_path, dirs_exist_ok=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    del manifest["wall_seconds"]["report"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert build_report(tmp_path).read_bytes() == before


def test_hostile_texts_are_inert(hostile_page: Path) -> None:
    page = page_of(hostile_page)
    assert page.tags.count("script") == 1
    assert not page.handlers
    assert HOSTILE not in page.raw
    assert HOSTILE in page.text


def test_patients_are_not_named(complete_page: Path) -> None:
    assert not re.search(r"P-\d{3}|S-\d", page_of(complete_page).text)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tasks": ("os",)}, "Objective response was not a task of this run"),
        ({"tasks": ("response",)}, "No time-to-event endpoint in this run"),
        ({"baselines": False, "tasks": ("os",)}, "No baseline was fitted in this run"),
        ({"visits": 1, "tasks": ("os",)}, "no later visit of this cohort"),
        ({"event_rate": 0.1, "tasks": ("os",)}, "a curve says more about chance than about the model"),
        ({"patients": 12, "tasks": ("os", "response")}, "fewer than 20 assessed patients"),
        ({"curves": False, "tasks": ("os",)}, "this run folder has no loss by epoch"),
        ({"qc": False, "tasks": ("os",)}, "has no availability counts"),
        ({"subgroups": False, "tasks": ("os",)}, "has no covariates to form subgroups"),
    ],
)
def test_what_is_missing_is_said_plainly(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    small: dict[str, Any] = {"patients": 40, "folds": 2, "simulated": False}
    page = page_of(build_report(write_run(tmp_path, **(small | options))))
    assert sentence in page.text
    assert "Simulated" not in page.text
    assert "Oracle:" not in page.text
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", page.text)


def test_a_bare_run_has_a_page(complete_run: Path, tmp_path: Path) -> None:
    shutil.copy(complete_run / "predictions.parquet", tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    page = page_of(build_report(tmp_path))
    assert "This run has no scores" in page.text
    assert "hash not recorded" in page.text
