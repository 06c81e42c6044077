"""The audit section of the page: what the honesty checks found, those that failed first."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from fusion.report.run_folder import Run
from fusion.report.words import counted, listed, short_name

#: In the order of the page, with the word that is printed.
VERDICTS = {"fail": "failed", "warn": "care", "pass": "passed", "not applicable": "does not apply"}


@dataclass(frozen=True)
class Check:
    """One check as the page shows it; `kind` names its style."""

    rule: str
    kind: str
    verdict: str
    found: str
    remedy: str


@dataclass(frozen=True)
class Audit:
    """The checks of a run.

    Attributes:
        summary: One sentence with the numbers.
        failed: Rules that are broken.
        checks: All of them, the worst first.
    """

    summary: str
    failed: tuple[str, ...]
    checks: tuple[Check, ...]


def audit_of(run: Run) -> Audit | None:
    """The section of a run that was audited; None where it was not."""
    checks = []
    for found in run.audit.get("findings", []):
        verdict = found["verdict"]
        remedy = found["remedy"] if verdict in ("fail", "warn") else ""
        kind = verdict.replace(" ", "-")
        texts = [sentence(text, run.endpoints) for text in (found["found"], remedy)]
        checks.append(Check(found["rule"], kind, VERDICTS[verdict], *texts))
    if not checks:
        return None
    order = list(VERDICTS.values())
    checks.sort(key=lambda check: order.index(check.verdict))
    number = {word: sum(check.verdict == word for check in checks) for word in order}
    said = {
        "passed": "passed",
        "care": f"{'asks' if number['care'] == 1 else 'ask'} for care",
        "failed": "failed",
        "does not apply": f"{'does' if number['does not apply'] == 1 else 'do'} not apply",
    }
    parts = [f"{number[word] or 'none'} {text}" for word, text in said.items() if number[word] or word == "failed"]
    return Audit(
        summary=f"Of {counted(len(checks), 'check')} {listed(parts)}.",
        failed=tuple(check.rule for check in checks if check.kind == "fail"),
        checks=tuple(checks),
    )


def sentence(text: str, endpoints: Collection[str]) -> str:
    """A finding with a capital, or an endpoint by its name, and a full stop.

    >>> sentence("os: 12 visits", ["os"])
    'OS: 12 visits.'
    """
    first = re.split(r"\W", text, maxsplit=1)[0]
    start = short_name(first) if first in endpoints else f"{first[:1].upper()}{first[1:]}"
    return f"{start}{text[len(first) :].rstrip('.')}." if text else ""
