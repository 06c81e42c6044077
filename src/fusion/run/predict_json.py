"""Predictions of new patients as JSON, patient by patient and visit by visit (docs/howto/locked_model.md)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def as_json(rows: pd.DataFrame, model: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of predictions as the answer to one request.

    Args:
        rows: One per patient, visit and task, as in predictions.parquet.
        model: What answered.

    >>> row = {"patient_id": "P1", "visit": 0, "day": 0.0, "task": "os", "risk": 1.0, "risk_group": 2}
    >>> answer = as_json(pd.DataFrame([{**row, "survival_180": 0.75}]), {"run": "demo"})
    >>> answer["patients"][0]["visits"][0]["tasks"]["os"]
    {'risk': 1.0, 'risk_group': 'high', 'probabilities': {'survival_180': 0.75}}
    """
    patients = []
    for patient, mine in rows.groupby("patient_id", sort=True):
        visits = [
            {
                "visit": int(number),
                "day": float(each["day"].iloc[0]),
                "tasks": {str(row["task"]): _answer(row) for _, row in each.iterrows()},
            }
            for number, each in mine.groupby("visit", sort=True)
        ]
        patients.append({"patient_id": str(patient), "visits": visits})
    return {
        "schema": 1,
        "research_use_only": "Gives no medical advice.",
        "model": dict(model),
        "patients": patients,
    }


def _answer(row: "pd.Series[Any]") -> dict[str, Any]:
    """What one row says: risk and group where there are any, and every probability that is there."""
    chances = {
        str(name): round(float(value), 6)
        for name, value in row.items()
        if str(name).startswith(("survival_", "prob_", "incidence_")) and pd.notna(value)
    }
    answer: dict[str, Any] = {}
    if pd.notna(row.get("risk")):
        answer["risk"] = round(float(row["risk"]), 6)
    if pd.notna(row.get("risk_group")):
        answer["risk_group"] = ("low", "middle", "high")[int(row["risk_group"])]
    return {**answer, "probabilities": chances}
