"""Donors are those most alike, importance sees the assay that matters, and the words say the largest first."""

import numpy as np
import pandas as pd
import pytest
import torch

from fusion.explain.importance import Permuted, importance
from fusion.explain.next_assay import assay_table, nearest
from fusion.explain.slide_picture import slide_picture
from fusion.explain.words import reasons_in_words


def test_nearest_donors():
    score, others = torch.randn(5), torch.randn(30)
    for mine, chosen in zip(score, nearest(score, others, 4), strict=True):
        far = (others - mine).abs()
        assert far[chosen].max() <= far.sort().values[3]


def test_importance_is_the_loss_of_rank():
    rng = np.random.default_rng(0)
    count = 80
    risk = rng.normal(size=count)
    ids = [f"P{i}" for i in range(count)]
    rows = pd.DataFrame({"repeat": 0, "fold": 0, "patient_id": ids, "visit": 0, "day": 0.0, "task": "os"})
    rows = rows.assign(duration=np.exp(-risk) * 100, event=True, at_risk=True, risk=risk)
    swapped = {
        "matters": np.stack([rng.permutation(risk) for _ in range(8)])[:, :, None],
        "idle": np.tile(risk, (8, 1))[:, :, None],
    }
    folds = {(0, 0): Permuted(tuple(ids), {"os": risk[:, None]}, {"os": swapped})}
    found = importance(rows, folds, [], resamples=50)["os"]["baseline"]
    assert found["idle"]["value"] == 0
    assert found["matters"]["value"] == pytest.approx(0.5, abs=0.06)
    assert found["matters"]["low"] > 0.3


def test_the_check_compares_foretold_and_shown():
    shown = pd.DataFrame({"patient_id": list("abcd"), "task": "os", "modality": "m", "expected": [1.0, 2, 3, 4]})
    shown["actual"] = shown["expected"] * 0.5
    shown = shown.assign(expected_chance=shown["expected"], actual_chance=-shown["actual"])
    shown = shown.assign(expected_group=[0.1, 0.4, 0.4, 0.8], actual_group=[0.0, 0.0, 1.0, 1.0])
    lacking = pd.DataFrame(
        columns=["patient_id", "task", "modality", "move", "move_chance", "sharpening", "group_change"]
    )
    figures = assay_table(lacking, shown)["os"]["m"]
    assert figures["ratio"] == 0.5
    assert figures["rank_correlation"] == pytest.approx(1.0)
    assert figures["rank_correlation_chance"] == pytest.approx(-1.0)
    assert figures["actual_group"] == 0.5
    assert figures["group_auroc"] == pytest.approx(3.5 / 4)
    assert figures["patients_lacking"] == 0
    assert figures["move"] is None


def test_words_name_the_largest_first():
    keys = {"task": "os", "visit": 1, "day": 21.0}
    modalities = pd.DataFrame(
        [
            {**keys, "modality": "labs", "contribution": 0.1, "base": 0.0, "output": -0.7},
            {**keys, "modality": "plasma", "contribution": -0.8, "base": 0.0, "output": -0.7},
        ]
    )
    visits = pd.DataFrame([{**keys, "modality": "time", "contribution": -0.3, "before": -0.4, "after": -0.7}])
    features = pd.DataFrame([{**keys, "modality": "plasma", "feature": "mean_vaf", "contribution": -0.6}])
    lines = reasons_in_words(modalities, visits, features)
    assert "plasma -0.80, labs +0.10" in lines[1]
    assert "since the visit before -0.30: passing time -0.30" in lines[2]
    assert "plasma:mean_vaf -0.60" in lines[3]


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_slide_is_drawn_the_same_each_time(kind: str):
    places = np.array([[x, y] for x in range(0, 1024, 256) for y in range(0, 768, 256)], dtype=np.float64)
    first, second = (slide_picture(places, np.linspace(-1, 2, 12), label="<b>", kind=kind) for _ in range(2))
    assert first == second
    assert b"<b>" not in first
    with pytest.raises(ValueError, match="coords"):
        slide_picture(places[:3], np.zeros(12), label="")
