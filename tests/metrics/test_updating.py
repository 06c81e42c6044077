"""Recalibration of tables: fitted on some patients, it mends the others, at baseline and later; order stays."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import GRID, fake_run

from fusion.metrics.binomial import inverse, transform
from fusion.metrics.dynamic import ModelTable
from fusion.metrics.updating import apply_task, fit_task, score_update

HORIZONS, LANDMARKS = (180.0, 365.0, 730.0), (42.0, 84.0)
CURVE = [f"survival_{day:g}" for day in GRID]


def external(patients: int = 600, seed: int = 0) -> pd.DataFrame:
    """Predictions by the truth, as of a cohort without folds."""
    rows = fake_run(patients=patients, repeats=1, folds=2, seed=seed).predictions
    return rows.assign(fold=0)


def table(rows: pd.DataFrame) -> ModelTable:
    ids = rows["patient_id"].unique()
    return ModelTable(rows, pd.DataFrame({"repeat": 0, "fold": 0, "patient_id": ids, "part": "test"}))


def spoilt(rows: pd.DataFrame, later: float = 1.0) -> pd.DataFrame:
    """Hazards halved at baseline (to the power of `later` at later visits), spread too far; responses likewise."""
    rows = rows.copy()
    power = np.where(rows["visit"] > 0, later, 1.0)[:, None] * 0.5
    rows[CURVE] = rows[CURVE] ** (power * np.exp(0.5 * rows[["risk"]].to_numpy(dtype=float)))
    probability = rows["prob_responder"].fillna(0.5).to_numpy(dtype=float)
    rows["prob_responder"] = inverse("logit", 2.5 * transform("logit", probability) - 0.7)
    rows.loc[rows["task"] != "response", "prob_responder"] = np.nan
    return rows


def of(rows: pd.DataFrame, task: str) -> pd.DataFrame:
    mine = rows[rows["task"] == task]
    return mine.dropna(axis=1, how="all")


def halves(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    first = rows["patient_id"].isin(sorted(rows["patient_id"].unique())[::2])
    return rows[first], rows[~first]


def test_each_level_is_fitted_by_itself() -> None:
    rows = of(spoilt(external(2_000), later=3.0), "os")
    fitted = fit_task(rows, 365.0, LANDMARKS, "both")
    # log H is 1.5 risk + log 1/2 in place of risk: slope 2/3, and at a centre of c = 1.5 m + k a shift of log 2 - m / 2
    risk = rows.loc[rows["visit"] == 0, "risk"].mean()
    assert abs(fitted["baseline"].slope - 2 / 3) < 0.03
    assert abs(fitted["baseline"].intercept - (np.log(2.0) - risk / 2)) < 0.06
    assert abs(fitted["later"].slope - 2 / 3) < 0.03
    assert fitted["later"].intercept < fitted["baseline"].intercept - 0.8, "three times the hazard: log 3 less"
    after = apply_task(rows, 365.0, fitted)
    truth = of(external(2_000), "os")[CURVE].to_numpy()
    assert np.abs(rows[CURVE].to_numpy() - truth).max() > 0.2
    assert np.abs(after[CURVE].to_numpy() - truth).mean() < 0.015
    np.testing.assert_array_equal(after["risk"], rows["risk"])


def test_a_patient_of_the_first_visit_alone_is_no_later_visit() -> None:
    rows = of(external(200), "os")
    fitted = fit_task(rows[rows["visit"] == 0], 365.0, LANDMARKS, "both")
    assert set(fitted) == {"baseline"}
    later = rows[rows["visit"] > 0]
    after = apply_task(rows, 365.0, fitted)
    pd.testing.assert_frame_equal(after.loc[later.index], later)
    assert set(fit_task(rows, 365.0, (), "both")) == {"baseline"}


@pytest.mark.parametrize("task", ["os", "response"])
def test_what_was_wrong_gets_better_on_other_patients(task: str) -> None:
    rows = of(spoilt(external(800)), task)
    mine, rest = halves(rows)
    after = apply_task(rest, 365.0, fit_task(mine, 365.0, LANDMARKS, "both"))
    scores = score_update(table(rest), table(after), horizons=HORIZONS, landmarks=(42.0,), resamples=100)
    for level in (scores["task"][task]["model"], scores["task"][task]["landmark"]["42"]):
        before, now = level["fusion"], level["fusion_recalibrated"]
        assert abs(now["calibration_slope"]["value"] - 1) < 0.2 < abs(before["calibration_slope"]["value"] - 1)
        rank = "c_index" if task == "os" else "auroc"
        assert now[rank] == before[rank], "the order of patients stays"
    gain = scores["task"][task]["compare"]["fusion_recalibrated - fusion"]
    assert gain["calibration_slope_error"]["value"] < -0.1
    for name in ("observed_expected_error", "ici"):
        assert gain[name]["high"] < 0, name
    brier = gain["brier"] if task == "response" else gain["brier"]["365"]
    assert brier["value"] < 0
    ici = [scores["task"][task]["model"][name] for name in ("fusion_recalibrated", "fusion")]
    ici = [each["ici"] if task == "response" else each["calibration"]["365"]["ici"] for each in ici]
    assert np.isclose(gain["ici"]["value"], ici[0]["value"] - ici[1]["value"]), "the ICI of one is that of many"


@pytest.mark.parametrize("task", ["os", "response"])
def test_what_was_right_stays_right(task: str) -> None:
    rows = of(external(1_200, seed=1), task)
    mine, rest = halves(rows)
    after = apply_task(rest, 365.0, fit_task(mine, 365.0, LANDMARKS, "both"))
    single = rest.astype({name: np.float32 for name in rest.columns if name.startswith(("survival_", "prob_"))})
    np.testing.assert_allclose(
        apply_task(single, 365.0, fit_task(mine, 365.0, LANDMARKS, "both")).filter(regex="survival|prob"),
        after.filter(regex="survival|prob"),
        atol=1e-5,
    )
    column = "survival_360" if task == "os" else "prob_responder"
    assert np.abs(after[column] - rest[column]).max() < 0.08
    scores = score_update(table(rest), table(after), horizons=HORIZONS[:2], landmarks=(), resamples=100)
    gain = scores["task"][task]["compare"]["fusion_recalibrated - fusion"]
    assert abs((gain["brier"] if task == "response" else gain["brier"]["365"])["value"]) < 0.002
    assert abs(gain["ici"]["value"]) < 0.03


def test_outcomes_of_the_scored_patients_change_no_prediction() -> None:
    """Whatever happens to the rest, their recalibrated curves are the same to the bit."""
    mine, rest = halves(of(spoilt(external()), "os"))
    fitted = fit_task(mine, 365.0, LANDMARKS, "both")
    other = rest.assign(duration=rest["duration"] * 3 + 1, event=~rest["event"].astype(bool))
    np.testing.assert_array_equal(apply_task(rest, 365.0, fitted)[CURVE], apply_task(other, 365.0, fitted)[CURVE])


def test_follow_up_beyond_the_grid_is_cut_there() -> None:
    rows = of(external(400), "os")
    short = rows.drop(columns=[name for name in CURVE if float(name.removeprefix("survival_")) > 360])
    cut = short.assign(
        event=rows["event"].astype(bool) & (rows["duration"] <= 360), duration=rows["duration"].clip(upper=360.0)
    )
    one, other = (fit_task(each, 365.0, (), "both")["baseline"] for each in (short, cut))
    assert np.isclose(one.slope, other.slope)
    assert np.isclose(one.intercept, other.intercept)
