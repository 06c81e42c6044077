"""The table of dynamic prediction: its scores by hand, its means, and the whole way from a run folder."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from fusion.metrics.competing import Competing
from fusion.metrics.survival import HeldOut, Training
from fusion.survival import censoring_survival, kaplan_meier


def asked(event: np.ndarray) -> HeldOut:
    """Died on day 1, transplanted on day 2, left on day 3, died on day 4, still there on day 6; asked for day 5."""
    duration = np.array([1.0, 2.0, 3.0, 4.0, 6.0])
    return HeldOut(
        patient=np.arange(5),
        fold=np.zeros(5, dtype=np.int64),
        duration=duration,
        event=event,
        risk=np.zeros(5),
        risk_group=np.zeros(5, dtype=np.int64),
        survival=np.array([[0.5], [0.6], [0.7], [0.8], [0.9]]),
        times=np.array([5.0]),
        training={0: Training(censoring_survival(duration, event), kaplan_meier(duration, event))},
    )


def test_scores_of_a_window_by_hand(pbc2_table: ModuleType):
    cause = np.array([1, 2, 0, 1, 0])
    pair = Competing(cause=asked(cause == 1), either=asked(cause > 0))
    scores = {name: value[0] for name, value in pbc2_table.window_scores(pair, 5.0, np.ones((1, 5))).items()}
    # cases weigh 1 and 1.5, controls 1 (transplanted) and 1.5; the later case ranks below the transplanted patient
    assert scores["auc"] == scores["auc_pooled"] == pytest.approx((1 * 2.5 + 1.5 * 1.5) / 2.5**2)
    brier, reference = (0.5**2 + 0.4**2 + 1.5 * 0.8**2 + 1.5 * 0.1**2) / 5, 0.5**2 * (1 + 1 + 1.5 + 1.5) / 5
    assert scores["scaled_brier"] == pytest.approx(1 - brier / reference)
    assert scores["auc_censored"] == 1.0, "without the transplanted patient the order is right"
    assert scores["c_index"] == 1.0


def test_means_leave_out_windows_with_few_events(pbc2_table: ModuleType):
    def window(events: int, value: float):
        values = {"fusion": {score: np.array([value, value + 0.1, value - 0.1]) for score in pbc2_table.SCORES}}
        return pbc2_table.Window(365.0, 730.0, 100, events, values)

    means = pbc2_table.mean_scores([window(9, 0.1), window(10, 0.6), window(50, 0.8)], "fusion")
    np.testing.assert_allclose(means["auc"], [0.7, 0.8, 0.6])
    assert pbc2_table.with_error(means["auc"]) == ".700 (.141)"
    assert pbc2_table.with_error(-means["auc"], signed=True) == "-.700 (.141)"


def write_run(folder: Path, patients: int = 60) -> None:
    """A run in which `fusion` foresees every death and `landmark_cox` tells nobody from another."""
    rng = np.random.default_rng(0)
    times = np.arange(50.0, 1401.0, 50.0)
    end = 50.0 * rng.integers(8, 26, size=patients)
    cause = rng.integers(0, 3, size=patients)
    rows = []
    for number, (day, reason) in enumerate(zip(end, cause, strict=True)):
        for task, event in (("death", reason == 1), ("os", reason > 0)):
            for visit, seen in enumerate((0.0, 300.0)):
                knows = np.where((times >= day - seen) & event, 0.02, 0.98)
                curve = {f"survival_{time:g}": value for time, value in zip(times, knows, strict=True)}
                keys = {"repeat": 0, "fold": number % 2, "patient_id": f"P{number:02d}", "visit": visit, "day": seen}
                asked_for = {"task": task, "duration": day - seen, "event": event, "at_risk": True}
                rows.append({**keys, **asked_for, "risk": -curve["survival_600"], "risk_group": 0, **curve})
    predictions = pd.DataFrame(rows)
    predictions.to_parquet(folder / "predictions.parquet")
    flat = {f"survival_{time:g}": 0.5 for time in times}
    predictions.assign(model="landmark_cox", risk=0.0, **flat).to_parquet(folder / "baselines.parquet")
    splits = pd.DataFrame(
        {"repeat": 0, "fold": fold, "patient_id": f"P{number:02d}", "part": "test" if number % 2 == fold else "train"}
        for fold in (0, 1)
        for number in range(patients)
    )
    splits.to_csv(folder / "splits.csv", index=False)
    evaluation = {"landmarks": [365], "horizons": [300, 600]}
    split = {"_target_": "fusion.data.splits.StratifiedKFold"}
    (folder / "config.json").write_text(json.dumps({"evaluation": evaluation, "split": split}))


def test_from_a_run_folder_to_the_page(pbc2_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_run(tmp_path)
    monkeypatch.setattr(pbc2_table, "COMPOSITE", (365.0, 600.0))
    run = pbc2_table.score_folder(tmp_path, resamples=20)
    assert [window.at_risk for window in run.windows] == [60, 60]
    means = {model: {score: values[0] for score, values in each.items()} for model, each in run.means.items()}
    assert means["fusion"]["auc"] == means["fusion"]["auc_censored"] == 1.0
    assert 0.9 < means["fusion"]["c_index"] < 1.0, "deaths inside a window are not told apart"
    assert means["fusion"]["scaled_brier"] > 0.9
    assert means["landmark_cox"]["auc"] == means["landmark_cox"]["auc_pooled"] == 0.5
    assert run.composite["fusion"][0] == 1.0
    page = pbc2_table.page(run)
    assert "| fusion - landmark_cox | +.500 (.000) |" in page
    assert "| 1, 1 | 60 |" in page
    assert json.loads(json.dumps(pbc2_table.as_json(run)))["mean"]["fusion"]["auc"]["value"] == 1.0
