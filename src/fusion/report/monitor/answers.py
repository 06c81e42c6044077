"""What other commands may have to say of a visit: alerts, conformal bounds and reasons, as the page reads them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fusion.report.monitor.inputs import MonitorInput
from fusion.report.monitor.numbers import day, digits, part
from fusion.report.monitor.slides import slides_of

Json = dict[str, Any]
ByVisit = dict[tuple[str, int], Any]

#: Features told per visit and task.
TOP_FEATURES = 6


@dataclass(frozen=True)
class Extras:
    """Answers by patient and visit; what is not there is empty.

    Attributes:
        meta: Names that the entries refer to, and which answers there are.
        alerts: [alarm, threshold].
        bounds: Days by task.
        sets: Responses that cannot be ruled out: 1 no response, 2 response, 3 either, 0 neither.
        reasons: By task, the contribution of each of `meta["reasonNames"]`.
        features: By task, pairs of place in `meta["features"]` and contribution, the largest first.
        steps: By task, pairs of place in `meta["stepNames"]` and contribution since the visit before.
        slides: By patient, as `slides_of` gives them.
    """

    meta: Json
    alerts: ByVisit = field(default_factory=dict)
    bounds: dict[str, ByVisit] = field(default_factory=dict)
    sets: ByVisit = field(default_factory=dict)
    reasons: dict[str, ByVisit] = field(default_factory=dict)
    features: dict[str, ByVisit] = field(default_factory=dict)
    steps: dict[str, ByVisit] = field(default_factory=dict)
    slides: dict[str, list[Json]] = field(default_factory=dict)

    def of(self, patient: str, visits: list[int]) -> Json:
        """The columns of one patient."""

        def columns(table: dict[str, ByVisit]) -> Json:
            found = {task: [each.get((patient, visit)) for visit in visits] for task, each in table.items()}
            return {task: column for task, column in found.items() if any(each is not None for each in column)}

        return {
            "alerts": [self.alerts.get((patient, visit)) for visit in visits] if self.meta["hasAlerts"] else [],
            "bounds": columns(self.bounds),
            "sets": [self.sets.get((patient, visit)) for visit in visits] if self.meta["hasSets"] else [],
            "reasons": columns(self.reasons),
            "features": columns(self.features),
            "steps": columns(self.steps),
            "slides": self.slides.get(patient, []),
        }


def extras_of(tables: MonitorInput) -> Extras:
    """Collect them. Repeats of a patient are averaged; of lower bounds the lowest is kept, which still holds."""
    names, reasons = _contributions(tables.reasons, ["modality"], None)
    features, told = _contributions(tables.feature_reasons, ["modality", "feature"], TOP_FEATURES)
    sources, steps = _contributions(tables.steps, ["modality"], None)
    return Extras(
        meta={
            "hasAlerts": tables.alerts is not None,
            "alertDays": digits(tables.alert_days),
            "alertsNote": tables.alerts_note,
            "hasBounds": tables.bounds is not None,
            "hasSets": tables.sets is not None,
            "hasReasons": tables.reasons is not None or tables.feature_reasons is not None,
            "reasonNames": [name for (name,) in names],
            "features": [list(name) for name in features],
            "stepNames": [name for (name,) in sources],
        },
        alerts=_alerts(tables.alerts),
        bounds=_bounds(tables.bounds),
        sets=_sets(tables.sets),
        reasons={task: {at: _dense(pairs, len(names)) for at, pairs in said.items()} for task, said in reasons.items()},
        features=told,
        steps=steps,
        slides=slides_of(tables.patches),
    )


def _dense(pairs: list[list[Any]], size: int) -> list[Any]:
    """Contributions in the order of the names: shorter than pairs where nearly every name has one."""
    row = [None] * size
    for place, value in pairs:
        row[place] = value
    return row


def _keyed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(patient_id=table["patient_id"].astype(str), visit=table["visit"].astype(int))


def _alerts(table: pd.DataFrame | None) -> ByVisit:
    if table is None:
        return {}
    rows = _keyed(table).assign(alarm=pd.to_numeric(table["alarm"], errors="coerce").astype(float))
    threshold = pd.to_numeric(table["threshold"], errors="coerce") if "threshold" in table else np.nan
    mean = rows.assign(threshold=threshold).groupby(["patient_id", "visit"])[["alarm", "threshold"]].mean()
    # Repeats that disagree: an alarm where at least half of them raise it.
    return {
        (str(patient), int(visit)): [
            None if np.isnan(alarm) else int(alarm >= 0.5),
            part(level) if 0 < level < 1 else None,
        ]
        for (patient, visit), alarm, level in zip(mean.index, mean["alarm"], mean["threshold"], strict=True)
    }


def _bounds(table: pd.DataFrame | None) -> dict[str, ByVisit]:
    if table is None:
        return {}
    lowest = _keyed(table).groupby(["task", "patient_id", "visit"])["lower_days"].min()
    found: dict[str, ByVisit] = {}
    for (task, patient, visit), days in lowest.items():
        found.setdefault(str(task), {})[(str(patient), int(visit))] = day(days)
    return found


def _sets(table: pd.DataFrame | None) -> ByVisit:
    if table is None:
        return {}
    possible = _keyed(table).groupby(["patient_id", "visit"])[["can_be_nonresponder", "can_be_responder"]].any()
    codes = possible["can_be_nonresponder"].astype(int) + 2 * possible["can_be_responder"].astype(int)
    return {(str(patient), int(visit)): int(code) for (patient, visit), code in codes.items()}


def _contributions(
    table: pd.DataFrame | None, by: list[str], top: int | None
) -> tuple[list[tuple[str, ...]], dict[str, ByVisit]]:
    """Names, and by task and visit the pairs of a name's place and its mean contribution, the largest first."""
    if table is None or not len(table):
        return [], {}
    rows = _keyed(table)
    mean = rows.groupby(["task", "patient_id", "visit", *by], sort=False)["contribution"].mean().reset_index()
    mean = mean[np.isfinite(mean["contribution"].to_numpy(dtype=float))]
    keys = ["task", "patient_id", "visit"]
    mean = mean.assign(size=mean["contribution"].abs()).sort_values([*keys, "size"], ascending=[True] * 3 + [False])
    if top is not None:
        mean = mean.groupby(keys, sort=False).head(top)
    pairs = [tuple(map(str, name)) for name in mean[by].itertuples(index=False)]
    names = sorted(set(pairs))
    place = {name: i for i, name in enumerate(names)}
    found: dict[str, ByVisit] = {}
    columns = zip(mean["task"], mean["patient_id"], mean["visit"], pairs, mean["contribution"], strict=True)
    for task, patient, visit, name, value in columns:
        mine = found.setdefault(str(task), {}).setdefault((str(patient), int(visit)), [])
        mine.append([place[name], digits(value, 2)])
    return names, found
