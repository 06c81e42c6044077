"""A predictions table whose truth is known: exponential times with a hazard that the oracle knows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

GRID = np.arange(30.0, 1081.0, 30.0)


@dataclass(frozen=True)
class FakeRun:
    """Out-of-fold predictions, splits, and the event time of every patient."""

    predictions: pd.DataFrame
    baselines: pd.DataFrame
    splits: pd.DataFrame
    time: pd.Series


def splits_of(ids: np.ndarray, repeats: int, folds: int, generator: np.random.Generator) -> pd.DataFrame:
    """Every patient is test in one fold of each repeat, and training in the others."""
    rows = []
    for repeat in range(repeats):
        held = generator.permutation(len(ids)) % folds
        for fold in range(folds):
            part = np.where(held == fold, "test", "train")
            rows.append(pd.DataFrame({"repeat": repeat, "fold": fold, "patient_id": ids, "part": part}))
    return pd.concat(rows, ignore_index=True)


def fake_run(
    patients: int = 120,
    repeats: int = 2,
    folds: int = 3,
    effect: float = 1.0,
    seed: int = 0,
    visit_days: tuple[float, ...] = (0.0, 40.0, 80.0),
) -> FakeRun:
    """The model is the oracle at every visit; baseline `noise` draws its risk, `flat` has none."""
    generator = np.random.default_rng(seed)
    ids = np.array([f"P{number:04d}" for number in range(patients)])
    score = generator.standard_normal(patients)
    rate = np.exp(effect * score) / 400.0
    event_time = np.ceil(generator.exponential(1.0 / rate))
    censored_at = np.ceil(generator.uniform(200.0, 1500.0, patients))
    time, event = np.minimum(event_time, censored_at), event_time <= censored_at
    responder = generator.random(patients) < 1.0 / (1.0 + np.exp(effect * score))
    noise = generator.standard_normal(patients)
    splits = splits_of(ids, repeats, folds, generator)
    tests = splits[splits["part"] == "test"]

    models = {"fusion": effect * score, "noise": effect * noise, "flat": np.zeros(patients)}
    place = {patient: number for number, patient in enumerate(ids)}
    tables: dict[str, list[dict[str, object]]] = {name: [] for name in models}
    for row in tests.itertuples():
        number = place[row.patient_id]
        for visit, day in enumerate(visit_days):
            at_risk = time[number] > day
            common = {"repeat": row.repeat, "fold": row.fold, "patient_id": row.patient_id, "visit": visit, "day": day}
            for name, risks in models.items():
                risk = risks[number]
                survival = np.exp(-GRID * np.exp(risk) / 400.0)
                tables[name].append(
                    {
                        **common,
                        "task": "os",
                        "duration": time[number] - day if at_risk else 1.0,
                        "event": bool(event[number] and at_risk),
                        "at_risk": bool(at_risk),
                        "risk": risk,
                        "risk_group": int(np.digitize(risk, [-0.5, 0.5])),
                        **{f"survival_{days:g}": value for days, value in zip(GRID, survival, strict=True)},
                    }
                )
                tables[name].append(
                    {
                        **common,
                        "task": "response",
                        "event": False,
                        "label": int(responder[number]),
                        "at_risk": day < 60.0,
                        "prob_responder": 1.0 / (1.0 + np.exp(risk)),
                        "prob_nonresponder": 1.0 / (1.0 + np.exp(-risk)),
                    }
                )
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items()}
    baselines = pd.concat([frames[name].assign(model=name) for name in ("noise", "flat")], ignore_index=True)
    return FakeRun(frames["fusion"], baselines, splits, pd.Series(time, index=ids))
