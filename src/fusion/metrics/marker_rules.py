"""Plain rules on serial markers, as traces on the same visits as the model's: the rise over the lowest value so far.

Dimension key: none; tables have one row per measurement, or per monitored visit.

Input is a long table with `patient_id`, `day` (on which the result was known), `analyte`, `value` and, where an assay
has one, `limit` (of detection, of that sample). A value below its limit is set to it: the nadir is never zero, and a
rise must lead above the limit.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MarkerRule:
    """An alarm where a marker is more than `factor` times its lowest value before.

    Attributes:
        name: What it is called in tables.
        analyte: Which values it reads.
        factor: The rise that raises an alarm.
        confirmed: Whether the measurement before must have risen as much over the lowest value before that.
        limit: Limit of detection where the table gives none, in the units of the analyte.
    """

    name: str
    analyte: str
    factor: float
    confirmed: bool = False
    limit: float = 0.0


#: The rise of circulating tumour DNA, by itself and confirmed, and rises of serum markers.
MARKER_RULES = (
    MarkerRule(name="ctDNA x 2.5", analyte="tumor_fraction", factor=2.5, limit=0.001),
    MarkerRule(name="ctDNA x 2.5, confirmed", analyte="tumor_fraction", factor=2.5, confirmed=True, limit=0.001),
    MarkerRule(name="ProGRP x 1.5, confirmed", analyte="progrp", factor=1.5, confirmed=True),
    MarkerRule(name="NSE x 1.5, confirmed", analyte="nse", factor=1.5, confirmed=True),
    MarkerRule(name="LDH x 1.5, confirmed", analyte="ldh", factor=1.5, confirmed=True),
)


def rise_over_nadir(values: Floats, confirmed: bool = False) -> Floats:
    """Each value over the lowest one before it; 1 for the first, and infinite over a nadir of zero.

    With `confirmed`, the lesser of this rise and of that of the measurement before.

    >>> rise_over_nadir(np.array([8.0, 2.0, 5.0, 6.0]))
    array([1.  , 0.25, 2.5 , 3.  ])
    >>> rise_over_nadir(np.array([8.0, 2.0, 5.0, 6.0]), confirmed=True)
    array([1.  , 0.25, 0.25, 2.5 ])
    """
    if not len(values):
        return np.zeros(0)
    lowest = np.minimum.accumulate(values)[:-1]
    risen = np.where(values[1:] > 0, np.inf, 1.0)
    rise = np.concatenate([[1.0], np.divide(values[1:], lowest, out=risen, where=lowest > 0)])
    return np.minimum(rise, np.concatenate([[1.0], rise[:-1]])) if confirmed else rise


def marker_rises(values: pd.DataFrame, rule: MarkerRule) -> pd.DataFrame:
    """Rise of a marker at every measurement: `patient_id`, `day`, `value`; several on one day count as their mean.

    Raises:
        ValueError: A column is missing, or a value is below zero.
    """
    lacking = {"patient_id", "day", "analyte", "value"} - set(values.columns)
    if lacking:
        raise ValueError(f"the table of markers has no column {sorted(lacking)[0]}; make it long, one value a row")
    own = values[(values["analyte"] == rule.analyte) & values["value"].notna() & values["day"].notna()]
    if (own["value"] < 0).any():
        raise ValueError(f"{rule.analyte} has values below zero, over which no rise is defined; give it untransformed")
    limit = own["limit"].fillna(rule.limit) if "limit" in own else rule.limit
    own = own.assign(patient_id=own["patient_id"].astype(str), value=own["value"].clip(lower=limit).astype(np.float64))
    daily = own.groupby(["patient_id", "day"], as_index=False)["value"].mean()
    daily["day"] = daily["day"].astype(np.float64)
    rises = [
        rise_over_nadir(inside["value"].to_numpy(dtype=np.float64), rule.confirmed)
        for _, inside in daily.groupby("patient_id")
    ]
    return daily.assign(value=np.concatenate(rises) if rises else np.zeros(0))


def marker_trace(monitoring: pd.DataFrame, values: pd.DataFrame, rule: MarkerRule) -> pd.DataFrame:
    """The monitored visits with the rule's value in place of the model's: the rise last known by the visit.

    Blank for a patient without a measurement by then: the rule is silent there, and a progression is missed.

    Args:
        monitoring: As `fusion.metrics.alerts.monitoring_table` gives it.
        values: The long table of markers.
        rule: Which of them, and how.
    """
    rises = marker_rises(values, rule).rename(columns={"value": "rise"}).sort_values("day")
    asked = monitoring.reset_index(names="_row").assign(day=monitoring["day"].to_numpy(dtype=np.float64))
    asked = asked.sort_values("day", kind="stable")
    found = pd.merge_asof(asked, rises, on="day", by="patient_id").set_index("_row")
    return monitoring.assign(value=found["rise"].reindex(monitoring.index))
