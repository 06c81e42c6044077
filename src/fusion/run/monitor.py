"""Collects what the patient pages show from a run folder and its cohort, and writes them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.build import build
from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.data.modalities.base import Modality
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.plasma import Plasma
from fusion.data.modalities.serial_table import SerialTable
from fusion.data.shift import outside_training
from fusion.data.tables import find_table
from fusion.metrics.alerts import alarm_table, cross_thresholds, monitoring_table
from fusion.metrics.conformal import conformal_bounds
from fusion.report.monitor import MonitorInput, write_monitor
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of

#: Tables that other commands may have left in a run folder.
OPTIONAL = {
    "bounds": "bounds.parquet",
    "alerts": "alerts.parquet",
    "reasons": "explain/modalities.parquet",
    "feature_reasons": "explain/features.parquet",
}

#: Alerts of the page are set for so many false alarms per patient-year, on the folds other than the patient's.
FALSE_ALARMS = 0.5
ALERTS_NOTE = f"threshold chosen on the other folds for at most {FALSE_ALARMS:g} false alarms per patient-year"
#: Endpoint and horizon of the alert, in days.
ALERT = ("pfs", 90.0)


def monitor_run(run: Path) -> Path:
    """Write `report/monitor.html` of a finished run: its held-out patients.

    Raises:
        ValueError: The run is not finished.
    """
    if not (run / "predictions.parquet").is_file():
        raise ValueError(f"{run} has no predictions.parquet: finish the run first, `train.py ... resume={run}`")
    values, predictions = config_of(run), pd.read_parquet(run / "predictions.parquet")
    folder = Path(values["data"]["path"])
    cohort = open_cohort({**values["data"], "simulate_if_absent": False}) if folder.is_dir() else None
    if cohort is None:
        console.print(f"{folder} is not there: the patient pages show the predictions alone", markup=False)
    tables = monitor_tables(run, cohort, predictions, held_out=True)
    return write_monitor(tables, run / "report" / "monitor.html")


def monitor_new(run: Path, cohort: Cohort, predictions: pd.DataFrame, path: Path) -> Path:
    """Write the pages of new patients, predicted by a finished run."""
    return write_monitor(monitor_tables(run, cohort, predictions, held_out=False), path)


def monitor_tables(run: Path, cohort: Cohort | None, predictions: pd.DataFrame, *, held_out: bool) -> MonitorInput:
    """What there is of these patients.

    Args:
        run: Run folder.
        cohort: Where the patients are; None leaves the predictions alone.
        predictions: Of the run's own patients, or of new ones.
        held_out: Whether the patients are the run's own; alerts, bounds and reasons in its folder are of these.
    """
    values, manifest, training = config_of(run), _json(run / "manifest.json"), _json(run / "training_summary.json")
    about: dict[str, Any] = {
        "predictions": predictions,
        "run": str(values["name"]),
        "held_out": held_out,
        "members": int(manifest.get("members") or 1),
        "training": training,
        **({name: _table(run / path) for name, path in OPTIONAL.items()} if held_out else {}),
    }
    if held_out and {"repeat", "fold"} <= set(predictions):
        about["bounds"] = _bounds(predictions) if about["bounds"] is None else about["bounds"]
        if about["alerts"] is None:
            about |= {"alerts": _alerts(predictions), "alerts_note": ALERTS_NOTE}
    if cohort is None:
        name = (manifest.get("cohort") or {}).get("name") or "cohort"
        return MonitorInput(cohort=str(name), simulated=bool(manifest.get("oracle")), **about)
    modalities: dict[str, Modality] = {name: build(node) for name, node in values["modalities"].items()}
    return MonitorInput(
        cohort=cohort.name,
        simulated=(cohort.folder / "truth").is_dir(),
        patients=cohort.patients,
        outcomes=cohort.outcomes,
        samples=_samples(cohort, modalities),
        modalities=tuple(modalities),
        serial=serial_values(cohort, modalities),
        lesions=cohort.lesions,
        outside=outside_training(training, cohort, modalities) if training else None,
        **about,
    )


def _bounds(predictions: pd.DataFrame) -> pd.DataFrame | None:
    """Conformal lower bounds of every time-to-event task, each fold's learned on the others; None where none can be."""
    frames = []
    for task in predictions.loc[predictions["task"] != RESPONSE, "task"].unique():
        try:
            frames.append(conformal_bounds(predictions, str(task)).assign(task=str(task)))
        except ValueError as error:
            console.print(f"patient pages without lower bound of {task}: {error}", markup=False)
    return pd.concat(frames, ignore_index=True) if frames else None


def _alerts(predictions: pd.DataFrame) -> pd.DataFrame | None:
    """Alarms of the risk of progression, each fold's threshold chosen on the others; None where none can be chosen."""
    task, horizon = ALERT
    if task not in set(predictions["task"]) or f"survival_{horizon:g}" not in predictions:
        return None
    try:
        table = monitoring_table(predictions, task, horizon)
        return alarm_table(table, cross_thresholds(table, FALSE_ALARMS))
    except ValueError as error:
        console.print(f"patient pages without alerts: {error}", markup=False)
        return None


def _samples(cohort: Cohort, modalities: Mapping[str, Modality]) -> pd.DataFrame:
    """What each modality of the run was given: `patient_id`, `visit`, `modality`, and `day` and `specimen` if told."""
    frames = [modality.placement(cohort).assign(modality=name) for name, modality in modalities.items()]
    rows = pd.concat(frames, ignore_index=True)
    return rows.join(cohort.samples[["day", "specimen"]], on="sample_id")


def serial_values(cohort: Cohort, modalities: Mapping[str, Modality]) -> pd.DataFrame | None:
    """All blood values of a cohort, a row per sample and analyte; plasma and labs also where the run leaves them out.

    Returns:
        `patient_id`, `visit`, `day` of the draw, `assay`, `analyte`, `value`, `lod`, `detected`, `unit`; None where
        there is no such table.
    """
    read = {name: each for name, each in modalities.items() if isinstance(each, SerialTable)}
    assays = {each.assay for each in read.values()}
    read |= {each.name: each for each in (Plasma(), Labs()) if each.assay not in assays}
    frames = []
    for name, modality in read.items():
        if find_table(cohort.folder, modality.stem) is None:
            continue
        data = modality.load(cohort)
        for analyte in data.values.select_dtypes("number"):
            column = data.values[analyte].dropna()
            samples = cohort.samples.reindex(column.index)
            frames.append(
                pd.DataFrame(
                    {
                        "patient_id": samples["patient_id"],
                        "visit": samples["visit"],
                        "day": samples["day"],
                        "assay": name,
                        "analyte": str(analyte),
                        "value": column.astype(float),
                        **{
                            kind: found.get(str(analyte), pd.Series(dtype=float)).reindex(column.index).astype(float)
                            for kind, found in (("lod", data.limits), ("detected", data.detected))
                        },
                        "unit": data.units.get(str(analyte), ""),
                    }
                ).dropna(subset=["patient_id"])
            )
    return pd.concat(frames, ignore_index=True).astype({"visit": np.int64}) if frames else None


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _table(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.is_file() else None
