"""What one check of the audit found, and how bad that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "warn", "fail", "not applicable"]
#: So many examples are named; the others are counted.
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        rule: What must hold; those of the rules against leakage begin with `Rule` and their number.
        verdict: `warn` asks for a reader's care, `fail` for another run.
        found: What was looked at and what was seen, with numbers.
        remedy: What to do; empty where there is nothing to be done.
    """

    rule: str
    verdict: Verdict
    found: str
    remedy: str = ""


def judged(rule: str, faults: Sequence[str], good: str, remedy: str, bad: Verdict = "fail") -> Finding:
    """A pass where there is no fault; otherwise `bad`, with the first faults named and the others counted.

    >>> judged("Rule 0: no toads", ["a toad", "a newt"], "none seen", "close the gate").found
    'a toad; a newt'
    """
    if not faults:
        return Finding(rule, "pass", good)
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Finding(rule, bad, "; ".join(faults[:SHOWN]) + more, remedy)
