"""Alerts on a trace of values over visits: the alarms, what they caught, how early, and how often they were false.

Dimension key: P patients (of one repeat), V monitored visits, H thresholds.

Words, all of one patient in one repeat:

- *monitored visit*: a visit after baseline (number 1 and up) at which the patient is still at risk of the endpoint. The
  risk at baseline is a forecast, not an alert, and no marker has a nadir yet.
- *trace*: one value per monitored visit. The model's is the probability of the event within 90 days of the visit,
  1 - S(90), or its log odds less a share of the lowest ones before. Where the value is missing there is no alarm.
- *alarm*: a monitored visit whose value is above the threshold, unless an alarm was raised in the `refractory` days
  before it: that is the same episode.
- *progression*: the event of the endpoint. Of `pfs` that is progression by RECIST, or death without it.
- *true alarm*: the progression comes at least `least_lead` and at most `window` days after it. *False alarm*: the
  patient is known to be free of it for `window` days after. *Open*: follow-up ends before that is known; such an
  alarm is neither.
- *sensitivity*: share of progressions that had a true alarm, among patients with a monitored visit.
- *lead time*: days from the first true alarm to the progression.
- *years at risk*: of false alarms, from the first monitored visit to the progression, or until `window` days before the
  end of follow-up without one. Later days are left out, since an alarm there is open, not false.
- *false alarms per patient-year*: their number over the years at risk.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.metrics.dynamic import DECIMALS, PREFIX

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

YEAR = 365.25
WHO = ["repeat", "fold", "patient_id"]
#: Thresholds tried when one is chosen; more than that many values are thinned to their quantiles.
MOST_THRESHOLDS = 400


@dataclass(frozen=True, kw_only=True)
class AlertSetting:
    """What counts as an alarm, and as a true one; all in days.

    Attributes:
        window: A progression later than this after an alarm is not what it warned of.
        refractory: An alarm silences the next ones for so long.
        least_lead: An alarm later than this before the progression comes too late.
    """

    window: float = 180.0
    refractory: float = 90.0
    least_lead: float = 1.0


def monitoring_table(
    predictions: pd.DataFrame, task: str = "pfs", horizon: float = 90.0, rise: float = 0.0
) -> pd.DataFrame:
    """The model's trace at all monitored visits.

    Args:
        predictions: Columns of `predictions.parquet`, of one model.
        task: Endpoint.
        horizon: Days; must be a survival column.
        rise: 0: the value is the probability itself. Above 0: its log odds minus `rise` times the lowest log odds of
            the patient's visits before; with 1 it is the rise alone.

    Returns:
        `repeat fold patient_id visit day`, `end` (day of the event or of the end of follow-up), `event`, `value`.

    Raises:
        ValueError: There is no such endpoint or survival column.
    """
    rows = predictions[predictions["task"] == task]
    column = f"{PREFIX}{horizon:g}"
    if rows.empty or column not in rows:
        raise ValueError(f"the predictions hold no `{column}` of task {task}; choose a time that they were made for")
    rows = rows[rows["at_risk"].astype(bool)]
    value = 1.0 - rows[column].astype(np.float64)
    if rise > 0:
        value = _rise(
            rows.assign(odds=np.log(value.clip(1e-6, 1 - 1e-6)) - np.log1p(-value.clip(1e-6, 1 - 1e-6))), rise
        )
    rows, value = rows[rows["visit"] >= 1], value[rows["visit"] >= 1]
    return rows[[*WHO, "visit", "day"]].assign(
        patient_id=rows["patient_id"].astype(str),
        end=(rows["day"] + rows["duration"]).round(DECIMALS).astype(np.float64),
        event=rows["event"].astype(bool),
        value=value,
    )


def _rise(rows: pd.DataFrame, share: float) -> pd.Series:
    """Log odds minus a share of the lowest ones before, in the order of `rows`; blank at a patient's first visit."""
    ordered = rows.sort_values([*WHO, "visit"])
    lowest = ordered.groupby(WHO)["odds"].cummin()
    before = lowest.groupby([ordered[name] for name in WHO]).shift(1)
    return (ordered["odds"] - share * before).reindex(rows.index)


@dataclass(frozen=True)
class _Followed:
    """What happened to every patient under every threshold; see the words of this module."""

    who: pd.DataFrame
    event: Bools
    years: Floats
    alarms: Floats
    false: Floats
    open: Floats
    lead: Floats  # NaN without a true alarm
    fired: NDArray[np.bool_]  # "V' H", in the order of the table's rows


def _follow(table: pd.DataFrame, thresholds: Floats, setting: AlertSetting) -> _Followed:
    """Go through the visits of all patients at once, under all thresholds at once; `thresholds` is "P H" or "1 H"."""
    table = table.reset_index(drop=True)
    order = table.sort_values([*WHO, "day", "visit"], kind="stable")
    keys = order.groupby(WHO, sort=False)
    place, step = keys.ngroup().to_numpy(), keys.cumcount().to_numpy()
    first = keys.first().reset_index()
    size = len(first)
    end, event = first["end"].to_numpy(dtype=np.float64), first["event"].to_numpy(dtype=np.bool_)
    shape = (size, thresholds.shape[1])
    limit = np.broadcast_to(thresholds, shape)
    alarms, false, unresolved = (np.zeros(shape) for _ in range(3))
    lead, last = np.full(shape, np.nan), np.full(shape, -np.inf)
    fired = np.zeros((len(table), shape[1]), dtype=np.bool_)
    day, value = order["day"].to_numpy(dtype=np.float64), order["value"].to_numpy(dtype=np.float64)
    for visit in range(int(step.max()) + 1 if len(step) else 0):
        rows = np.flatnonzero(step == visit)
        who, left = place[rows], (end[place[rows]] - day[rows])[:, None]
        with np.errstate(invalid="ignore"):  # a missing value is above nothing
            alarm = (value[rows, None] > limit[who]) & (day[rows, None] - last[who] >= setting.refractory)
        happened = event[who][:, None]
        true = alarm & happened & (left >= setting.least_lead) & (left <= setting.window)
        lead[who] = np.where(true & np.isnan(lead[who]), left, lead[who])
        false[who] += alarm & np.where(happened, left > setting.window, left >= setting.window)
        unresolved[who] += alarm & ~happened & (left < setting.window)
        alarms[who] += alarm
        last[who] = np.where(alarm, day[rows, None], last[who])
        fired[order.index.to_numpy()[rows]] = alarm
    start = first["day"].to_numpy(dtype=np.float64)
    years = np.maximum(np.where(event, end, end - setting.window) - start, 0.0) / YEAR
    return _Followed(first[WHO], event, years, alarms, false, unresolved, lead, fired)


def choose_threshold(table: pd.DataFrame, rate: float, setting: AlertSetting | None = None) -> float:
    """Lowest threshold at which, and above which, false alarms per patient-year are at most `rate`.

    Infinite, so that nothing ever fires, where no lower one will do or nobody is at risk.

    Args:
        table: As `monitoring_table` gives it, of the patients to choose it on.
        rate: False alarms per patient-year.
        setting: The default where absent.
    """
    known = table["value"].to_numpy(dtype=np.float64)
    values = np.unique(known[np.isfinite(known)])
    if len(values) > MOST_THRESHOLDS:
        values = np.unique(np.quantile(values, np.linspace(0.0, 1.0, MOST_THRESHOLDS), method="lower"))
    # One below all values, where everything fires, and none at or above the greatest, where nothing does.
    candidates = np.concatenate([[-np.inf], values])[::-1]
    found = _follow(table, candidates[None], setting or AlertSetting())
    if not found.years.sum() > 0:
        return float("inf")
    allowed = found.false.sum(axis=0) / found.years.sum() <= rate + 1e-12
    stop = len(candidates) if allowed.all() else int(np.argmin(allowed))
    return float(candidates[stop - 1]) if stop else float("inf")


def cross_thresholds(table: pd.DataFrame, rate: float, setting: AlertSetting | None = None) -> pd.Series:
    """Threshold of every row, chosen on the other folds of its repeat for a rate of false alarms per patient-year.

    Raises:
        ValueError: A repeat has one fold alone.
    """
    result = pd.Series(np.nan, index=table.index)
    for repeat, inside in table.groupby("repeat"):
        folds = inside["fold"].unique()
        if len(folds) < 2:
            raise ValueError(
                f"repeat {repeat} has one fold alone, so there are no other patients to choose a threshold on; "
                "train with at least two folds, or give a fixed threshold"
            )
        for fold in folds:
            chosen = choose_threshold(inside[inside["fold"] != fold], rate, setting)
            result[inside.index[inside["fold"] == fold]] = chosen
    return result


def alarm_table(table: pd.DataFrame, threshold: float | pd.Series, setting: AlertSetting | None = None) -> pd.DataFrame:
    """The monitored visits with `threshold` and `alarm`: which of them raise one.

    Args:
        table: As `monitoring_table` gives it.
        threshold: One for all, or one per row that is the same within a fold, as `cross_thresholds` gives it.
        setting: The default where absent.
    """
    limit = pd.Series(threshold, index=table.index, dtype=np.float64)
    alarm = np.zeros(len(table), dtype=np.bool_)
    for value in limit.unique():
        inside = (limit == value).to_numpy()
        alarm[inside] = _follow(table[inside], np.array([[value]]), setting or AlertSetting()).fired[:, 0]
    return table.assign(threshold=limit, alarm=alarm)


def followed_patients(
    table: pd.DataFrame, threshold: float | pd.Series, setting: AlertSetting | None = None
) -> pd.DataFrame:
    """One row per repeat and patient: `event years alarms false open lead threshold`; `lead` is blank where missed."""
    limit = pd.Series(threshold, index=table.index, dtype=np.float64)
    parts = []
    for value in limit.unique():
        found = _follow(table[limit == value], np.array([[value]]), setting or AlertSetting())
        columns = {"alarms": found.alarms, "false": found.false, "open": found.open, "lead": found.lead}
        part = found.who.assign(event=found.event, years=found.years, threshold=value)
        parts.append(part.assign(**{name: each[:, 0] for name, each in columns.items()}))
    if not parts:
        names = [*WHO, "event", "years", "threshold", "alarms", "false", "open", "lead"]
        return pd.DataFrame({name: np.zeros(0) for name in names}).astype({"event": bool})
    return pd.concat(parts, ignore_index=True).sort_values(WHO, ignore_index=True)
