"""Tables for the patient pages, made by hand: ordinary patients, and ids that would break a careless page."""

import numpy as np
import pandas as pd

from fusion.report.monitor import MonitorInput

TIMES = (30, 90, 180, 365)
HOSTILE = (
    "<img src=x onerror=window.pwned=1>",
    "</script><script>window.pwned=2</script>",
    "\"'`{{7*7}}&lt;",
    "__proto__",
)


def predictions(
    visits: dict[str, list[float]], repeats: int = 2, tasks: tuple[str, ...] = ("os", "pfs")
) -> pd.DataFrame:
    """Rows with curves that fall faster at later visits, and by a hundredth more in each further repeat."""
    rows = []
    for place, (patient, days) in enumerate(visits.items()):
        for repeat in range(repeats):
            for visit, day in enumerate(days):
                key = {
                    "repeat": repeat,
                    "fold": (place + repeat) % 3,
                    "patient_id": patient,
                    "visit": visit,
                    "day": day,
                }
                for task in tasks:
                    rate = 0.001 * (1 + visit + (task == "pfs")) * (1 + place % 7 / 7) * (1 + 0.01 * repeat)
                    curve = {f"survival_{t}": float(np.exp(-rate * t)) for t in TIMES}
                    rows.append({**key, "task": task, **curve})
                rows.append({**key, "task": "response", "prob_responder": 0.5 + 0.1 * visit / (visit + 1)})
    return pd.DataFrame(rows)


def serial(visits: dict[str, list[float]]) -> pd.DataFrame:
    rows = []
    for patient, days in visits.items():
        for visit, day in enumerate(days):
            key = {"patient_id": patient, "visit": visit, "day": day}
            fraction = 0.2 / 10.0**visit if visit < 3 else 0.01 * visit
            found = fraction > 0.005
            lod = {"lod": 0.005, "detected": float(found), "unit": ""}
            rows.append(
                {**key, "assay": "plasma", "analyte": "tumor_fraction", "value": fraction if found else 0.0} | lod
            )
            lab = {"lod": np.nan, "detected": np.nan}
            rows.append({**key, "assay": "labs", "analyte": "progrp", "value": 90.0 - visit, "unit": "pg/mL"} | lab)
            rows.append({**key, "assay": "labs", "analyte": "<b>ldh</b>", "value": 210.0 + visit, "unit": "U/L"} | lab)
    return pd.DataFrame(rows)


def lesions(patients: list[str], days: tuple[float, ...] = (0.0, 42.0, 84.0)) -> pd.DataFrame:
    sizes = (100.0, 60.0, 90.0)
    rows = [(p, d, "T1", 1, s) for p in patients for d, s in zip(days, sizes, strict=True)]
    return pd.DataFrame(rows, columns=["patient_id", "scan_day", "lesion_id", "target", "diameter_mm"])


def treatments(patients: list[str]) -> pd.DataFrame:
    """Chemotherapy to day 50, and beside it something from day 20 on that has not ended and is called in HTML."""
    rows = [(p, n, s, e) for p in patients for n, s, e in (("<b>drug</b>", 20.0, np.nan), ("chemotherapy", 0.0, 50.0))]
    return pd.DataFrame(rows, columns=["patient_id", "treatment", "start_day", "end_day"])


def samples(visits: dict[str, list[float]]) -> pd.DataFrame:
    rows = [(p, v, d, "plasma", "plasma") for p, days in visits.items() for v, d in enumerate(days) if v != 1]
    rows += [(p, 0, 0.0, "variants", "tissue") for p in visits]
    return pd.DataFrame(rows, columns=["patient_id", "visit", "day", "modality", "specimen"])


def patches(patients: list[str], tasks: tuple[str, ...] = ("os", "pfs", "response")) -> pd.DataFrame:
    """A slide of six patches per patient, on a grid of 256 with one place empty; its id is that of the patient."""
    grid = pd.DataFrame({"x": [0.0, 256.0, 512.0, 0.0, 256.0, 768.0], "y": [0.0, 0.0, 0.0, 256.0, 256.0, 256.0]})
    slide = grid.assign(patch=range(6), contribution=[0.2, -0.1, 0.0, 0.05, -0.2, 0.1], visit=0, repeat=0)
    return pd.concat([slide.assign(patient_id=p, sample_id=p, task=t) for p in patients for t in tasks])


VISITS = {"A1": [0.0, 21.0, 42.0, 63.0], "B2": [0.0, 21.0], "C3": [0.0]}


def whole(visits: dict[str, list[float]] = VISITS) -> MonitorInput:
    """Every table that the page knows, also those that other commands leave."""
    ids = list(visits)
    keys = [(p, v) for p, days in visits.items() for v in range(len(days))]
    table = pd.DataFrame(keys, columns=["patient_id", "visit"])
    tasks = pd.concat([table.assign(task=task) for task in ("os", "pfs", "response")], ignore_index=True)
    reasons = pd.concat(
        [tasks.assign(modality=m, contribution=c) for m, c in (("plasma", 0.8), ("variants", -0.3), ("labs", 0.1))]
    )
    number = np.arange(len(ids))
    patients = pd.DataFrame({"age": 60.0 + number, "stage": np.where(number % 2, "LS", "ES")}, index=ids)
    patients["site"] = [f"S{i % 2}" for i in number]
    outcomes = pd.DataFrame({"os_days": 400.0, "os_event": 0, "pfs_days": 200.0, "pfs_event": 0}, index=ids)
    outcomes.loc[ids[0], ["pfs_days", "pfs_event"]] = [60.0, 1]
    outcomes = outcomes.assign(response="PR", response_day=42.0)
    return MonitorInput(
        predictions=predictions(visits),
        cohort="by hand",
        run="r",
        members=5,
        patients=patients,
        outcomes=outcomes,
        samples=samples(visits),
        modalities=("plasma", "variants", "histology"),
        serial=serial(visits),
        lesions=lesions(ids),
        treatments=treatments(ids),
        bounds=pd.concat([tasks.assign(repeat=r, fold=0, lower_days=50.0 + 10 * r) for r in (0, 1)]),
        alerts=table.assign(alarm=table["visit"] >= 2, threshold=0.3),
        reasons=reasons,
        feature_reasons=reasons.assign(feature=reasons["modality"] + ":f"),
        steps=reasons.assign(modality=reasons["modality"].replace("variants", "time"))[reasons["visit"] > 0],
        patches=patches(ids),
        sets=table.assign(can_be_nonresponder=table["visit"] == 0, can_be_responder=True),
        outside=pd.DataFrame(
            {"patient_id": ids, "outside": ["age"] + [""] * (len(ids) - 1), "combination_seen": False}
        ),
        training={"covariates": {"age": {"kind": "numeric", "quantiles": {"1": 61.0, "99": 80.0}}}},
    )
