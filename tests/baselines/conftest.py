"""A small synthetic cohort as the baselines see it: a baseline risk, and a serial marker that learns of it late."""

from collections.abc import Callable

import numpy as np
import pytest

from fusion.types import VisitOutcome, VisitResponse, VisitTable

VISIT_DAYS = np.array([0.0, 21.0, 42.0, 63.0, 84.0, 126.0, 168.0, 210.0])


def visit_table(
    patients: int = 150, seed: int = 0, signal: float = 1.0, columns: int = 20, visits: int = 8, prefix: str = "P"
) -> VisitTable:
    """Clinical stage and age, an expression block with four true columns, a plasma marker measured at every visit."""
    rng = np.random.default_rng(seed)
    stage, age = rng.integers(0, 2, patients).astype(float), rng.normal(60, 8, patients)
    expression = rng.normal(size=(patients, columns))
    late = rng.normal(size=patients)  # not visible at baseline
    log_hazard = signal * (0.7 * (stage - 0.5) + 0.5 * expression[:, :4].sum(axis=1) + 0.8 * late)
    event_day = np.ceil(rng.exponential(400 * np.exp(-log_hazard)))
    censor_day = np.ceil(rng.uniform(200, 1500, patients))
    responder = rng.random(patients) < 1 / (1 + np.exp(1.5 * log_hazard))
    has_expression = rng.random(patients) < 0.7

    rows: list[tuple[int, int, float]] = []
    for i in range(patients):
        days = VISIT_DAYS[:visits] + np.r_[0, rng.integers(-3, 4, visits - 1)]
        rows += [(i, j, day) for j, day in enumerate(days) if day < min(event_day[i], censor_day[i])]
    who, visit, day = (np.array(column) for column in zip(*rows, strict=True))
    marker = signal * late[who] * np.minimum(day / 42, 1) + rng.normal(0, 0.3, len(who))
    genes = np.where(has_expression[who, None], expression[who], np.nan)
    duration = np.minimum(event_day, censor_day)[who] - day
    return VisitTable(
        patient_ids=np.array([f"{prefix}-{i:03d}" for i in who], dtype=np.str_),
        visit=visit.astype(np.int64),
        day=day.astype(np.float64),
        features=np.column_stack([stage[who], age[who], genes, marker]),
        feature_names=("clinical:stage=ES", "clinical:age", *(f"expression:{i}" for i in range(columns)), "plasma:tf"),
        modality=("clinical", "clinical", *["expression"] * columns, "plasma"),
        outcomes={
            "os": VisitOutcome(
                duration=duration, event=(event_day <= censor_day)[who], at_risk=np.ones(len(who), dtype=np.bool_)
            )
        },
        responses={"response": VisitResponse(label=responder[who].astype(np.int64), known=day < 60)},
    )


@pytest.fixture(scope="session")
def make_table() -> Callable[..., VisitTable]:
    return visit_table


@pytest.fixture(scope="session")
def train() -> VisitTable:
    return visit_table(seed=0)


@pytest.fixture(scope="session")
def test() -> VisitTable:
    return visit_table(seed=1, patients=300, prefix="T")
