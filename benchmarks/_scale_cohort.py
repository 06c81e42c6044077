"""Cohort folders of any size, written straight from arrays: `fusion-simulate` is true to biology, and slow for that."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

PATCH_DIM = 1024
VISIT_GAP = 21.0
VARIANTS = 8
GENES = tuple(f"GENE{number}" for number in range(60))
CLASSES = ("Missense_Mutation", "Nonsense_Mutation", "Frame_Shift_Del", "Splice_Site", "Silent")


@dataclass(frozen=True)
class Size:
    """How large a cohort is; an assay of size zero is not in it.

    Attributes:
        patients: Number of patients.
        visits: Blood draws of each, and scans of two lesions.
        genes: Rows of the expression matrix.
        regions: Rows of the methylation matrix.
        patches: Patches of each slide.
        variants: Whether there is a MAF.
    """

    patients: int
    visits: int = 0
    genes: int = 0
    regions: int = 0
    patches: int = 0
    variants: bool = False


def write_cohort(folder: Path, size: Size, seed: int = 0) -> Path:
    """Write a valid cohort in which every assay tells a little of the patient's risk."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    ids = np.array([f"P{number:06d}" for number in range(size.patients)], dtype=object)
    risk = rng.standard_normal(size.patients)
    assays = {
        "variants": size.variants,
        "expression": size.genes,
        "methylation": size.regions,
        "histology": size.patches,
    }
    parts = [_samples(ids, assay, "tissue", 0.0) for assay, rows in assays.items() if rows]
    for visit in range(size.visits):
        parts += [_samples(ids, assay, "plasma", VISIT_GAP * visit, f"-{visit}") for assay in ("plasma", "labs")]
    pd.concat(parts).to_csv(folder / "samples.csv", index=False)
    _write_clinical(folder, ids, risk, VISIT_GAP * size.visits, rng)
    if size.variants:
        _write_variants(folder, ids, rng)
    if size.genes:
        _write_matrix(folder / "expression.parquet", "gene", ids + "-expression", 6.0, size.genes, risk, rng)
    if size.regions:
        _write_matrix(folder / "methylation.parquet", "region", ids + "-methylation", 0.0, size.regions, risk, rng)
    if size.patches:
        _write_bags(folder / "histology", ids + "-histology", size.patches, rng)
    if size.visits:
        _write_blood(folder, ids, size.visits, risk, rng)
        _write_lesions(folder, ids, size.visits, risk, rng)
    (folder / "cohort.yaml").write_text(
        "name: scale\nschema: 1\nendpoints: [os, pfs]\nexpression: {unit: log}\nmethylation: {unit: beta}\n"
    )
    return folder


def _samples(ids: np.ndarray, assay: str, specimen: str, day: float, suffix: str = "") -> pd.DataFrame:
    names = ids + f"-{assay}{suffix}"
    return pd.DataFrame(
        {"sample_id": names, "patient_id": ids, "day": day, "modality": assay, "specimen": specimen, "pass_qc": 1}
    )


def _write_clinical(folder: Path, ids: np.ndarray, risk: np.ndarray, followed: float, rng: np.random.Generator) -> None:
    number = len(ids)
    table = pd.DataFrame({"patient_id": ids, "site": np.where(rng.random(number) < 0.5, "north", "south")})
    table["stage"] = np.where(rng.random(number) < 0.3, "LS", "ES")
    table["age"] = np.round(rng.normal(62, 8, number).clip(40, 85), 1)
    table["sex"] = np.where(rng.random(number) < 0.4, "female", "male")
    table["ecog"] = (risk > 0).astype(int)
    table.to_csv(folder / "patients.csv", index=False)
    lived = 500 * np.exp(-0.8 * risk) * rng.exponential(size=number)
    end = rng.uniform(200, 2000, number)
    os_days = np.ceil(followed + 1 + np.minimum(lived, end))  # alive at every draw
    outcomes = pd.DataFrame({"patient_id": ids, "os_days": os_days, "os_event": (lived <= end).astype(int)})
    outcomes["pfs_days"] = np.ceil(os_days * rng.uniform(0.3, 1.0, number))
    outcomes["pfs_event"] = (rng.random(number) < 0.8).astype(int)
    outcomes["response"] = np.select([risk < -0.7, risk < 0.2, risk < 0.9], ["CR", "PR", "SD"], "PD")
    outcomes["response_day"] = 44
    outcomes.to_csv(folder / "outcomes.csv", index=False)


def _write_variants(folder: Path, ids: np.ndarray, rng: np.random.Generator) -> None:
    rows = len(ids) * VARIANTS
    depth = rng.integers(50, 200, rows)
    maf = pd.DataFrame({"Hugo_Symbol": rng.choice(GENES, rows), "Variant_Classification": rng.choice(CLASSES, rows)})
    maf["Tumor_Sample_Barcode"] = np.repeat(ids + "-variants", VARIANTS)
    maf["t_depth"], maf["t_alt_count"] = depth, (depth * rng.uniform(0.1, 0.5, rows)).astype(int)
    maf.to_csv(folder / "variants.maf", sep="\t", index=False)


def _write_matrix(
    path: Path, column: str, names: np.ndarray, level: float, rows: int, risk: np.ndarray, rng: np.random.Generator
) -> None:
    """Features x samples in float32: about `level` on the log scale, or fractions where it is zero."""
    values = rng.standard_normal((rows, len(names)), dtype=np.float32)
    values[::3] += (0.4 * risk).astype(np.float32)
    if level:
        values += np.float32(level)
    else:
        values = np.reciprocal(1 + np.exp(-values))
    table = pd.DataFrame(values, columns=names)
    table.insert(0, column, [f"{column}_{number}" for number in range(rows)])
    table.to_parquet(path)


def _write_bags(folder: Path, names: np.ndarray, patches: int, rng: np.random.Generator) -> None:
    folder.mkdir()
    for name in names:
        features = rng.standard_normal((patches, PATCH_DIM), dtype=np.float32).astype(np.float16)
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["features"] = features
            file["coords"] = rng.integers(0, 400, (patches, 2)) * 256


def _write_blood(folder: Path, ids: np.ndarray, visits: int, risk: np.ndarray, rng: np.random.Generator) -> None:
    def names(assay: str) -> np.ndarray:
        return np.concatenate([ids + f"-{assay}-{visit}" for visit in range(visits)])

    worse = np.tile(risk, visits)
    noise = rng.standard_normal((4, len(worse)))
    fraction = np.clip(0.05 * np.exp(worse + 0.3 * noise[0]), 0, 1).round(5)
    plasma = pd.DataFrame({"sample_id": names("plasma"), "tumor_fraction": fraction})
    plasma["mean_vaf"] = (fraction / 2 * np.exp(0.1 * noise[1])).clip(0, 1).round(5)
    plasma.to_csv(folder / "plasma.csv", index=False)
    labs = pd.DataFrame({"sample_id": names("labs"), "ldh": (220 * np.exp(0.3 * worse + 0.1 * noise[2])).round(1)})
    labs["nse"] = (15 * np.exp(0.4 * worse + 0.2 * noise[3])).round(1)
    labs.to_csv(folder / "labs.csv", index=False)


def _write_lesions(folder: Path, ids: np.ndarray, visits: int, risk: np.ndarray, rng: np.random.Generator) -> None:
    scan = np.arange(visits)
    table = pd.DataFrame({"patient_id": np.repeat(ids, 2 * visits)})
    table["scan_day"] = np.tile(np.repeat(VISIT_GAP * scan - 7.0 * (scan == 0), 2), len(ids))
    table["lesion_id"] = np.tile(["L0", "L1"], len(ids) * visits)
    table["target"] = 1
    growth = np.exp(0.02 * risk[:, None, None] * scan[:, None] + 0.05 * rng.standard_normal((len(ids), visits, 2)))
    table["diameter_mm"] = (30.0 * growth).clip(1, 200).round(1).ravel()
    table.to_csv(folder / "lesions.csv", index=False)
