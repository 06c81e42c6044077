"""A simulated cohort folder: the same bytes from the same seed, valid, true to its truth, and signal in every assay."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from fusion.data.read import read_cohort
from fusion.data.recist import assess_lesions, best_response, progression_day
from fusion.data.simulator import GENE_SETS, PRESETS, SimulationSummary, simulate_cohort
from fusion.data.simulator.assays import MORPHOTYPES


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> SimulationSummary:
    return simulate_cohort(out=tmp_path_factory.mktemp("simulated") / "cohort", patients=60, patch_dim=8, seed=0)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def truth(summary: SimulationSummary) -> pd.DataFrame:
    return pd.read_parquet(summary.path / "truth" / "latents.parquet").set_index("patient_id")


def table(summary: SimulationSummary, name: str) -> pd.DataFrame:
    return pd.read_csv(summary.path / name, keep_default_na=False, na_values=[""])


def samples(summary: SimulationSummary, assay: str, specimen: str = "tissue") -> "pd.Series[str]":
    """Sample of each patient, in baseline blood or in tissue."""
    rows = table(summary, "samples.csv")
    rows = rows[(rows["modality"] == assay) & (rows["specimen"] == specimen) & (rows["day"] <= 0)]
    return rows.set_index("patient_id")["sample_id"]


def test_same_seed_same_bytes(simulated: SimulationSummary, tmp_path: Path) -> None:
    again = simulate_cohort(out=tmp_path / "elsewhere", patients=60, patch_dim=8, seed=0)
    assert hashes(again.path) == hashes(simulated.path)
    other = simulate_cohort(out=tmp_path / "other", patients=20, patch_dim=8, seed=1)
    same = {name for name, value in hashes(other.path).items() if hashes(simulated.path).get(name) == value}
    assert not same


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_reads_as_a_valid_cohort(preset: str, tmp_path: Path) -> None:
    summary = simulate_cohort(out=tmp_path / preset, preset=preset, patients=24, patch_dim=4)
    cohort = read_cohort(summary.path)
    assert cohort.num_patients == 24
    assert cohort.endpoints == ("os", "pfs")
    assert "SIMULATED" in cohort.settings["description"]
    assert json.loads((summary.path / "truth" / "manifest.json").read_text())["preset"] == preset


def test_lesions_reproduce_progression_and_response(simulated: SimulationSummary) -> None:
    assessments = assess_lesions(table(simulated, "lesions.csv"))
    outcomes = table(simulated, "outcomes.csv").set_index("patient_id")
    best = best_response(assessments).reindex(outcomes.index)
    assert list(best["response"]) == list(outcomes["response"])
    np.testing.assert_array_equal(best["response_day"], outcomes["response_day"].astype(float))
    progression = progression_day(assessments).reindex(outcomes.index)
    np.testing.assert_array_equal(progression.fillna(np.inf), truth(simulated)["progression_day"])
    seen = progression.notna()
    np.testing.assert_array_equal(progression[seen], outcomes.loc[seen, "pfs_days"])


def test_treatment_ends_with_progression_or_goes_on(simulated: SimulationSummary) -> None:
    outcomes = table(simulated, "outcomes.csv").set_index("patient_id")
    treatments = table(simulated, "treatments.csv")
    last = treatments.groupby("patient_id").tail(1).set_index("patient_id")["end_day"].reindex(outcomes.index)
    np.testing.assert_array_equal(last.isna(), outcomes["pfs_event"] == 0)
    ended = last.notna()
    np.testing.assert_array_equal(last[ended], outcomes.loc[ended, "pfs_days"])
    assert (treatments["start_day"] < treatments["patient_id"].map(outcomes["os_days"])).all()
    assert set(treatments.groupby("patient_id").head(1)["start_day"]) == {0}


def test_no_blood_after_death_or_follow_up(simulated: SimulationSummary) -> None:
    rows = table(simulated, "samples.csv")
    last = table(simulated, "outcomes.csv").set_index("patient_id")["os_days"]
    assert (rows["day"] <= rows["patient_id"].map(last)).all()
    blood = rows[rows["specimen"] != "tissue"]
    assert (blood["day"] >= 0).all()
    assert (rows.loc[rows["specimen"] == "tissue", "day"] < 0).all()
    progression = truth(simulated)["progression_day"]
    at_progression = blood[blood["day"] == blood["patient_id"].map(progression)]
    assert at_progression["patient_id"].nunique() > 0.8 * np.isfinite(progression).sum()


def test_missingness_is_shared_by_the_tissue_assays(tmp_path: Path) -> None:
    summary = simulate_cohort(out=tmp_path / "many", patients=400, patch_dim=2)
    rows = table(summary, "samples.csv")
    passed = rows[rows["pass_qc"] == 1]
    tissue = passed[passed["specimen"] == "tissue"]
    present = pd.crosstab(tissue["patient_id"], tissue["modality"]).reindex(truth(summary).index, fill_value=0)
    expected = {"variants": 0.75, "expression": 0.65, "methylation": 0.60, "histology": 0.90}
    for assay, share in expected.items():
        assert present[assay].mean() == pytest.approx(share, abs=0.07), assay
    assert present["variants"].corr(present["expression"]) > 0.3
    plasma = rows[rows["modality"] == "plasma"]
    assert (plasma["day"] == 0).sum() / 400 == pytest.approx(0.95, abs=0.03)
    serum = rows[rows["modality"] == "labs"]

    def drawn(first: int, last: int) -> float:
        count = [((kind["day"] >= first) & (kind["day"] <= last)).sum() for kind in (plasma, serum)]
        return float(count[0] / count[1] * 0.97)

    assert drawn(15, 50) == pytest.approx(0.86, abs=0.05)
    assert drawn(250, 400) < drawn(15, 50) - 0.1


def test_matrices_and_slides_hold_what_samples_lists(simulated: SimulationSummary) -> None:
    listed = table(simulated, "samples.csv")
    expression = pd.read_parquet(simulated.path / "expression.parquet").set_index("gene")
    assert set(expression.columns) == set(listed.loc[listed["modality"] == "expression", "sample_id"])
    assert expression.shape[0] == 2000
    assert (expression.to_numpy() >= 0).all()
    assert all(set(genes) <= set(expression.index) for genes in GENE_SETS.values())
    beta = pd.read_parquet(simulated.path / "methylation.parquet").set_index("region")
    assert set(beta.columns) == set(listed.loc[listed["modality"] == "methylation", "sample_id"])
    assert np.nanmin(beta.to_numpy()) >= 0
    assert np.nanmax(beta.to_numpy()) <= 1
    labels = pd.read_parquet(simulated.path / "truth" / "patch_labels.parquet").groupby("sample_id")["label"]
    slides = {path.stem: path for path in (simulated.path / "histology").iterdir()}
    assert set(slides) == set(listed.loc[listed["modality"] == "histology", "sample_id"]) == set(labels.groups)
    for sample, patch_labels in labels:
        with h5py.File(slides[sample]) as file:
            assert file["features"].shape == (len(patch_labels), 8)
            assert file["coords"].shape == (len(patch_labels), 2)
        assert patch_labels.between(0, len(MORPHOTYPES) - 1).all()


def test_assays_carry_the_latents(simulated: SimulationSummary) -> None:
    latents = truth(simulated)
    rna = samples(simulated, "expression")
    counts = pd.read_parquet(simulated.path / "expression.parquet").set_index("gene")[list(rna)]
    log_cpm = np.log2(counts / counts.sum() * 1e6 + 1)
    for name, latent in (("neuroendocrine", "ne"), ("t_cell_inflamed", "teff"), ("macrophage", "tam")):
        score = log_cpm.loc[list(GENE_SETS[name])].mean()
        assert np.corrcoef(score, latents.loc[rna.index, latent])[0, 1] > 0.6, name
    methylation = samples(simulated, "methylation")
    beta = pd.read_parquet(simulated.path / "methylation.parquet").set_index("region")
    cimp = beta.loc[beta.index.str.startswith("cimp"), list(methylation)].mean()
    assert np.corrcoef(cimp, latents.loc[methylation.index, "cimp"])[0, 1] > 0.6
    maf = pd.read_csv(simulated.path / "variants.maf", sep="\t", comment="#")
    exome = samples(simulated, "variants")
    mutated = exome.isin(maf.loc[maf["Hugo_Symbol"] == "RB1", "Tumor_Sample_Barcode"])
    assert (mutated == latents.loc[exome.index, "rb1"]).mean() > 0.9
    burden = np.log(maf.groupby("Tumor_Sample_Barcode").size().reindex(exome))
    assert np.corrcoef(burden, np.log(latents.loc[exome.index, "tmb"]))[0, 1] > 0.85
    assert (maf["t_alt_count"] <= maf["t_depth"]).all()


def test_plasma_knows_its_limit(simulated: SimulationSummary) -> None:
    plasma = table(simulated, "plasma.csv")
    hidden = plasma["detected"] == 0
    assert 0.05 < hidden.mean() < 0.8
    assert (plasma.loc[hidden, "tumor_fraction"] == plasma.loc[hidden, "lod"]).all()
    assert (plasma.loc[~hidden, "tumor_fraction"] >= plasma.loc[~hidden, "lod"]).all()


def test_serum_follows_the_tumour_in_secretors_only(tmp_path: Path) -> None:
    summary = simulate_cohort(out=tmp_path / "serum", patients=400, patch_dim=2, preset="realistic")
    rows = table(summary, "samples.csv").merge(table(summary, "labs.csv"), on="sample_id")
    week6 = rows[rows["day"].between(36, 48)].drop_duplicates("patient_id").set_index("patient_id")
    start = rows[rows["day"] == 0].set_index("patient_id")
    lesions = table(summary, "lesions.csv")
    sums = lesions[lesions["target"] == 1].groupby(["patient_id", "scan_day"])["diameter_mm"].sum().unstack()
    shrinkage = sums[42] / sums[0]
    for analyte, published in (("progrp", 0.5), ("nse", 0.25)):
        change = np.log(week6[analyte] / start[analyte])
        assert change.corr(shrinkage, method="spearman") == pytest.approx(published, abs=0.15), analyte


def test_site_confounding_is_a_trap(tmp_path: Path) -> None:
    def prognosis(confounded: bool) -> float:
        summary = simulate_cohort(
            out=tmp_path / str(confounded), patients=200, patch_dim=2, preset="null", site_confounding=confounded
        )
        return float(truth(summary)["site"].corr(truth(summary)["death_day"], method="spearman"))

    assert abs(prognosis(False)) < 0.2
    assert prognosis(True) < -0.4


def test_informative_visits_follow_the_tumour(tmp_path: Path) -> None:
    def late_draws(informative: bool) -> tuple[float, float]:
        """Draws to day 140 of patients who worsen early and of those who hold."""
        summary = simulate_cohort(
            out=tmp_path / str(informative), patients=200, patch_dim=2, informative_visits=informative
        )
        latents, rows = truth(summary), table(summary, "samples.csv")
        outcomes = table(summary, "outcomes.csv").set_index("patient_id")
        drawn = rows[(rows["modality"] == "labs") & (rows["day"] <= 98)].groupby("patient_id").size()
        drawn = drawn.reindex(latents.index, fill_value=0)[outcomes["os_days"] > 98]
        bad = latents["progression_day"].loc[drawn.index] <= 126
        return float(drawn[bad].mean()), float(drawn[~bad].mean())

    plain, informative = late_draws(False), late_draws(True)
    assert informative[0] - informative[1] > plain[0] - plain[1] + 0.5


def test_refuses_what_is_not_a_simulated_cohort(simulated: SimulationSummary, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "patients.csv").write_text("patient_id\n")
    with pytest.raises(ValueError, match="is not a simulated cohort"):
        simulate_cohort(out=tmp_path / "real", patients=20)
    with pytest.raises(ValueError, match="choose one of"):
        simulate_cohort(out=tmp_path / "new", preset="easy")
    with pytest.raises(ValueError, match="ask for 20 or more"):
        simulate_cohort(out=tmp_path / "new", patients=3)
    assert [path.name for path in tmp_path.iterdir()] == ["real"]
    first = simulate_cohort(out=tmp_path / "again", patients=20, patch_dim=2, seed=1)
    second = simulate_cohort(out=first.path, patients=20, patch_dim=2, seed=2)
    assert json.loads((second.path / "truth" / "manifest.json").read_text())["seed"] == 2


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("fusion.data.simulator.write._write_slides", disk_full)
    with pytest.raises(OSError, match="no space"):
        simulate_cohort(out=tmp_path / "cohort", patients=20)
    assert not list(tmp_path.iterdir())
