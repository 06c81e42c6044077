"""A tiny cohort with every file of the cohort folder, written in milliseconds, for tests of any layer."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

GENES = ("TP53", "RB1", "NOTCH1", "KMT2D", "MYCL", "CD8A", "ASCL1", "YAP1")
CLASSES = ("Missense_Mutation", "Nonsense_Mutation", "Frame_Shift_Del", "Splice_Site", "Silent")
VISIT_GAP = 21.0


def write_tiny_cohort(
    folder: Path | str,
    patients: int = 12,
    seed: int = 0,
    visits: int = 3,
    genes: int = 20,
    regions: int = 15,
    patch_dim: int = 4,
) -> Path:
    """Write a valid cohort; what is worse for a patient shows faintly in every assay.

    Visits fall on days 0, 21, 42, ... Tissue assays (variants, expression, methylation, histology) exist at baseline
    for most patients, plasma, labs and plasma methylation at every visit. By design some entries are missing: an
    assay here and there, the last patient's samples, patient P001's `pfs`, one covariate, one sample that failed QC,
    one variant that failed its filter, and patient P002's tissue methylation is known only by day 20.

    Args:
        folder: Made if absent.
        patients: At least 1; with 8 or more the last one has no sample at all.
        seed: Of every draw.
        visits: Blood draws per patient, while alive.
        genes: Rows of the expression matrix.
        regions: Rows of the methylation matrix.
        patch_dim: Width of a histology patch.

    Returns:
        The folder.
    """
    folder = Path(folder)
    (folder / "histology").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ids = [f"P{i:03d}" for i in range(patients)]
    risk = rng.normal(size=patients)
    os_days = np.round(60 + 500 * np.exp(-0.8 * risk) * rng.exponential(size=patients))
    pfs_days = np.round(os_days * rng.uniform(0.4, 1.0, size=patients))

    _write_clinical(folder, ids, risk, os_days, pfs_days, rng)
    samples = _samples(ids, os_days, visits)
    samples.to_csv(folder / "samples.csv", index=False)
    risk_of = dict(zip(ids, risk, strict=True))
    sample_risk = {s: risk_of[p] for s, p in zip(samples["sample_id"], samples["patient_id"], strict=True)}
    of = {name: list(group["sample_id"]) for name, group in samples.groupby("modality")}

    _write_variants(folder, of.get("variants", []), sample_risk, rng)
    _write_matrices(folder, of.get("expression", []), of.get("methylation", []), sample_risk, genes, regions, rng)
    _write_bags(folder, of.get("histology", []), sample_risk, patch_dim, rng)
    _write_blood(folder, of.get("plasma", []), of.get("labs", []), sample_risk, rng)
    _write_lesions(folder, ids, risk, visits, rng)
    splits = [(p, repeat, (i + repeat) % 3) for repeat in range(2) for i, p in enumerate(ids)]
    if patients > 1:
        pd.DataFrame(splits, columns=["patient_id", "repeat", "fold"]).to_csv(folder / "splits.csv", index=False)
    (folder / "cohort.yaml").write_text(
        "name: tiny\nschema: 1\ndescription: A cohort for tests.\nlicence: CC0-1.0\nendpoints: [os, pfs]\n"
        "expression: {unit: counts}\nmethylation: {unit: beta}\n"
        f"histology: {{encoder: made-up, dim: {patch_dim}}}\n"
    )
    return folder


def _write_clinical(
    folder: Path, ids: list[str], risk: np.ndarray, os_days: np.ndarray, pfs_days: np.ndarray, rng: np.random.Generator
) -> None:
    number = np.arange(len(ids))
    table = pd.DataFrame({"patient_id": ids, "site": np.where(number % 2, "north", "south")})
    table["stage"] = np.where(number % 3, "ES", "LS")
    table["age"] = np.round(rng.normal(62, 8, len(ids)).clip(40, 85), 1)
    table["sex"] = np.where(number % 4, "male", "female")
    table["ecog"] = (risk > 0).astype(int)
    table["ldh"] = np.round(200 * np.exp(0.3 * risk + 0.2 * rng.normal(size=len(ids))), 1)
    table.loc[number % 5 == 2, "ldh"] = np.nan
    table.to_csv(folder / "patients.csv", index=False)
    outcomes = pd.DataFrame({"patient_id": ids, "os_days": os_days, "os_event": (number % 4 != 3).astype(int)})
    outcomes["pfs_days"] = pfs_days
    outcomes["pfs_event"] = pd.array((number % 6 != 5).astype(int), dtype="Int64")
    outcomes.loc[number == 1, ["pfs_days", "pfs_event"]] = pd.NA
    classes = np.select([risk < -0.7, risk < 0.2, risk < 0.9], ["CR", "PR", "SD"], "PD")
    outcomes["response"] = np.where(number % 8 == 5, "NE", classes)
    outcomes["response_day"] = 44
    outcomes.to_csv(folder / "outcomes.csv", index=False)


def _samples(ids: list[str], os_days: np.ndarray, visits: int) -> pd.DataFrame:
    rows = []
    for i, patient in enumerate(ids):
        if len(ids) >= 8 and i == len(ids) - 1:
            continue
        absent = {"variants": i % 5 == 4, "expression": i % 4 == 3, "methylation": i % 6 == 5, "histology": i % 7 == 6}
        for assay, lacking in absent.items():
            if not lacking:
                late = 20.0 if assay == "methylation" and i == 2 else 0.0
                failed = assay == "expression" and i == 5
                rows.append((f"{patient}-{assay}", patient, -5.0, assay, "tissue", late, 0 if failed else 1))
        for visit in range(visits):
            day = VISIT_GAP * visit
            if day < os_days[i]:
                for assay in ("plasma", "labs"):
                    rows.append((f"{patient}-{assay}-{visit}", patient, day, assay, "plasma", day, 1))
                if i % 3 != 2:
                    rows.append((f"{patient}-cfmeth-{visit}", patient, day, "methylation", "plasma", day, 1))
    columns = ["sample_id", "patient_id", "day", "modality", "specimen", "available_day", "pass_qc"]
    return pd.DataFrame(rows, columns=columns).assign(batch=lambda t: np.where(t["day"] > 0, "b2", "b1"))


def _write_variants(folder: Path, sample_ids: list[str], risk: dict[str, float], rng: np.random.Generator) -> None:
    rows = []
    for sample in sample_ids:
        for gene in rng.choice(GENES, size=int(rng.integers(2, 6)), replace=False):
            depth = int(rng.integers(50, 200))
            alt = int(depth * np.clip(0.3 + 0.1 * risk[sample], 0.05, 0.9))
            position = int(rng.integers(1_000_000, 2_000_000))
            consequence = rng.choice(CLASSES)
            rows.append((gene, "1", position, consequence, "C", "T", sample, "p.R1*", depth, alt, 80, 0, "PASS"))
    columns = ["Hugo_Symbol", "Chromosome", "Start_Position", "Variant_Classification", "Reference_Allele"]
    columns += ["Tumor_Seq_Allele2", "Tumor_Sample_Barcode", "HGVSp_Short", "t_depth", "t_alt_count", "n_depth"]
    maf = pd.DataFrame(rows, columns=[*columns, "n_alt_count", "FILTER"])
    if len(maf) > 1:
        maf.loc[1, "FILTER"] = "common_in_exac"
    text = "#version 2.4\n# made for tests\n" + maf.to_csv(sep="\t", index=False)
    (folder / "variants.maf").write_text(text)


def _write_matrices(
    folder: Path,
    expressed: list[str],
    methylated: list[str],
    risk: dict[str, float],
    genes: int,
    regions: int,
    rng: np.random.Generator,
) -> None:
    names = [*GENES, *(f"GENE{i}" for i in range(genes))][:genes]
    level = np.array([risk[s] for s in expressed])
    effect = np.where(np.arange(genes) % 3 == 0, 0.5, 0.0)[:, None]
    counts = rng.poisson(50 * np.exp(effect * level + 0.2 * rng.normal(size=(genes, len(expressed)))))
    table = pd.DataFrame(counts, columns=expressed)
    table.insert(0, "gene", names)
    table.to_csv(folder / "expression.tsv.gz", sep="\t", index=False)

    level = np.array([risk[s] for s in methylated])
    total = rng.integers(20, 60, size=(regions, len(methylated)))
    chance = 1 / (1 + np.exp(-(np.linspace(-2, 2, regions)[:, None] + 0.4 * level)))
    beta = pd.DataFrame(rng.binomial(total, chance) / total, columns=methylated)
    beta = beta.mask(rng.random(beta.shape) < 0.02)
    names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(regions)]
    beta.insert(0, "region", names)
    beta.to_parquet(folder / "methylation.parquet")
    coverage = pd.DataFrame(total, columns=methylated)
    coverage.insert(0, "region", names)
    coverage.to_parquet(folder / "methylation_coverage.parquet")


def _write_bags(
    folder: Path, sample_ids: list[str], risk: dict[str, float], dim: int, rng: np.random.Generator
) -> None:
    for number, sample in enumerate(sample_ids):
        patches = int(rng.integers(5, 12))
        features = rng.normal(0.3 * risk[sample], 1.0, size=(patches, dim)).astype(np.float32)
        with h5py.File(folder / "histology" / f"{sample}.h5", "w") as file:
            file["features"] = features[None] if number % 2 else features  # both layouts that tools write
            file["coords"] = rng.integers(0, 100, size=(patches, 2)) * 256


def _write_blood(
    folder: Path, plasma: list[str], labs: list[str], risk: dict[str, float], rng: np.random.Generator
) -> None:
    fraction = [round(float(np.clip(0.05 * np.exp(risk[s] + 0.3 * rng.normal()), 0, 1)), 5) for s in plasma]
    table = pd.DataFrame({"sample_id": plasma, "tumor_fraction": fraction})
    table["mean_vaf"] = (table["tumor_fraction"] / 2).round(5)
    table["ctdna_lod"] = 0.001
    table.to_csv(folder / "plasma.csv", index=False)
    rows = []
    for sample in labs:
        rows.append((sample, "ldh", round(float(220 * np.exp(0.3 * risk[sample] + 0.1 * rng.normal())), 1), "U/L"))
        rows.append((sample, "progrp", round(float(300 * np.exp(0.5 * risk[sample] + 0.3 * rng.normal())), 1), "pg/mL"))
    pd.DataFrame(rows, columns=["sample_id", "analyte", "value", "unit"]).to_csv(folder / "labs.csv", index=False)


def _write_lesions(folder: Path, ids: list[str], risk: np.ndarray, visits: int, rng: np.random.Generator) -> None:
    rows = []
    for patient, r in zip(ids, risk, strict=True):
        sizes = rng.uniform(20, 60, size=2)
        for scan in range(visits):
            change = np.exp(0.25 * scan * (r - 0.5))
            for lesion, size in enumerate(sizes):
                rows.append((patient, 42.0 * scan - 7.0 * (scan == 0), f"L{lesion}", 1, round(size * change, 1), 0, 0))
    columns = ["patient_id", "scan_day", "lesion_id", "target", "diameter_mm", "nodal", "new_lesion"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "lesions.csv", index=False)
