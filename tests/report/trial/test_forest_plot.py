"""Hazard ratios equal those of lifelines; the forest draws them, and says where there are too few events."""

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from fusion.report.trial import Effect, NothingToDraw, covariate_effects, cox_ratios, forest, subgroup_effects


def cohort(patients: int = 120, seed: int = 0) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(62, 9, size=patients),
            "stage": rng.choice(["ES", "LS"], size=patients, p=[0.7, 0.3]),
            "liver_metastasis": rng.integers(0, 2, size=patients).astype(float),
            "smoking": rng.choice(["ever", "never", "former"], size=patients),
        },
        index=[f"P{i}" for i in range(patients)],
    )
    eta = 0.04 * (table["age"] - 62) + 0.8 * table["liver_metastasis"] - 0.6 * (table["stage"] == "LS")
    time = np.ceil(rng.exponential(300, size=patients) * np.exp(-eta) / 20)  # ties
    event = pd.Series(rng.random(patients) < 0.7, index=table.index)
    return table, pd.Series(time, index=table.index), event


def test_ratios_and_intervals_equal_lifelines():
    table, time, event = cohort()
    design = pd.get_dummies(table, columns=["stage", "smoking"], drop_first=True, dtype=float)
    ours = cox_ratios(design.to_numpy(dtype=np.float64), time.to_numpy(), event.to_numpy())
    fit = CoxPHFitter().fit(design.assign(T=time, E=event), "T", "E").summary
    names = ["exp(coef)", "exp(coef) lower 95%", "exp(coef) upper 95%"]
    np.testing.assert_allclose(ours, fit.loc[design.columns, names].to_numpy(), rtol=2e-4)


@pytest.mark.parametrize("adjusted", [False, True])
def test_effects_of_covariates_equal_lifelines(adjusted: bool):
    table, time, event = cohort()
    lines = {(each.group, each.label): each for each in covariate_effects(table, time, event, adjusted=adjusted)}
    design = pd.DataFrame(
        {
            "age": table["age"] / table["age"].std(),
            "LS": (table["stage"] == "LS").astype(float),
            "liver": table["liver_metastasis"],
            "never": (table["smoking"] == "never").astype(float),
            "former": (table["smoking"] == "former").astype(float),
        }
    )
    often = table["smoking"].value_counts()
    reference = max(sorted(often.index), key=lambda level: often[level])
    design["ever"] = (table["smoking"] == "ever").astype(float)
    design = design.drop(columns=reference)
    columns = list(design) if adjusted else ["LS"]
    fit = CoxPHFitter().fit(design[columns].assign(T=time, E=event), "T", "E").summary
    assert lines[("Stage", "LS")].value == pytest.approx(fit.loc["LS", "exp(coef)"], rel=1e-4)
    assert lines[("Stage", "LS")].low == pytest.approx(fit.loc["LS", "exp(coef) lower 95%"], rel=1e-4)
    assert lines[("Stage", "ES")].note == "reference"
    assert lines[("Stage", "ES")].patients == int((table["stage"] == "ES").sum())
    assert lines[("Liver metastasis", "yes")].events == int(event[table["liver_metastasis"] == 1].sum())
    assert len(lines) == 8


def test_risk_within_subgroups_equals_lifelines_on_the_scale_of_the_fold():
    table, time, event = cohort()
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {"patient_id": table.index, "fold": rng.integers(0, 3, size=120), "duration": time.to_numpy(), "event": event}
    )
    rows["risk"] = table["age"].to_numpy() * (1 + rows["fold"]) + 100 * rows["fold"]
    lines = subgroup_effects(rows, table[["stage"]])
    scaled = rows.groupby("fold")["risk"].transform(lambda risk: (risk - risk.mean()) / risk.std())
    for line, inside in zip(lines, [slice(None), table["stage"].to_numpy() == "ES"], strict=False):
        frame = pd.DataFrame({"x": scaled, "T": rows["duration"], "E": rows["event"]})[inside]
        fit = CoxPHFitter().fit(frame, "T", "E").summary
        assert line.value == pytest.approx(fit.loc["x", "exp(coef)"], rel=1e-4)
    assert [line.label for line in lines] == ["All patients", "ES", "LS"]


def test_a_level_without_events_gets_no_ratio_and_spoils_no_other():
    table, time, event = cohort()
    table = table[["stage", "age"]].assign(rare=np.where(np.arange(120) < 10, "yes", "no"))
    event = event & (table["rare"] == "no")
    lines = {(each.group, each.label): each for each in covariate_effects(table, time, event, adjusted=True)}
    assert lines[("Rare", "yes")].note == "too few events"
    assert np.isnan(lines[("Rare", "yes")].value)
    # A level in which nobody had the event drops out of every risk set's choice, not of the fit.
    assert np.isfinite(lines[("Stage", "LS")].high)


def test_no_event_one_patient_and_constant_columns():
    table, time, event = cohort(20)
    none = covariate_effects(table, time, event & False)
    assert all(each.note for each in none)
    with pytest.raises(NothingToDraw, match="too few events"):
        forest(none)
    assert covariate_effects(table.iloc[:1], time.iloc[:1], event.iloc[:1]) == []
    assert covariate_effects(table.assign(age=1.0)[["age"]], time, event) == []
    with pytest.raises(NothingToDraw):
        forest([])


def test_missing_values_leave_only_their_covariate():
    table, time, event = cohort()
    gone = table.assign(age=table["age"].where(np.arange(120) >= 30))
    lines = {each.label: each for each in covariate_effects(gone, time, event)}
    assert next(each for label, each in lines.items() if label.startswith("Age")).patients == 90
    assert lines["LS"].patients == int((table["stage"] == "LS").sum())


def test_lines_are_drawn_at_their_estimates_and_cut_at_the_edge():
    effects = [Effect("one", 40, 20, 0.5, 0.3, 0.8), Effect("wide", 9, 4, 2.0, 0.02, 90.0, "Group")]
    figure = forest(effects)
    middle = figure.axes[1]
    squares = sorted(float(line.get_xdata()[0]) for line in middle.lines if line.get_marker() == "s")
    assert squares == [0.5, 2.0]
    assert {line.get_marker() for line in middle.lines} >= {"<", ">"}
    assert "2.00 (0.02–90.00)" in [text.get_text() for text in figure.axes[2].texts]
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text() in ("one", "Group", "wide")] == [
        "one",
        "Group",
        "wide",
    ]
