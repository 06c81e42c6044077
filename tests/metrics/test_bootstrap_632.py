"""The .632+ estimate: its weight by hand, its no-information error by brute force, its place between its two ends."""

import numpy as np
import pandas as pd
import pytest
from fake_predictions import fake_run
from hypothesis import given
from hypothesis import strategies as st

from fusion.metrics.bootstrap import patient_weights
from fusion.metrics.bootstrap_632 import _no_information, estimate_632_plus, score_632_plus
from fusion.metrics.dynamic import ModelTable
from fusion.metrics.scorer import FUSION, Scorer

errors = st.floats(0.0, 1.0)


def of(apparent: float, out_of_bag: float, none: float) -> float:
    return float(estimate_632_plus(*(np.array([each]) for each in (apparent, out_of_bag, none)))[0])


def test_by_hand():
    assert of(0.2, 0.2, 0.5) == pytest.approx(0.2)
    assert of(0.0, 0.5, 0.5) == pytest.approx(0.5), "nothing was learned: the out-of-bag error alone"
    overfit = (0.3 - 0.1) / (0.5 - 0.1)
    weight = 0.632 / (1 - 0.368 * overfit)
    assert of(0.1, 0.3, 0.5) == pytest.approx((1 - weight) * 0.1 + weight * 0.3)


@given(errors, errors, errors)
def test_between_apparent_and_out_of_bag_and_never_worse_than_nothing(apparent: float, unseen: float, none: float):
    found = of(apparent, unseen, none)
    low, high = sorted((apparent, min(unseen, none)))
    assert low - 1e-12 <= found <= high + 1e-12


@given(st.floats(0.05, 0.2), st.floats(0.2, 0.5))
def test_more_overfitting_gives_the_left_out_patients_more_weight(apparent: float, unseen: float):
    share = (of(apparent, unseen, 0.5) - apparent) / max(unseen - apparent, 1e-9)
    assert unseen - apparent < 1e-6 or share >= 0.632 - 1e-6


def apparent_rows(seed: int = 0) -> tuple[pd.DataFrame, ModelTable]:
    run = fake_run(patients=80, repeats=1, folds=2, seed=seed)
    rows = run.predictions.assign(repeat=0, fold=0, model=FUSION)
    return rows, ModelTable(run.predictions, run.splits)


def test_no_information_is_the_mean_over_all_pairs():
    rows, _ = apparent_rows()
    patients = tuple(sorted(rows["patient_id"].unique()))
    everyone = pd.DataFrame({"repeat": 0, "fold": 0, "patient_id": patients, "part": "train"})
    scorer = Scorer(patients, patient_weights(len(patients), 0, 0), (360.0,))
    found = _no_information(scorer, ModelTable(rows, everyone), "response")
    first = rows[(rows["task"] == "response") & (rows["visit"] == 0) & rows["at_risk"]]
    pairs = [(p - y) ** 2 for p in first["prob_responder"] for y in first["label"]]
    assert found["brier"][0] == pytest.approx(np.mean(pairs))
    # without censoring before the horizon the weights are one, and a survival pairs with an outcome in the same way
    os = rows[(rows["task"] == "os") & (rows["visit"] == 0)].assign(event=True)
    found = _no_information(scorer, ModelTable(os, everyone), "os")
    pairs = [(s - (t > 360)) ** 2 for s in os["survival_360"] for t in os["duration"]]
    assert found["brier/360"][0] == pytest.approx(np.mean(pairs))
    assert found["c_index"][0] == 0.5


def test_a_model_that_knows_as_much_of_new_patients_is_not_corrected():
    rows, out_of_bag = apparent_rows()
    figures = score_632_plus({FUSION: out_of_bag}, rows, horizons=(360.0,), resamples=20)["os"][FUSION]
    c_index = figures["c_index"]
    low, high = sorted((c_index["apparent"], c_index["out_of_bag"]))
    assert low <= c_index["value"] <= high
    assert high - low < 0.05
    assert c_index["low"] < c_index["value"] < c_index["high"]


def test_an_overfitted_model_is_pulled_to_the_patients_left_out():
    rows, out_of_bag = apparent_rows()
    cheat = rows.copy()
    survival = cheat["task"] == "os"
    cheat.loc[survival, "risk"] = -cheat.loc[survival, "duration"]
    blind = out_of_bag.predictions.copy()
    blind["risk"] = np.random.default_rng(0).standard_normal(len(blind))
    blind_table = ModelTable(blind, out_of_bag.splits)
    figures = score_632_plus({FUSION: blind_table}, cheat, horizons=(360.0,), resamples=20)["os"][FUSION]["c_index"]
    assert figures["apparent"] > 0.95
    assert figures["value"] < 0.6
