"""RECIST 1.1 from a table of lesions: response at every scan, best response, day of progression.

After Eisenhauer et al., Eur J Cancer 45:228 (2009) and the clarifications of Schwartz et al., Eur J Cancer 62:132
(2016). What the guideline leaves to the reader of the scans is fixed here as follows.

- **Baseline** is the last scan on or before day 0; without one, the first scan (with a remark). What is listed there
  as target or non-target stays so; scans before it are not assessed.
- **Diameters are taken as written**: the longest diameter, for nodes (`nodal` = 1) the short axis. 0 is a lesion that
  is gone. A site that follows the "too small to measure" rule writes 5 mm for a lesion that is seen and not measured.
- **Nodes** under 10 mm are normal: they count as gone, while their size stays in the sum.
- **A lesion without a row, or a target without a diameter,** was not evaluated. A non-target row with a blank diameter
  is a lesion that is there. Targets not all evaluated give NE, unless those measured alone make PD; they never lower
  the nadir.
- **Non-target progression** is a reader's judgement ("unequivocal"): the optional column `progression` = 1 says so,
  diameters of non-targets never do.
- **A new lesion** has `new_lesion` = 1, and stays new at later scans. Where that column is absent or blank, a lesion
  first recorded after baseline is new.
- **After complete response** any baseline lesion that is seen again is PD; nodes go by the sum.
- **Without targets**, non-CR/non-PD is reported as SD.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Rounding of a recorded diameter must not decide whether 20 %, 30 % or 5 mm was reached.
TOLERANCE = 1e-9
NORMAL_NODE_MM = 10.0
MAX_TARGETS = 5
MAX_TARGETS_PER_ORGAN = 2


def assess_lesions(lesions: pd.DataFrame) -> pd.DataFrame:
    """Assess every scan of every patient by RECIST 1.1.

    Args:
        lesions: One row per lesion and scan: `patient_id`, `scan_day`, `lesion_id`, `target` (0/1), `diameter_mm`;
            optionally `nodal`, `new_lesion`, `progression` (0/1, blank = 0 but for `new_lesion`) and `organ`.

    Returns:
        One row per patient and scan, in this order: `patient_id`, `scan_day`, `baseline` (True for the baseline scan),
        `target_sum` (mm, of the targets measured at this scan), `target_missing` (targets not measured), `change`
        (of a complete sum against baseline, -0.3 = 30 % smaller), `nadir` (smallest complete sum before this scan),
        `target_response` (CR PR SD PD NE), `non_target_response` (CR, non-CR/non-PD, PD, NE), `new_lesion`,
        `overall_response` (CR PR SD PD NE) and `remark`. Responses are None at and before baseline, and where there
        is no lesion of that kind.

    Raises:
        ValueError: A column is missing or holds something else, or a lesion has two rows at one scan.
    """
    rows, scans = _rows_and_scans(lesions)
    after = (scans["scan_day"] > scans["baseline_day"]).to_numpy()
    started = after | scans["baseline"].to_numpy()
    followed = _followed(rows, scans[started])
    target = followed[followed["target"] & followed["measured_at_baseline"]]
    other = followed[~followed["target"]]

    size = len(scans)
    diameter = target["diameter_mm"].to_numpy()
    expected = _per_scan(target, np.ones(len(target)), size)
    missing = _per_scan(target, np.isnan(diameter), size)
    gone = _per_scan(target, _gone(target), size)
    target_sum = _per_scan(target, np.nan_to_num(diameter), size)
    target_sum[expected == missing] = np.nan
    has_target = expected > 0

    baseline_of = scans["baseline_scan"].to_numpy()
    nadir = _nadir(scans["patient_id"], np.where(missing == 0, target_sum, np.nan))
    with np.errstate(invalid="ignore", divide="ignore"):  # a sum that is NaN or a baseline sum of 0 decides nothing
        comparable = (missing == 0) & (target_sum[baseline_of] > 0)
        change = np.where(comparable, target_sum / target_sum[baseline_of] - 1, np.nan)
        grown = (target_sum >= 1.2 * nadir - TOLERANCE) & (target_sum - nadir >= 5 - TOLERANCE)
        shrunk = target_sum <= 0.7 * target_sum[baseline_of] + TOLERANCE
    complete = has_target & (gone == expected)
    other_absent, other_seen, other_progressed, other_expected = _count_non_targets(other, size)
    has_other, other_present, other_worse = other_expected > 0, other_seen > 0, other_progressed > 0
    other_complete = other_absent == other_expected  # also true of a patient who has no non-target lesion
    new = np.bincount(rows.loc[rows["new"], "scan"], minlength=size) > 0
    responded = after & ~new & (has_target | has_other) & (~has_target | complete) & other_complete
    after_response = _seen_before(scans["patient_id"], responded)
    target_seen = _per_scan(target, (diameter > 0) & ~target["nodal"].to_numpy(), size) > 0
    target_worse = grown | (after_response & target_seen)
    other_worse |= after_response & other_present

    target_response = _first_that_holds(
        (~after | ~has_target, None),
        (complete, "CR"),
        (target_worse, "PD"),
        (missing > 0, "NE"),
        (shrunk, "PR"),
        otherwise="SD",
    )
    other_response = _first_that_holds(
        (~after | ~has_other, None),
        (other_worse, "PD"),
        (other_present, "non-CR/non-PD"),
        (other_complete, "CR"),
        otherwise="NE",
    )
    overall = _first_that_holds(
        (~after, None),
        (new | (target_response == "PD") | (other_response == "PD"), "PD"),
        (has_target & (target_response == "NE"), "NE"),
        (other_complete & complete, "CR"),
        (target_response == "SD", "SD"),
        (has_target, "PR"),  # also targets that are gone while a non-target is there or was not evaluated
        (other_response == "CR", "CR"),
        (other_response == "non-CR/non-PD", "SD"),
        otherwise="NE",
    )
    return pd.DataFrame(
        {
            "patient_id": scans["patient_id"],
            "scan_day": scans["scan_day"],
            "baseline": scans["baseline"],
            "target_sum": target_sum,
            "target_missing": missing.astype(np.int64),
            "change": change,
            "nadir": nadir,
            "target_response": pd.Series(target_response, dtype=object),
            "non_target_response": pd.Series(other_response, dtype=object),
            "new_lesion": new,
            "overall_response": pd.Series(overall, dtype=object),
            "remark": _remarks(rows, scans),
        }
    )


def progression_day(assessments: pd.DataFrame) -> pd.Series:
    """Day of the first scan with PD, NaN for patients without; indexed by `patient_id`."""
    progressed = assessments["scan_day"].where(assessments["overall_response"] == "PD")
    return progressed.groupby(assessments["patient_id"].to_numpy()).min().rename_axis("patient_id")


def best_response(
    assessments: pd.DataFrame, confirmation_days: float | None = None, stable_days: float = 0.0
) -> pd.DataFrame:
    """Best overall response up to and including progression.

    Args:
        assessments: What `assess_lesions` returned.
        confirmation_days: CR and PR count only if seen again this many days later (28 in most protocols) with nothing
            but NE and responses between; else they count as SD. None: no confirmation, as in a randomised trial.
        stable_days: SD counts from this day on (6 to 8 weeks in most protocols); earlier, PD makes it PD, else NE.

    Returns:
        Indexed by `patient_id`: `response` (NE without any assessment) and `response_day`, the first scan that showed
        it (NaN for NE).
    """
    best = {
        patient: _best_of_one(
            scans["scan_day"].tolist(), scans["overall_response"].tolist(), confirmation_days, stable_days
        )
        for patient, scans in assessments.sort_values("scan_day", kind="stable").groupby("patient_id", sort=True)
    }
    index = pd.Index(list(best), name="patient_id")
    return pd.DataFrame(list(best.values()), index=index, columns=["response", "response_day"])


def _best_of_one(
    days: list[float], responses: list[object], confirmation_days: float | None, stable_days: float
) -> tuple[str, float]:
    scans = [(day, response) for day, response in zip(days, responses, strict=True) if isinstance(response, str)]
    progression = next((i for i, (_, response) in enumerate(scans) if response == "PD"), len(scans))
    before = scans[:progression]
    for wanted, counted in (("CR", ("CR",)), ("PR", ("CR", "PR"))):
        for i, (day, response) in enumerate(before):
            if response in counted and _confirmed(before[i:], counted, confirmation_days):
                return wanted, day
    for day, response in before:
        if response != "NE" and day >= stable_days:
            return "SD", day
    return ("PD", scans[progression][0]) if progression < len(scans) else ("NE", np.nan)


def _confirmed(scans: list[tuple[float, str]], counted: tuple[str, ...], confirmation_days: float | None) -> bool:
    """Whether the response at the first scan holds, or is seen again late enough before anything else is seen."""
    if confirmation_days is None:
        return True
    for day, response in scans:
        if response in counted and day - scans[0][0] >= confirmation_days:
            return True
        if response not in (*counted, "NE"):
            return False
    return False


def _rows_and_scans(lesions: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lesions, typed and sorted, each with its scan's number; and the scans, each with its patient's baseline."""
    absent = [c for c in ("patient_id", "scan_day", "lesion_id", "target", "diameter_mm") if c not in lesions]
    if absent:
        raise ValueError(f"the lesions table lacks {absent}: add the columns")
    if lesions[["patient_id", "lesion_id"]].isna().to_numpy().any():
        raise ValueError("patient_id or lesion_id has a blank in the lesions table: fill it in")
    rows = pd.DataFrame({c: lesions[c].astype(str).to_numpy() for c in ("patient_id", "lesion_id")})
    for column in ("scan_day", "diameter_mm"):
        rows[column] = pd.to_numeric(lesions[column]).to_numpy(dtype=np.float64)
    if (
        not np.isfinite(rows["scan_day"]).all()
        or (rows["diameter_mm"] < 0).any()
        or np.isinf(rows["diameter_mm"]).any()
    ):
        raise ValueError(
            "scan_day has a blank, or diameter_mm is negative or infinite: correct them (blank = not measured)"
        )
    for column in ("target", "nodal", "progression"):
        rows[column] = _flag(lesions, column).fillna(0).astype(bool).to_numpy()
    rows["new"] = _flag(lesions, "new_lesion").to_numpy()
    rows["organ"] = lesions["organ"].to_numpy() if "organ" in lesions else None
    keys = ["patient_id", "scan_day", "lesion_id"]
    rows = rows.sort_values(keys, kind="stable", ignore_index=True)
    twice = rows[rows.duplicated(keys)]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"lesion {first['lesion_id']!r} of patient {first['patient_id']!r} has two rows on day "
            f"{first['scan_day']:g} ({len(twice)} such rows in all): keep one per scan"
        )
    scans = rows[["patient_id", "scan_day"]].drop_duplicates(ignore_index=True)
    on_time = scans["scan_day"].where(scans["scan_day"] <= 0)
    by_patient = scans["patient_id"].to_numpy()
    last = on_time.groupby(by_patient).transform("max")
    scans["baseline_day"] = last.fillna(scans["scan_day"].groupby(by_patient).transform("min"))
    scans["baseline"] = scans["scan_day"] == scans["baseline_day"]
    scans["scan"] = np.arange(len(scans))
    # Rows are sorted by patient, so the baseline of every scan's patient is found by counting baselines.
    scans["baseline_scan"] = scans.loc[scans["baseline"], "scan"].to_numpy()[pd.factorize(scans["patient_id"])[0]]
    rows = rows.merge(scans.drop(columns="baseline_scan"), on=["patient_id", "scan_day"])
    after = rows["scan_day"] > rows["baseline_day"]
    lesion = [rows["patient_id"], rows["lesion_id"]]
    newcomer = (rows["scan_day"].groupby(lesion).transform("min") > rows["baseline_day"]) & (rows["diameter_mm"] != 0)
    new = rows["new"].fillna(newcomer.astype(float)).astype(bool) & after
    rows["new"] = new.groupby(lesion).cummax()  # rows are in order of time
    rows["uncounted"] = newcomer & ~rows["new"]
    return rows, scans


def _flag(lesions: pd.DataFrame, column: str) -> "pd.Series[float]":
    if column not in lesions:
        return pd.Series(np.nan, index=lesions.index)
    values = pd.to_numeric(lesions[column]).astype(float)
    if not values.dropna().isin([0, 1]).all():
        raise ValueError(f"column {column} of the lesions table holds other values than 0, 1 and blank: correct them")
    return values


def _followed(rows: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Every lesion of the baseline scan at every later scan, with NaN and `evaluated` = False where it has no row."""
    first = rows.loc[rows["baseline"], ["patient_id", "lesion_id", "target", "nodal", "diameter_mm"]]
    first = first.assign(measured_at_baseline=first["diameter_mm"].notna()).drop(columns="diameter_mm")
    found = rows[["scan", "lesion_id", "diameter_mm", "progression"]].assign(evaluated=True)
    pairs = scans[["patient_id", "scan"]].merge(first, on="patient_id")
    table = pairs.merge(found, on=["scan", "lesion_id"], how="left")
    table[["progression", "evaluated"]] = table[["progression", "evaluated"]].eq(True)
    return table


def _first_that_holds(*cases: tuple[NDArray[np.bool_], str | None], otherwise: str) -> NDArray[np.object_]:
    """Per scan, the value of the first condition that is true."""
    chosen = np.full(len(cases[0][0]), otherwise, dtype=object)
    for condition, value in reversed(cases):
        chosen[condition] = value
    return chosen


def _gone(lesions: pd.DataFrame) -> NDArray[np.bool_]:
    size = lesions["diameter_mm"].to_numpy()
    return np.where(lesions["nodal"].to_numpy(), size < NORMAL_NODE_MM, size == 0)


def _count_non_targets(other: pd.DataFrame, size: int) -> tuple[NDArray[np.float64], ...]:
    """Per scan: non-target lesions that are gone, seen, unequivocally worse, and looked for."""
    evaluated, gone = other["evaluated"].to_numpy(), _gone(other)
    kinds = (evaluated & gone, evaluated & ~gone, other["progression"].to_numpy(), np.ones(len(other)))
    return tuple(_per_scan(other, kind, size) for kind in kinds)


def _per_scan(lesions: pd.DataFrame, values: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Sum of a value over the lesions of every scan."""
    return np.bincount(lesions["scan"], weights=values, minlength=size).astype(np.float64)


def _nadir(patient: "pd.Series[str]", complete_sum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest complete sum of a patient's earlier scans, baseline included; NaN before there is one."""
    lowest = pd.Series(complete_sum).fillna(np.inf).groupby(patient.to_numpy()).cummin()
    earlier = lowest.groupby(patient.to_numpy()).shift(1)
    return earlier.replace(np.inf, np.nan).to_numpy(dtype=np.float64)


def _seen_before(patient: "pd.Series[str]", flag: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the flag was up at an earlier scan of the same patient."""
    count = pd.Series(flag.astype(np.int64)).groupby(patient.to_numpy()).cumsum()
    return (count.to_numpy() - flag) > 0


def _remarks(rows: pd.DataFrame, scans: pd.DataFrame) -> list[str]:
    """What a reader of the assessments should know, at the scan that it concerns."""
    remarks: dict[int, list[str]] = defaultdict(list)
    for scan in scans.loc[scans["baseline"] & (scans["scan_day"] > 0), "scan"]:
        remarks[scan].append("no scan on or before day 0: the first one is taken as baseline")
    target = rows[rows["baseline"] & rows["target"]]
    for scan, number in target.groupby("scan").size().items():
        if number > MAX_TARGETS:
            remarks[scan].append(f"{number} target lesions: RECIST 1.1 takes at most {MAX_TARGETS}")
    for (scan, organ), number in target.groupby(["scan", "organ"]).size().items():
        if number > MAX_TARGETS_PER_ORGAN:
            remarks[scan].append(
                f"{number} target lesions in {organ}: RECIST 1.1 takes at most {MAX_TARGETS_PER_ORGAN}"
            )
    for scan, lesion in target.loc[target["diameter_mm"].isna(), ["scan", "lesion_id"]].itertuples(index=False):
        remarks[scan].append(f"target lesion {lesion} has no diameter at baseline: left out of the sum")
    for scan, lesion in rows.loc[rows["uncounted"], ["scan", "lesion_id"]].itertuples(index=False):
        remarks[scan].append(f"lesion {lesion} was not there at baseline and is not called new: left out")
    return ["; ".join(remarks[scan]) for scan in range(len(scans))]
