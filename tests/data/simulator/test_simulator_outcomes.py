"""The outcome layer of the simulator: calibrated to what was published, with the associations that each preset says."""

from functools import cache

import numpy as np
import pytest

from fusion.data.simulator.kinetics import RESPONSES, SCAN_WEEKS, Course, simulate_course
from fusion.data.simulator.latents import PRESETS, Latents, draw_latents
from fusion.data.simulator.oracle import auroc, concordance, fit_cox, observe, oracle_figures, oracle_scores
from fusion.survival import kaplan_meier, median

MONTH = 30.4375


@cache
def population(preset: str, patients: int = 12_000, seed: int = 1) -> tuple[Latents, Course]:
    rng = np.random.default_rng(seed)
    latents = draw_latents(patients=patients, preset=PRESETS[preset], rng=rng)
    return latents, simulate_course(latents=latents, preset=PRESETS[preset], rng=rng)


@cache
def figures(preset: str) -> dict[str, float]:
    """Oracle figures of 4,000 patients, with oracles fitted to 4,000 others."""
    cohort, reference = (
        observe(latents=latents, course=course, rng=np.random.default_rng(seed))
        for seed in (2, 3)
        for latents, course in [population(preset, 4_000, seed)]
    )
    return oracle_figures(cohort=cohort, scores=oracle_scores(cohort=cohort, reference=reference))


def test_realistic_outcomes_match_the_literature() -> None:
    latents, course = population("realistic")
    es, ls = latents.extensive, ~latents.extensive
    pfs_es, pfs_ls = (kaplan_meier(course.pfs_days[group], course.pfs_event[group]) for group in (es, ls))
    death = course.death_day / MONTH
    found = {
        "ES median PFS": (median(pfs_es) / MONTH, 5.5),
        "ES PFS at 6 months": (float(pfs_es(6 * MONTH)), 0.49),
        "ES median OS": (float(np.median(death[es])), 14.5),
        "ES OS at 12 months": (float((death[es] > 12).mean()), 0.59),
        "ES OS at 24 months": (float((death[es] > 24).mean()), 0.27),
        "ES response rate": (float((course.response[es] < 2).mean()), 0.73),
        "LS median PFS": (median(pfs_ls) / MONTH, 13.1),
        "LS median OS": (float(np.median(death[ls])), 37.0),
        "LS OS at 24 months": (float((death[ls] > 24).mean()), 0.66),
    }
    far = {name: pair for name, pair in found.items() if abs(pair[0] / pair[1] - 1) > 0.10}
    assert not far


@pytest.mark.parametrize(
    ("preset", "clinical", "oracle", "readouts", "week6", "pfs"),
    [
        ("realistic", 0.728, 0.757, 0.750, (0.738, 0.795), 0.704),
        ("strong", 0.696, 0.803, 0.774, (0.766, 0.820), 0.755),
    ],
)
def test_concordance_of_the_oracles(
    preset: str, clinical: float, oracle: float, readouts: float, week6: tuple[float, float], pfs: float
) -> None:
    measured = figures(preset)
    assert measured["os_clinical_c_index"] == pytest.approx(clinical, abs=0.015)
    assert measured["os_oracle_c_index"] == pytest.approx(oracle, abs=0.015)
    assert measured["os_readouts_c_index"] == pytest.approx(readouts, abs=0.015)
    assert measured["pfs_oracle_c_index"] == pytest.approx(pfs, abs=0.015)
    assert measured["os_week6_baseline_c_index"] == pytest.approx(week6[0], abs=0.02)
    assert measured["os_week6_ctdna_c_index"] == pytest.approx(week6[1], abs=0.02)
    gain = measured["os_week6_ctdna_c_index"] - measured["os_week6_baseline_c_index"]
    early = measured["os_week3_ctdna_c_index"] - measured["os_week3_baseline_c_index"]
    assert 0.03 < gain < 0.08
    assert early < gain


def test_null_cuts_every_path_also_that_through_blood() -> None:
    measured = figures("null")
    for name, value in measured.items():
        if name.endswith(("c_index", "auroc")):
            assert value == pytest.approx(0.5, abs=0.03), name


def test_nonlinear_effects_are_hidden_from_main_effects() -> None:
    fit, held_out = population("nonlinear", 4_000, 2), population("nonlinear", 4_000, 3)

    def plain(latents: Latents) -> np.ndarray:
        names = ("rb1", "notch", "myc_amplified", "kmt2d", "tp53_truncating", "ne", "teff", "tam", "myc", "atypia")
        columns = [np.asarray(getattr(latents, name), dtype=np.float64) for name in (*names, "clin", "extensive")]
        return np.column_stack([*columns, latents.cimp - 1, np.log(latents.sld / 118), np.log(latents.tmb)])

    beta = fit_cox(features=plain(fit[0]), days=fit[1].os_days, event=fit[1].os_event)
    latents, course = held_out
    main_effects = concordance(days=course.os_days, event=course.os_event, risk=plain(latents) @ beta)
    measured = figures("nonlinear")
    assert measured["os_oracle_c_index"] > 0.78
    assert main_effects < measured["os_oracle_c_index"] - 0.04


def test_components_are_standardised_and_add_up() -> None:
    latents, _ = population("strong")
    preset = PRESETS["strong"]
    parts = {name: getattr(latents, name) for name in ("wes", "rna", "meth", "hist")}
    for part in parts.values():
        assert part.mean() == pytest.approx(0, abs=1e-9)
        assert part.std() == pytest.approx(1)
    total = latents.clin + sum(getattr(preset, name) * part for name, part in parts.items())
    np.testing.assert_allclose(latents.eta, total)


def test_course_is_coherent() -> None:
    _, course = population("strong")
    assert (course.os_days > 0).all()
    assert (course.pfs_days > 0).all()
    assert (course.pfs_days <= course.os_days).all()
    assert (course.pfs_event >= course.os_event).all()
    assessed = course.response < RESPONSES.index("NE")
    assert np.isnan(course.response_day[~assessed]).all()
    assert (course.os_days[~assessed] <= 7 * SCAN_WEEKS[1]).all()  # only who dies before the first scan is NE
    assert (course.response_day[assessed] <= course.pfs_days[assessed]).all()
    progressed = np.isfinite(course.progression_day)
    np.testing.assert_array_equal(course.pfs_days[progressed], course.progression_day[progressed])


def test_cox_fit_agrees_with_lifelines() -> None:
    import pandas as pd
    from lifelines import CoxPHFitter

    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 3))
    days = rng.exponential(np.exp(-features @ [0.5, -0.8, 0.0]))
    event = rng.random(300) < 0.7
    beta = fit_cox(features=features, days=days, event=event, ridge=0.0)
    table = pd.DataFrame(features, columns=list("abc")).assign(days=days, event=event)
    np.testing.assert_allclose(beta, CoxPHFitter().fit(table, "days", "event").params_, atol=1e-5)


def test_concordance_agrees_with_lifelines_also_with_ties() -> None:
    from lifelines.utils import concordance_index

    rng = np.random.default_rng(0)
    days, risk = rng.integers(1, 30, 200).astype(float), rng.integers(0, 9, 200).astype(float)
    event = rng.random(200) < 0.6
    ours = concordance(days=days, event=event, risk=risk)
    assert ours == pytest.approx(concordance_index(days, -risk, event), abs=1e-12)
    assert auroc(label=np.array([True, False, False]), score=np.array([2.0, 2.0, 1.0])) == 0.75
