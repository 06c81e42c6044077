"""Hazard ratios with 95 % intervals from a plain Cox model: of covariates, and of the predicted risk within subgroups.

N patients, P columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.baselines.newton import PartialLikelihood, fit_ridge_cox
from fusion.report.words import covariate_name, digits

Floats = NDArray[np.float64]
#: Covariates whose column name is an abbreviation.
NAMES = {"ecog": "ECOG", "ldh": "LDH", "nlr": "NLR", "sld_mm": "Sum of diameters", "nse": "NSE", "bmi": "BMI"}
#: The 97.5th percentile of the normal distribution.
Z = 1.959963984540054
#: A standard error beyond this is that of a coefficient without end: a level in which nobody had the event.
LARGEST_ERROR = 4.0
#: Fewer events than this in a level, and no ratio is given.
FEWEST_EVENTS = 3
#: More levels than this are no groups.
MOST_LEVELS = 6


@dataclass(frozen=True)
class Effect:
    """One line of a forest figure.

    Attributes:
        label: What is compared.
        patients: How many it rests on.
        events: Their events.
        value: The estimate, NaN where it cannot be given.
        low: Lower end of its interval.
        high: Upper end of its interval.
        group: Heading that it stands under.
        note: In place of a figure, such as `reference`.
    """

    label: str
    patients: int
    events: int
    value: float
    low: float
    high: float
    group: str = ""
    note: str = ""


def cox_ratios(features: Floats, duration: Floats, event: NDArray[np.bool_]) -> Floats:
    """Hazard ratio, lower and upper end of its 95 % Wald interval of every column, "P 3"; Efron ties.

    A ratio that the data do not hold (nobody with the event on one side) is NaN.

    >>> x, time = np.array([[0.0], [1.0], [0.0], [1.0]]), np.array([4.0, 1.0, 2.0, 3.0])
    >>> cox_ratios(x, time, np.ones(4, dtype=bool)).round(2).tolist()
    [[2.56, 0.23, 29.12]]
    """
    if not event.any() or not features.shape[1]:
        return np.full((features.shape[1], 3), np.nan)
    beta = fit_ridge_cox(features, duration, event, 0.0)
    _, information = PartialLikelihood(duration, event).derivatives(features, features @ beta)
    error = np.sqrt(np.maximum(np.diag(np.linalg.pinv(information, hermitian=True)), 0.0))
    steady = (np.diag(information) > 1e-8) & (error > 0) & (error * features.std(axis=0) < LARGEST_ERROR)
    with np.errstate(over="ignore"):
        ratio = np.exp(beta[:, None] + Z * error[:, None] * np.array([0.0, -1.0, 1.0]))
    return np.where(steady[:, None], ratio, np.nan)


def covariate_effects(
    patients: pd.DataFrame, duration: pd.Series, event: pd.Series, *, adjusted: bool = False
) -> list[Effect]:
    """Hazard ratio of every baseline covariate.

    Numbers count per standard deviation; texts, and numbers with two values, as levels against the most frequent one.
    Constant columns and texts of more than six levels are left out.

    Args:
        patients: One column per covariate, by `patient_id`.
        duration: Time to the event or to the end of follow-up, same index.
        event: Whether it happened.
        adjusted: All covariates in one model, over the patients in whom all are known; else each by itself.
    """
    known = (duration.notna() & event.notna()).to_numpy(dtype=bool)
    table = patients[known]
    time = duration[known].to_numpy(dtype=np.float64)
    happened = event[known].to_numpy(dtype=np.float64) == 1
    designs = {str(name): design for name in table if (design := _design(str(name), table[name])) is not None}
    if not adjusted:
        return [line for name, each in designs.items() for line in _lines({name: each}, time, happened)]
    return _lines(designs, time, happened)


def subgroup_effects(rows: pd.DataFrame, groups: pd.DataFrame, *, names: Sequence[str] = ()) -> list[Effect]:
    """Hazard ratio per standard deviation of the predicted risk, in all patients and within each subgroup.

    Args:
        rows: Held-out predictions of one visit: `patient_id`, `fold`, `risk`, `duration`, `event`. The risk is put on
            the scale of its fold: risks of two folds are not comparable.
        groups: Text columns by `patient_id`.
        names: Which columns; none: all.
    """
    fold = rows["fold"].to_numpy()
    centred = rows["risk"] - rows["risk"].groupby(fold).transform("mean")
    spread = rows["risk"].groupby(fold).transform("std")
    risk = (centred / spread.where(spread > 0)).fillna(0.0).to_numpy(dtype=np.float64)
    time, happened = rows["duration"].to_numpy(dtype=np.float64), rows["event"].to_numpy(dtype=bool)

    def line(inside: NDArray[np.bool_], label: str, group: str) -> Effect:
        return _effect(risk[inside, None], time[inside], happened[inside], label, group)

    effects = [line(np.ones(len(rows), dtype=bool), "All patients", "")]
    for name in names or groups.columns:
        level = groups[name].reindex(rows["patient_id"]).fillna("").astype(str).to_numpy()
        found = sorted(set(level) - {""})
        if 2 <= len(found) <= MOST_LEVELS:
            effects += [line(level == each, each, covariate_name(str(name))) for each in found]
    return effects


def _name(covariate: str) -> str:
    return NAMES.get(covariate.lower(), covariate_name(covariate))


def _effect(column: Floats, time: Floats, happened: NDArray[np.bool_], label: str, group: str) -> Effect:
    events = int(happened.sum())
    value, low, high = cox_ratios(column, time, happened)[0] if events >= FEWEST_EVENTS else (np.nan,) * 3
    note = "" if np.isfinite(value) else "too few events"
    return Effect(label, len(time), events, float(value), float(low), float(high), group, note)


@dataclass(frozen=True)
class _Design:
    """Columns of one covariate, the label and the patients of each, and its reference level."""

    group: str
    columns: Floats
    labels: tuple[str, ...]
    members: NDArray[np.bool_]
    reference: tuple[str, NDArray[np.bool_]] | None
    known: NDArray[np.bool_]


def _design(name: str, values: pd.Series) -> _Design | None:
    numeric = pd.api.types.is_numeric_dtype(values)
    known = values.notna().to_numpy(dtype=bool)
    found = values[known].unique()
    if len(found) < 2:
        return None
    if numeric and len(found) > 2:
        number = values.to_numpy(dtype=np.float64, na_value=np.nan)
        sd = float(np.nanstd(number, ddof=1))
        label = f"{_name(name)}, per SD ({digits(sd, 1 if sd < 20 else 0)})"
        return _Design("", (number / sd)[:, None], (label,), known[:, None], None, known)
    texts = np.array([f"{value:g}" if numeric else str(value) for value in values])
    levels = sorted(set(texts[known]))
    if len(levels) > MOST_LEVELS:
        return None
    # A condition is compared with its absence; of other levels the most frequent is the reference.
    often = levels[0] if numeric else max(levels, key=lambda level: (texts[known] == level).sum())
    others = [level for level in levels if level != often]
    members = np.stack([(texts == level) & known for level in others], axis=1)
    words = {"0": "no", "1": "yes"} if numeric and levels == ["0", "1"] and name != "ecog" else {}
    return _Design(
        _name(name),
        members.astype(np.float64),
        tuple(words.get(level, level) for level in others),
        members,
        (words.get(often, often), (texts == often) & known),
        known,
    )


def _lines(designs: dict[str, _Design], time: Floats, happened: NDArray[np.bool_]) -> list[Effect]:
    """Lines of the covariates of one model."""
    if not designs:
        return []
    kept = np.logical_and.reduce([each.known for each in designs.values()])
    columns = np.concatenate([each.columns for each in designs.values()], axis=1)[kept]
    ratios = cox_ratios(columns, time[kept], happened[kept])
    lines, at = [], 0
    for each in designs.values():
        if each.reference is not None:
            label, inside = each.reference
            mine = inside & kept
            lines.append(_line(label, mine, happened, (1.0, np.nan, np.nan), each.group, "reference"))
        for label, inside in zip(each.labels, each.members.T, strict=True):
            mine = inside & kept
            ratio = ratios[at] if happened[mine].sum() >= FEWEST_EVENTS else np.full(3, np.nan)
            note = "" if np.isfinite(ratio[0]) else "too few events"
            lines.append(_line(label, mine, happened, tuple(ratio), each.group, note))
            at += 1
    return lines


def _line(
    label: str,
    inside: NDArray[np.bool_],
    happened: NDArray[np.bool_],
    ratio: tuple[float, ...],
    group: str,
    note: str,
) -> Effect:
    value, low, high = (float(number) for number in ratio)
    return Effect(label, int(inside.sum()), int(happened[inside].sum()), value, low, high, group, note)
