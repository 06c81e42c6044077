"""Writes a complete, plausible run folder in well under a second, with options for what may be missing from one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from fusion.metrics.score import score_run

TIMES = np.arange(30, 1081, 30)
HOSTILE = "<script>window.pwned=1</script>"
#: How well each model knows the true log hazard, at baseline and later: the noise on top of it.
NOISE = {"fusion": 0.9, "km": None, "cox_clinical": 1.5, "cox_all": 1.1, "landmark_cox": 1.15}
LANDMARKS = {1: 42.0, 2: 84.0}


def write_run(
    folder: Path,
    *,
    patients: int = 60,
    folds: int = 3,
    repeats: int = 1,
    tasks: tuple[str, ...] = ("os", "pfs", "response"),
    baselines: bool = True,
    visits: int = 3,
    event_rate: float = 0.7,
    simulated: bool = True,
    curves: bool = True,
    qc: bool = True,
    subgroups: bool = True,
    hostile: bool = False,
    resamples: int = 10,
    seed: int = 0,
) -> Path:
    """Write one run folder and return its path; `hostile` puts markup into every text that comes from users."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    mark = HOSTILE if hostile else ""
    ids = np.array([f"P-{i:03d}{mark}" for i in range(patients)])
    eta = rng.normal(size=patients)
    fold = {r: rng.permutation(patients) % folds for r in range(repeats)}
    survival = [task for task in tasks if task != "response"]
    truth = _truth(rng, eta, survival, event_rate)
    label = (rng.normal(size=patients) - 0.9 * eta > -0.4).astype(int)

    models = {"fusion": NOISE["fusion"]}
    if baselines:
        models = dict(NOISE)
    frames: dict[str, list[pd.DataFrame]] = {model: [] for model in models}
    for model, noise in models.items():
        for task in survival:
            frames[model] += _survival_rows(rng, task, truth[task], ids, eta, noise, fold, visits)
    for model, noise in {
        "fusion": 1.2,
        **({"logistic_clinical": 2.2, "logistic_all": 1.4} if baselines else {}),
    }.items():
        if "response" in tasks:
            frames.setdefault(model, []).extend(_response_rows(rng, ids, eta, label, noise, fold, min(visits, 2)))
    tables = {model: pd.concat(parts, ignore_index=True) for model, parts in frames.items() if parts}
    tables["fusion"].to_parquet(folder / "predictions.parquet")
    splits = _splits(ids, fold, folds)
    splits.to_csv(folder / "splits.csv", index=False)
    others = [table.assign(model=model) for model, table in tables.items() if model != "fusion"]
    plain = pd.concat(others, ignore_index=True) if others else None
    if plain is not None:
        plain.to_parquet(folder / "baselines.parquet")
    covariates = _covariates(ids, mark) if subgroups else None
    if covariates is not None:
        covariates.to_csv(folder / "subgroups.csv", index=False)
    scores = score_run(tables["fusion"], plain, splits, resamples=resamples, subgroups=covariates)
    (folder / "metrics.json").write_text(json.dumps(scores))
    if curves:
        _write_curves(folder, rng, folds, repeats)
    modalities = ["clinical", "variants", "expression", "methylation", "histology", "plasma", f"labs{mark}"]
    if qc:
        (folder / "qc.json").write_text(json.dumps(_qc(rng, modalities, patients, visits, mark)))
    manifest = {
        "name": f"demo{mark}",
        "experiment": f"demo{mark}",
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "versions": {"python": "3.11.9", "torch": "2.13.0", f"numpy{mark}": "2.1.0", "fusion-oncology": "0.1.0"},
        "seed": seed,
        "host": f"node{mark}",
        "device": "cpu",
        "wall_seconds": {
            "simulate": 12.1,
            "validate": 3.4,
            "train": 201.7,
            "baselines": 14.0,
            "metrics": 9.9,
            "report": 1.5,
        },
        "peak_memory_gb": 1.9,
        "inputs": {"patients.csv": "a" * 64, f"outcomes.csv{mark}": "b" * 64},
        "split_sha256": "c" * 64,
        "survival_times": TIMES.tolist(),
        "tasks": list(tasks),
        "modalities": modalities,
        "cohort": {"name": f"strong{mark}", "path": "cohort", "patients": patients},
        "folds": folds,
        "repeats": repeats,
        "members": 3,
    }
    if simulated:
        manifest["oracle"] = {
            "os_oracle_c_index": 0.803,
            "os_readouts_c_index": 0.774,
            "os_week6_ctdna_c_index": 0.82,
            "pfs_oracle_c_index": 0.755,
            "response_oracle_auroc": None,
        }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _truth(rng: np.random.Generator, eta: np.ndarray, tasks: list[str], event_rate: float) -> dict:
    truth = {}
    for task, scale in zip(tasks, (500.0, 240.0), strict=False):
        time = np.ceil(scale * rng.exponential(size=len(eta)) * np.exp(-0.9 * eta)) + 5
        censoring = np.ceil(rng.uniform(300, 1200, len(eta)))
        event = (time <= censoring) & (rng.random(len(eta)) < event_rate / 0.7)
        truth[task] = (np.minimum(time, censoring), event)
    return truth


def _survival_rows(rng, task, truth, ids, eta, noise, fold, visits) -> list[pd.DataFrame]:
    time, event = truth
    frames = []
    for repeat, held_out in fold.items():
        for visit in range(visits):
            day = LANDMARKS.get(visit, 42.0 * visit)
            spread = None if noise is None else noise * 0.8**visit
            risk = np.zeros(len(ids)) if spread is None else eta + spread * rng.normal(size=len(ids))
            scaled = 0.0 if spread is None else 0.8 * risk / (1 + spread**2)
            curve = np.exp(-np.exp(scaled)[..., None] * TIMES / (620.0 if task == "os" else 320.0)) * np.ones(
                (len(ids), 1)
            )
            table = pd.DataFrame(
                {
                    "repeat": repeat,
                    "fold": held_out,
                    "patient_id": ids,
                    "visit": visit,
                    "day": day,
                    "task": task,
                    "duration": time - day,
                    "event": event,
                    "at_risk": time > day,
                    "risk": risk,
                    "risk_group": np.searchsorted([-0.5, 0.6], risk),
                    **{f"survival_{t}": curve[:, i] for i, t in enumerate(TIMES)},
                }
            )
            frames.append(table[table["at_risk"]])
    return frames


def _response_rows(rng, ids, eta, label, noise, fold, visits) -> list[pd.DataFrame]:
    frames = []
    for repeat, held_out in fold.items():
        for visit in range(visits):
            probability = 1 / (1 + np.exp(0.8 * (eta + noise * rng.normal(size=len(ids))) - 0.6))
            frames.append(
                pd.DataFrame(
                    {
                        "repeat": repeat,
                        "fold": held_out,
                        "patient_id": ids,
                        "visit": visit,
                        "day": 21.0 * visit,
                        "task": "response",
                        "event": False,
                        "label": label,
                        "at_risk": True,
                        "prob_responder": probability,
                        "prob_nonresponder": 1 - probability,
                    }
                )
            )
    return frames


def _splits(ids: np.ndarray, fold: dict[int, np.ndarray], folds: int) -> pd.DataFrame:
    parts = []
    for repeat, held_out in fold.items():
        for k in range(folds):
            part = np.where(held_out == k, "test", np.where(held_out == (k + 1) % folds, "val", "train"))
            parts.append(pd.DataFrame({"repeat": repeat, "fold": k, "patient_id": ids, "part": part}))
    return pd.concat(parts, ignore_index=True)


def _covariates(ids: np.ndarray, mark: str) -> pd.DataFrame:
    """Stages, sexes (few women), ages and sites of all patients."""
    number = np.arange(len(ids))
    return pd.DataFrame(
        {
            "patient_id": ids,
            "stage": np.where(number % 3 == 0, "LS", f"ES{mark}"),
            "sex": np.where(number < 5, "female", "male"),
            "age_group": np.where(number % 2 == 0, "65 or older", "under 65"),
            "site": np.where(number % 4 < 2, "north", "south"),
        }
    )


def _write_curves(folder: Path, rng: np.random.Generator, folds: int, repeats: int) -> None:
    for repeat in range(repeats):
        for k in range(folds):
            epoch = np.arange(int(rng.integers(12, 30)))
            train = 1.2 + 2 * np.exp(-epoch / 5) + 0.03 * rng.normal(size=len(epoch))
            val = 1.7 + 1.5 * np.exp(-epoch / 4) + 0.012 * epoch + 0.05 * rng.normal(size=len(epoch))
            path = folder / f"fold_{repeat}_{k}"
            path.mkdir(exist_ok=True)
            table = pd.DataFrame({"epoch": epoch, "train/loss": train, "val/loss": val})
            table.to_csv(path / "metrics.csv", index=False)


def _qc(rng: np.random.Generator, modalities: list[str], patients: int, visits: int, mark: str) -> dict:
    serial = {"clinical", "plasma", "labs"}
    availability = {}
    for modality in modalities:
        seen = range(visits) if modality.split("<")[0] in serial else range(1)
        availability[modality] = {
            str(visit): int(patients * (0.95 - 0.12 * visit - 0.1 * rng.random())) for visit in seen
        }
    failed = {"file": "samples.csv", "reason": f"failed QC{mark}", "count": 1}
    left_out = [{**failed, "item": f"S-{i}{mark}"} for i in range(4)]
    return {
        "availability": availability,
        "patients_by_visit": {str(visit): int(patients * 0.97**visit) for visit in range(visits)},
        "left_out": left_out,
        "cautions": [f"sex{mark}: level X has 2 patients"],
    }
