"""The audit on the page: what failed stands at the top, nothing from data is taken for markup."""

import json
import re
import shutil
from pathlib import Path

import pytest
from fake_run import HOSTILE, write_run

from fusion.report import build_report
from fusion.report.audit import audit_of
from fusion.report.run_folder import read_run


def finding(rule: str, verdict: str) -> dict[str, str]:
    return {"rule": f"{rule} {HOSTILE}", "verdict": verdict, "found": f"seen {HOSTILE}", "remedy": "mend it"}


@pytest.fixture
def audited(complete_run: Path, tmp_path: Path) -> Path:
    run = shutil.copytree(complete_run, tmp_path / "run")
    rules = ["pass", "not applicable", "warn", "fail", "pass"]
    findings = [finding(f"Rule {number}:", verdict) for number, verdict in enumerate(rules, start=1)]
    (run / "audit.json").write_text(json.dumps({"findings": findings}))
    return run


def test_what_failed_stands_first(audited: Path) -> None:
    audit = audit_of(read_run(audited))
    assert audit is not None
    assert audit.summary == "Of 5 checks 2 passed, 1 asks for care, 1 failed and 1 does not apply."
    assert [check.kind for check in audit.checks] == ["fail", "warn", "pass", "pass", "not-applicable"]
    assert [check.remedy for check in audit.checks] == ["Mend it.", "Mend it.", "", "", ""]
    page = build_report(audited).read_text()
    top = page[: page.index('id="scores"')]
    assert "Do not use these figures" in top
    assert "Rule 4:" in top
    assert "Rule 3:" not in top


def test_findings_are_escaped(audited: Path) -> None:
    assert HOSTILE not in build_report(audited).read_text()


def test_a_clean_audit_raises_no_alarm(complete_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(complete_run, tmp_path / "run")
    (run / "audit.json").write_text(json.dumps({"findings": [finding("Rule 1:", "pass")]}))
    page = build_report(run).read_text()
    assert "Do not use these figures" not in page
    assert "Of 1 check 1 passed and none failed." in page


def test_a_run_without_audit_says_so(tmp_path: Path) -> None:
    page = build_report(write_run(tmp_path, patients=20, baselines=False)).read_text()
    assert re.search(r"This run was not audited", page)
