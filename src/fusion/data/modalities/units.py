"""Converts laboratory values between the units that hospitals write."""

import re

#: Grams, litres and enzyme units behind each spelling.
MASS = {"g": 1.0, "mg": 1e-3, "ug": 1e-6, "ng": 1e-9, "pg": 1e-12}
AMOUNT = {"mol": 1.0, "mmol": 1e-3, "umol": 1e-6, "nmol": 1e-9, "pmol": 1e-12}
ENZYME = {"ku": 1e3, "kiu": 1e3, "u": 1.0, "iu": 1.0, "mu": 1e-3, "miu": 1e-3, "ukat": 60.0, "nkat": 0.06}
VOLUME = {"l": 1.0, "dl": 1e-1, "ml": 1e-3, "ul": 1e-6}

#: Cells per litre.
CELLS = {
    **dict.fromkeys(("10^9/l", "x10^9/l", "10*9/l", "10e9/l", "10^3/ul", "x10^3/ul", "10*3/ul", "k/ul"), 1e9),
    **dict.fromkeys(("10^12/l", "x10^12/l", "10*12/l", "10e12/l", "10^6/ul", "x10^6/ul", "10*6/ul", "m/ul"), 1e12),
    **dict.fromkeys(("/ul", "cells/ul", "/mm3", "cells/mm3"), 1e6),
}

SHARES = {"%": 0.01, "fraction": 1.0, "1": 1.0}

#: Grams per mole of what is reported both by mass and by amount.
MOLAR_MASS = {"creatinine": 113.12, "bilirubin": 584.66, "glucose": 180.16, "calcium": 40.08, "urea": 60.06}


def conversion_factor(analyte: str, unit: str, wanted: str) -> float:
    """What a value in `unit` is multiplied by to be in `wanted`.

    Raises:
        ValueError: The two do not measure the same thing, or are not known here.

    >>> conversion_factor("ldh", "ukat/L", "U/L"), conversion_factor("progrp", "ng/L", "pg/mL")
    (60.0, 1.0)
    """
    here, there = _spelled(unit), _spelled(wanted)
    if here == there:
        return 1.0
    kind, size = _measure(here)
    wanted_kind, wanted_size = _measure(there)
    factor = size / wanted_size
    molar = next((mass for name, mass in MOLAR_MASS.items() if name in analyte.lower()), None)
    if {kind, wanted_kind} == {"mass", "amount"} and molar is not None:
        factor *= 1 / molar if kind == "mass" else molar
    elif kind != wanted_kind or kind == "unknown":
        raise ValueError(
            f"{analyte}: unit {unit!r} here, {wanted!r} in training, and no way known to convert; "
            f"convert the values to {wanted!r} in the table"
        )
    return float(f"{factor:.12g}")  # 0.1 / 0.001 without the rounding of binary fractions


def _spelled(unit: str) -> str:
    """One spelling of a unit: lower case, u for micro, no spaces."""
    return re.sub(r"\s+", "", unit).replace("µ", "u").replace("μ", "u").replace("mcg", "ug").lower()


def _measure(unit: str) -> tuple[str, float]:
    """Kind of a unit and its size in the base unit of that kind; ("unknown", 1) where it is not known."""
    if unit in CELLS:
        return "cells", CELLS[unit]
    if unit in SHARES:
        return "share", SHARES[unit]
    above, _, below = unit.partition("/")
    for kind, sizes in (("mass", MASS), ("amount", AMOUNT), ("enzyme", ENZYME)):
        if above in sizes and below in VOLUME:
            return kind, sizes[above] / VOLUME[below]
    return "unknown", 1.0
