"""Numbers for a small JSON: probabilities as whole ten-thousandths, measures to four digits, blanks as null."""

import math
from collections.abc import Iterable
from typing import Any

#: Probabilities are written as whole numbers of this share.
PARTS = 10_000


def part(value: Any) -> int | None:
    """A probability in ten-thousandths.

    >>> part(0.12346), part(float("nan")), part(1.7)
    (1235, None, 10000)
    """
    number = _finite(value)
    return None if number is None else round(min(max(number, 0.0), 1.0) * PARTS)


def digits(value: Any, places: int = 4) -> float | int | None:
    """A measure to so many digits.

    >>> digits(1234.567), digits(0.00123456), digits(None), digits(42.0)
    (1235, 0.001235, None, 42)
    """
    number = _finite(value)
    if number is None:
        return None
    rounded = float(f"{number:.{places}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def day(value: Any) -> float | int | None:
    """A day, to a tenth.

    >>> day(21.0), day(7.26)
    (21, 7.3)
    """
    number = _finite(value)
    if number is None:
        return None
    rounded = round(number, 1)
    return int(rounded) if rounded.is_integer() else rounded


def parts(values: Iterable[Any]) -> list[int | None] | None:
    """Probabilities, or None where all are blank."""
    row = [part(value) for value in values]
    return row if any(each is not None for each in row) else None


def thousandths(values: Iterable[Any]) -> list[int | None] | None:
    """Distances between probabilities, or None where all are blank.

    >>> thousandths([0.0123, float("nan")])
    [12, None]
    """
    numbers = [_finite(value) for value in values]
    row = [None if number is None else round(number * 1000) for number in numbers]
    return row if any(each is not None for each in row) else None


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
