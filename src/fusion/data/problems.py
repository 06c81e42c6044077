"""What is wrong with a cohort folder, said so that the person who made the folder can mend it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Equal problems beyond this many are counted instead of listed.
SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """One fault, or several of one kind.

    Attributes:
        file: File inside the cohort folder.
        where: Row or sample, or "" when the whole file or column is meant.
        column: Column or dataset, or "".
        found: What stands there.
        remedy: What to do about it.
        more: So many further faults of the same kind, in the same file and column, are not listed.

    >>> print(Problem("outcomes.csv", "patient P3 (line 4)", "os_event", "2", "write 1 or 0", more=2))
    outcomes.csv, patient P3 (line 4), column os_event: found 2; write 1 or 0 (and 2 more like this)
    """

    file: str
    where: str
    column: str
    found: str
    remedy: str
    more: int = 0

    def __str__(self) -> str:
        column = f"column {self.column}" if self.column else ""
        place = ", ".join(part for part in (self.file, self.where, column) if part)
        tail = f" (and {self.more} more like this)" if self.more else ""
        return f"{place}: found {self.found}; {self.remedy}{tail}"


class CohortError(ValueError):
    """A cohort folder, or one file of it, cannot be used; `problems` says all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def count_problems(problems: Iterable[Problem]) -> int:
    """The exact number, those that were not listed included."""
    return sum(1 + problem.more for problem in problems)


def fold(
    file: str, where: Sequence[str], column: str, found: Sequence[str] | str, remedy: str, total: int | None = None
) -> list[Problem]:
    """Problems of one kind: the first few listed, the rest counted in the last one.

    Args:
        file: File inside the cohort folder.
        where: Rows or samples at fault.
        column: Column at fault, or "".
        found: What stands at each place, or one text for all.
        remedy: What to do.
        total: The true number, when `where` holds only the first of them.
    """
    total = len(where) if total is None else total
    shown = min(SHOWN, len(where))
    listed = []
    for i in range(shown):
        value = found if isinstance(found, str) else found[i]
        more = total - shown if i == shown - 1 else 0
        listed.append(Problem(file, where[i], column, value, remedy, more))
    return listed


def printable(value: object) -> str:
    """A value as a person can read it: quoted text, no control characters, not too long."""
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    else:
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
