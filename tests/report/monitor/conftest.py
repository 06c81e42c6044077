"""Patient pages, written once."""

from pathlib import Path

import numpy as np
import pytest
from patients_by_hand import HOSTILE, predictions, serial, whole

from fusion.report.monitor import MonitorInput, write_monitor


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages: `whole`, `hostile` (ids and texts that are code), `bare` (predictions alone), `blank` (no number)."""
    home = tmp_path_factory.mktemp("monitor")
    odd = whole({name: [0.0, 30.0, 61.0] for name in HOSTILE})
    patients = odd.patients
    assert patients is not None
    hostile = MonitorInput(**{**vars(odd), "cohort": HOSTILE[1], "run": HOSTILE[0], "patients": patients.assign(
        stage=HOSTILE[0], site=list(HOSTILE), **{HOSTILE[0]: HOSTILE[1]}
    )})  # fmt: skip
    bare = predictions({"only": [0.0], "two": [0.0, 9.0]}, repeats=1, tasks=("os",)).query("task == 'os'")
    rows = predictions({"none": [0.0, 21.0]})
    numbers = [column for column in rows if column.startswith(("survival_", "prob_"))]
    values = serial({"none": [0.0, 21.0]}).assign(value=np.nan)
    blank = MonitorInput(predictions=rows.assign(**dict.fromkeys(numbers, np.nan)), cohort="blank", serial=values)
    tables = {
        "whole": whole(),
        "hostile": hostile,
        "bare": MonitorInput(predictions=bare, cohort="bare"),
        "blank": blank,
    }
    return {name: write_monitor(each, home / f"{name}.html") for name, each in tables.items()}
