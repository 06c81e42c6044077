"""Collects what the patient pages show from a run folder and its cohort, and writes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.build import build
from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.plasma import Plasma
from fusion.data.modalities.serial_table import SerialTable
from fusion.data.scans import LESIONS
from fusion.data.shift import outside_training
from fusion.data.tables import find_table
from fusion.report.monitor import MonitorInput, write_monitor
from fusion.report.run_folder import read_json
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of
from fusion.run.monitor_answers import answers_of_held_out, answers_of_new, stages_of

#: Tables that other commands may have left in a run folder.
OPTIONAL = {"bounds": "bounds.parquet", "alerts": "alerts.parquet"}
#: Tables that `explain` may have left, of all patients or of one.
EXPLAINED = {
    "reasons": "modalities.parquet",
    "feature_reasons": "features.parquet",
    "steps": "visits.parquet",
    "patches": "patches.parquet",
}


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
    values, manifest, training = (
        config_of(run),
        read_json(run / "manifest.json"),
        read_json(run / "training_summary.json"),
    )
    about: dict[str, Any] = {
        "predictions": predictions,
        "run": str(values["name"]),
        "held_out": held_out,
        "members": int(manifest.get("members") or 1),
        "training": training,
    }
    if held_out:
        about |= {name: _table(run / path) for name, path in OPTIONAL.items()}
        about |= {name: _explained(run / "explain", path) for name, path in EXPLAINED.items()}
    if held_out and {"repeat", "fold"} <= set(predictions):
        known = {name: each for name, each in about.items() if each is not None}
        about |= {**answers_of_held_out(predictions, _stages(run)), **known}
    elif not held_out:
        own, stages = _table(run / "predictions.parquet"), {} if cohort is None else stages_of(cohort.patients)
        about |= {} if own is None else answers_of_new(own, _stages(run), predictions, stages)
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
        treatments=cohort.treatments,
        outside=outside_training(training, cohort, modalities) if training else None,
        **about,
    )


def _stages(run: Path) -> dict[str, str]:
    """Stage of the run's patients, as far as known."""
    path = run / "subgroups.csv"
    return stages_of(pd.read_csv(path, dtype=str).set_index("patient_id")) if path.is_file() else {}


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
    blood = {name: each for name, each in modalities.items() if isinstance(each, SerialTable) and each.assay != LESIONS}
    assays = {each.assay for each in blood.values()}
    blood |= {each.name: each for each in (Plasma(), Labs()) if each.assay not in assays}
    frames = []
    for name, modality in blood.items():
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


def _explained(folder: Path, name: str) -> pd.DataFrame | None:
    """A table of reasons: what was said of all patients, and of those explained one by one where it is not there."""
    found = [
        pd.read_parquet(path) for path in (folder / name, *sorted(folder.glob(f"patient_*/{name}"))) if path.is_file()
    ]
    kept: list[pd.DataFrame] = []
    for table in found:
        known = {patient for each in kept for patient in each["patient_id"].unique()}
        kept.append(table[~table["patient_id"].isin(known)])
    return pd.concat(kept, ignore_index=True) if kept else None


def _table(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if path.is_file() else None
