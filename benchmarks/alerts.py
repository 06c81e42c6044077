"""The alert of a run beside plain marker rules, out of fold, each at its own and at the same false-alarm rate.

    python benchmarks/alerts.py run=DIR data.path=DIR [rates=0.1,0.25,0.5,1] [models=landmark_last] [out=FILE]
        [task=pfs] [horizon=90] [window=180] [refractory=90] ['rules=[bilirubin*2,albumin<3,size_change_percent>20]']

`models` names plain models of `baselines.parquet`. `fusion` is alarmed by the risk within 90 days; `fusion, half rise`
by its log odds less half of the patient's lowest before, `fusion, rise` less all of it. The rows `always` and `coin`
are floors: an alarm at every visit, and one at random. `horizon` is that of the risk, the next two are of the alarm.

A rule of your own names a number of plasma.csv or labs.csv: `NAME*F`, an alarm where it is more than F times its lowest
value before (`NAME*F!`: twice in a row), `NAME>L` and `NAME<L`, where the last value known is beyond L.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from _runs import ROOT, markdown
from _timing import write

from fusion.metrics.alert_scores import AlertFigures, alert_figures, compare_alerts
from fusion.metrics.alerts import AlertSetting, cross_thresholds, followed_patients, monitoring_table
from fusion.metrics.bootstrap import Figure
from fusion.metrics.marker_rules import MARKER_RULES, MarkerRule, marker_trace

#: Of the model, as an alert that nobody tuned: the event is more likely than not.
LIKELY = 0.5


def serial_values(cohort: Path) -> pd.DataFrame:
    """Long table of the numbers of `plasma.csv` and `labs.csv`, with the day on which each was known."""
    samples = pd.read_csv(cohort / "samples.csv", dtype={"sample_id": str, "patient_id": str})
    known = samples["available_day"].fillna(samples["day"]) if "available_day" in samples else samples["day"]
    if "pass_qc" in samples:
        samples = samples[samples["pass_qc"].fillna(1).astype(int) == 1]
    samples = samples.assign(day=known)[["sample_id", "patient_id", "day"]].drop_duplicates("sample_id")
    parts = []
    for name in ("plasma.csv", "labs.csv"):
        if not (cohort / name).exists():
            continue
        table = pd.read_csv(cohort / name, dtype={"sample_id": str})
        if "analyte" not in table:
            fixed = ["sample_id", *(column for column in ("lod",) if column in table)]
            table = table.melt(id_vars=fixed, var_name="analyte", value_name="value")
        # The limit of detection is one of the tumour fraction, not of the other numbers of the sample.
        limit = table["lod"].where(table["analyte"] == "tumor_fraction") if "lod" in table else np.nan
        parts.append(table.assign(limit=limit, value=pd.to_numeric(table["value"], errors="coerce")))
    if not parts:
        raise SystemExit(f"{cohort} has neither plasma.csv nor labs.csv; there is no marker to compare with")
    long = pd.concat(parts, ignore_index=True)[["sample_id", "analyte", "value", "limit"]]
    return long.merge(samples, on="sample_id", how="inner")


@dataclass(frozen=True, kw_only=True)
class LevelRule:
    """An alarm where the last known value of a marker is beyond a level; `above` says on which side."""

    name: str
    analyte: str
    level: float
    above: bool

    def trace(self, monitoring: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
        """The monitored visits with that value, its sign turned where a low one raises the alarm."""
        own = values[(values["analyte"] == self.analyte) & values["value"].notna()]
        own = own.assign(known=own["value"] * (1 if self.above else -1), day=own["day"].astype(np.float64))
        asked = monitoring.reset_index(names="_row").assign(day=monitoring["day"].astype(np.float64).to_numpy())
        asked, own = asked.sort_values("day", kind="stable"), own.sort_values("day")[["patient_id", "day", "known"]]
        found = pd.merge_asof(asked, own, on="day", by="patient_id").set_index("_row")["known"]
        return monitoring.assign(value=found.reindex(monitoring.index))


def rules_of(text: str) -> list[MarkerRule | LevelRule]:
    """Rules as the command line names them; those of the package where it names none."""
    words = [word.strip() for word in text.strip("[]").split(",") if word.strip()]
    rules: list[MarkerRule | LevelRule] = []
    for word in words:
        found = re.fullmatch(r"(\w+)([*<>])(-?[\d.]+)(!?)", word)
        if not found:
            raise SystemExit(f"{word} is no rule; write NAME*2, NAME*2!, NAME>2 or NAME<2")
        name, kind, number, twice = found.groups()
        if kind == "*":
            shown = f"{name} x {number}{', confirmed' if twice else ''}"
            rules.append(MarkerRule(name=shown, analyte=name, factor=float(number), confirmed=bool(twice)))
        else:
            above = kind == ">"
            rules.append(LevelRule(name=f"{name} {kind} {number}", analyte=name, level=float(number), above=above))
    return rules or list(MARKER_RULES)


def said(value: Figure, digits: int = 2) -> str:
    """A figure with its interval."""
    if value["value"] is None:
        return "-"
    inside = "" if value["low"] is None else f" ({value['low']:.{digits}f} to {value['high']:.{digits}f})"
    return f"{value['value']:.{digits}f}{inside}"


def row_of(name: str, at: str, found: AlertFigures) -> dict[str, str]:
    """One line of the table."""
    spread = "" if found.lead_quartiles is None else " ({:.0f} to {:.0f})".format(*found.lead_quartiles)
    lead = "-" if found.lead["value"] is None else f"{found.lead['value']:.0f}{spread}"
    return {
        "alert": name,
        "threshold": at,
        "sensitivity": said(found.sensitivity),
        "false alarms per patient-year": said(found.false_alarms),
        "lead time, median (IQR) days": lead,
        "alarms": f"{found.alarms:.0f}",
        "open": f"{found.open_alarms:.0f}",
    }


def traces_of(
    run: Path,
    cohort: Path,
    task: str,
    models: Sequence[str],
    horizon: float = 90.0,
    rules: Sequence[MarkerRule | LevelRule] = MARKER_RULES,
) -> dict[str, tuple[pd.DataFrame, float]]:
    """Every alert by name: its trace on the monitored visits of the run, and its own threshold."""
    predictions = pd.read_parquet(run / "predictions.parquet")
    ours = monitoring_table(predictions, task, horizon)
    traces = {"fusion": (ours, LIKELY)}
    for name, rise in (("fusion, half rise", 0.5), ("fusion, rise", 1.0)):
        traces[name] = (monitoring_table(predictions, task, horizon, rise=rise), float("nan"))
    key = ["repeat", "fold", "patient_id", "visit"]
    if models:
        plain = pd.read_parquet(run / "baselines.parquet")
        for name in models:
            theirs = monitoring_table(plain[plain["model"] == name], task, horizon)
            traces[name] = (ours.drop(columns="value").merge(theirs[[*key, "value"]], on=key, how="left"), LIKELY)
    values = serial_values(cohort)
    for rule in rules:
        if not (values["analyte"] == rule.analyte).any():
            continue
        if isinstance(rule, LevelRule):
            traces[rule.name] = (rule.trace(ours, values), rule.level if rule.above else -rule.level)
        else:
            traces[rule.name] = (marker_trace(ours, values, rule), rule.factor)
    traces["always"] = (ours.assign(value=1.0), 0.0)
    traces["coin"] = (ours.assign(value=np.random.default_rng(0).random(len(ours))), float("nan"))
    return traces


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    if "run" not in given or "data.path" not in given:
        print("nothing to do: name a run and its cohort, run=DIR data.path=DIR")
        return
    rates = [float(rate) for rate in given.get("rates", "0.1,0.25,0.5,1").split(",")]
    models = [name for name in given.get("models", "").split(",") if name]
    setting = AlertSetting(window=float(given.get("window", "180")), refractory=float(given.get("refractory", "90")))
    traces = traces_of(
        Path(given["run"]),
        Path(given["data.path"]),
        given.get("task", "pfs"),
        models,
        float(given.get("horizon", "90")),
        rules_of(given.get("rules", "")),
    )
    rows, raw, apart = [], [], []
    facts: AlertFigures | None = None
    for name, (trace, own) in traces.items():
        found = []
        if np.isfinite(own):
            found.append((f"own, {own:g}", followed_patients(trace, own, setting)))
        if name != "always":
            found += [
                (f"for {rate:g} a year", followed_patients(trace, cross_thresholds(trace, rate, setting), setting))
                for rate in rates
            ]
        for at, followed in found:
            figures = alert_figures(followed)
            facts = facts or figures
            rows.append(row_of(name, at, figures))
            raw.append({"alert": name, "at": at, **vars(figures)})
        if not np.isfinite(own) or name in ("fusion", "always"):
            continue
        # The model at the rate of false alarms that this alert had at its own threshold.
        rate = found[0][1]["false"].sum() / max(found[0][1]["years"].sum(), 1e-9)
        for ours in ("fusion", "fusion, half rise", "fusion, rise"):
            model = traces[ours][0]
            chosen = followed_patients(model, cross_thresholds(model, float(rate), setting), setting)
            away = compare_alerts(chosen, found[0][1])
            apart.append(
                {
                    "difference": f"{ours} - {name}",
                    "at its false alarms a year": f"{rate:.2f}",
                    "sensitivity": said(away["sensitivity"]),
                    "p": "-" if away["sensitivity"].get("p") is None else f"{away['sensitivity']['p']:.3f}",
                    "false alarms": said(away["false_alarms"]),
                    "lead, days": said(away["lead"], 0),
                }
            )
    if facts is not None:
        print(
            f"{facts.patients} patients with a visit after baseline, {facts.progressions} progressions, "
            f"{facts.years:.1f} patient-years at risk of false alarms\n"
        )
    print(markdown(rows))
    print()
    print(markdown(apart))
    out = Path(given.get("out", ROOT / "runs" / "bench" / "alerts.json"))
    write(out, setting=vars(setting), alerts=raw, rows=rows, compare=apart)


if __name__ == "__main__":
    main(sys.argv[1:])
