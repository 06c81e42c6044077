"""Writes a simulated cohort as the raw files of a real study, with its truth in a folder beside them."""

import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from fusion.data.simulator import assays, blood, oracle
from fusion.data.simulator.kinetics import RESPONSES, SCAN_WEEKS, Course, simulate_course
from fusion.data.simulator.latents import PRESETS, SUBTYPES, BoolArray, FloatArray, Latents, draw_latents
from fusion.data.simulator.variants import TARGET_MB, variant_table

#: Share of patients with a usable tissue assay.
TISSUE_SHARE: Final = {"variants": 0.75, "expression": 0.65, "methylation": 0.60, "histology": 0.90}
TISSUE_SUFFIX: Final = {"variants": "WES", "expression": "RNA", "methylation": "METH", "histology": "HE"}
#: Share of patients whose tissue was assayed but failed quality control: data are there, and are not to be used.
FAILED_SHARE: Final = 0.03


@dataclass(frozen=True)
class SimulationSummary:
    """What `simulate_cohort` wrote.

    Attributes:
        path: The cohort folder.
        preset: Name of the preset.
        seed: Seed of every draw.
        patients: Number of patients.
        samples: Samples of each assay, by name.
        oracle: What the oracles score on this cohort; see `truth/manifest.json`.
    """

    path: Path
    preset: str
    seed: int
    patients: int
    samples: Mapping[str, int]
    oracle: Mapping[str, float]


@dataclass(frozen=True)
class _Samples:
    """Samples of one assay and specimen; `patient` is the row of the patient in the cohort."""

    assay: str
    specimen: str
    ids: NDArray[np.object_]
    patient: NDArray[np.int64]
    day: NDArray[np.int64]
    available_day: NDArray[np.int64]
    batch: NDArray[np.object_]
    passed: BoolArray

    def frame(self, patient_ids: NDArray[np.object_]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "sample_id": self.ids,
                "patient_id": patient_ids[self.patient],
                "day": self.day,
                "modality": self.assay,
                "specimen": self.specimen,
                "batch": self.batch,
                "pass_qc": self.passed.astype(np.int64),
                "available_day": self.available_day,
            }
        )


def simulate_cohort(
    *,
    out: Path | str,
    preset: str = "strong",
    patients: int = 240,
    seed: int = 0,
    patch_dim: int = 64,
    sites: int = 3,
    site_confounding: bool = False,
    informative_visits: bool = False,
) -> SimulationSummary:
    """Simulate a cohort and write its folder, all at once or not at all.

    Args:
        out: Cohort folder; one that an earlier simulation left is replaced, any other is refused.
        preset: `strong`, `realistic`, `nonlinear` or `null`.
        patients: Number of patients, at least 20.
        seed: The same seed gives the same bytes.
        patch_dim: Width of a histology patch.
        sites: Number of hospitals, each with its own stain.
        site_confounding: Let the outcome decide the site, a trap: a model that reads the stain seems to foresee it.
        informative_visits: Draw blood more often from patients who worsen, and less often from those who do well.

    Raises:
        ValueError: If `preset` is unknown, `patients` too few, or `out` is not a simulated cohort.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    if patients < 20:
        raise ValueError(f"patients={patients} is too few to standardise the latents; ask for 20 or more")
    if patch_dim < 1 or sites < 1:
        raise ValueError(f"patch_dim={patch_dim} and sites={sites} must be 1 or more")
    out = Path(out).resolve()
    _refuse_foreign(out)

    def stream(table: str) -> Generator:
        """Each table has its own generator, so that a change to one leaves the others as they were."""
        return np.random.default_rng(SeedSequence(entropy=seed, spawn_key=(zlib.crc32(table.encode()),)))

    rules = PRESETS[preset]
    latents = draw_latents(patients=patients, preset=rules, rng=stream("latents"))
    course = simulate_course(latents=latents, preset=rules, rng=stream("course"))
    site = _assign_sites(course, sites=sites, confounded=site_confounding, rng=stream("sites"))
    ids = np.array([f"P-{i + 1:04d}" for i in range(patients)], dtype=object)
    draws = blood.draw_blood(
        latents=latents, course=course, preset=rules, informative_visits=informative_visits, rng=stream("draws")
    )
    tissue = _tissue_samples(ids, rng=stream("tissue"))
    plasma_taken = blood.plasma_taken(draws, stream("plasma_taken"))
    methylation_taken = plasma_taken & (stream("plasma_methylation_taken").random(plasma_taken.shape) < 0.95)
    labs_taken = draws.taken & (stream("labs_taken").random(draws.day.shape) < 0.97)
    plasma = _blood_samples("plasma", "plasma", "CT", ids, draws.day, plasma_taken)
    plasma_methylation = _blood_samples("methylation", "plasma", "CM", ids, draws.day, methylation_taken)
    labs = _blood_samples("labs", "serum", "LAB", ids, draws.day, labs_taken)
    every = [*tissue.values(), plasma, plasma_methylation, labs]

    purity_rng = stream("purity")
    purity = {
        assay: np.clip(0.68 + shared + 0.05 * purity_rng.normal(size=patients), 0.2, 0.95)
        for shared in [0.12 * purity_rng.normal(size=patients)]
        for assay in TISSUE_SHARE
    }
    folder = out.with_name(f".{out.name}.partial-{os.getpid()}")
    (folder / "truth").mkdir(parents=True)
    try:
        (folder / "cohort.yaml").write_text(_cohort_yaml(preset, patients, seed, patch_dim))
        _write_csv(_patients_table(ids, latents, site), folder / "patients.csv")
        _write_csv(_outcomes_table(ids, course), folder / "outcomes.csv")
        _write_csv(pd.concat([s.frame(ids) for s in every]).sort_values("sample_id"), folder / "samples.csv")
        _write_csv(_lesions_table(ids, course, stream("lesions")), folder / "lesions.csv")
        serum = blood.labs_table(latents=latents, draws=draws, taken=labs_taken, rng=stream("labs"))
        ctdna = blood.plasma_table(draws=draws, taken=plasma_taken, rng=stream("plasma"))
        _write_csv(ctdna.assign(sample_id=plasma.ids)[["sample_id", *ctdna]], folder / "plasma.csv")
        _write_csv(serum.assign(sample_id=labs.ids)[["sample_id", *serum]], folder / "labs.csv")

        names = np.array([f"{patient}-WES" for patient in ids], dtype=object)
        maf = variant_table(latents=latents, sample_ids=names, purity=purity["variants"], rng=stream("variants"))
        maf = maf[maf["Tumor_Sample_Barcode"].isin(tissue["variants"].ids)]
        _write_csv(maf, folder / "variants.maf", sep="\t", first_line="#version gdc-1.0.0\n")

        sampled = tissue["expression"]
        batch = np.searchsorted(assays.BATCHES, sampled.batch.astype(str))
        counts = assays.expression_counts(
            latents=latents, patient=sampled.patient, purity=purity["expression"], batch=batch, rng=stream("expression")
        )
        _write_matrix(folder / "expression.parquet", "gene", assays.expression_design().genes, sampled.ids, counts)

        methylome = assays.tumour_methylome(latents=latents, rng=stream("methylome"))
        from_tissue = assays.methylated_fraction(
            methylome=methylome,
            patient=tissue["methylation"].patient,
            tumour_share=purity["methylation"][tissue["methylation"].patient],
            depth=30,
            rng=stream("methylation"),
        )
        from_plasma = assays.methylated_fraction(
            methylome=methylome,
            patient=plasma_methylation.patient,
            tumour_share=draws.fraction[methylation_taken],
            depth=60,
            rng=stream("plasma_methylation"),
        )
        _write_matrix(
            folder / "methylation.parquet",
            "region",
            assays.methylation_design().regions,
            np.concatenate([tissue["methylation"].ids, plasma_methylation.ids]),
            np.concatenate([from_tissue, from_plasma]),
        )
        shares = assays.morphotype_shares(latents=latents, rng=stream("morphotypes"))
        labels = _write_slides(
            folder / "histology", tissue["histology"], shares, site, sites, patch_dim, stream("histology")
        )
        figures = _write_truth(
            folder / "truth",
            ids=ids,
            latents=latents,
            course=course,
            site=site,
            shares=shares,
            labels=labels,
            preset=preset,
            rng=stream("oracle"),
            settings={
                "seed": seed,
                "patients": patients,
                "patch_dim": patch_dim,
                "sites": sites,
                "site_confounding": site_confounding,
                "informative_visits": informative_visits,
            },
        )
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return SimulationSummary(
        path=out,
        preset=preset,
        seed=seed,
        patients=patients,
        samples={
            "variants": len(tissue["variants"].ids),
            "expression": len(sampled.ids),
            "methylation": len(tissue["methylation"].ids) + len(plasma_methylation.ids),
            "histology": len(tissue["histology"].ids),
            "plasma": len(plasma.ids),
            "labs": len(labs.ids),
        },
        oracle=figures,
    )


def _refuse_foreign(out: Path) -> None:
    """Raise unless `out` is free, empty, or the work of an earlier simulation."""
    if not out.exists():
        return
    if out.is_dir() and (not any(out.iterdir()) or (out / "truth" / "manifest.json").is_file()):
        return
    raise ValueError(f"{out} exists and is not a simulated cohort; name another folder with out=, or move it away")


def _assign_sites(course: Course, *, sites: int, confounded: bool, rng: Generator) -> NDArray[np.int64]:
    """Site of every patient: by chance, or, confounded, the sooner the death the later the site."""
    n = len(course.os_days)
    if not confounded:
        return rng.integers(0, sites, n)
    prognosis = np.argsort(np.argsort(-course.death_day, kind="stable"), kind="stable") / n
    rank = np.argsort(np.argsort(prognosis + 0.35 * rng.normal(size=n), kind="stable"), kind="stable")
    return rank * sites // n


def _tissue_samples(ids: NDArray[np.object_], rng: Generator) -> dict[str, _Samples]:
    """Biopsies before treatment: what could be assayed depends on one adequacy per patient, shared by the assays."""
    n = len(ids)
    adequacy = rng.normal(size=n)
    biopsy_day = -rng.integers(5, 29, n)
    out = {}
    for assay, share in TISSUE_SHARE.items():
        quality = 0.85 * adequacy + np.sqrt(1 - 0.85**2) * rng.normal(size=n)
        passed = quality > NormalDist().inv_cdf(1 - share)
        patient = np.flatnonzero(quality > NormalDist().inv_cdf(1 - share - FAILED_SHARE))
        out[assay] = _Samples(
            assay=assay,
            specimen="tissue",
            ids=np.array([f"{ids[i]}-{TISSUE_SUFFIX[assay]}" for i in patient], dtype=object),
            patient=patient,
            day=biopsy_day[patient],
            available_day=np.zeros(len(patient), dtype=np.int64),
            batch=np.array(assays.BATCHES, dtype=object)[rng.integers(0, 2, len(patient))],
            passed=passed[patient],
        )
    return out


def _blood_samples(
    assay: str, specimen: str, suffix: str, ids: NDArray[np.object_], day: FloatArray, taken: BoolArray
) -> _Samples:
    """One sample for every draw taken, in the order of `taken` read row by row, numbered by draw."""
    patient, number = np.nonzero(taken)
    when = day[taken].astype(np.int64)
    return _Samples(
        assay=assay,
        specimen=specimen,
        ids=np.array([f"{ids[i]}-{suffix}{k:02d}" for i, k in zip(patient, number, strict=True)], dtype=object),
        patient=patient,
        day=when,
        available_day=when,
        batch=np.full(len(patient), assays.BATCHES[0], dtype=object),
        passed=np.ones(len(patient), dtype=np.bool_),
    )


def _patients_table(ids: NDArray[np.object_], latents: Latents, site: NDArray[np.int64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": ids,
            "site": np.array([f"S{k + 1}" for k in site], dtype=object),
            "stage": np.where(latents.extensive, "ES", "LS"),
            "age": np.round(latents.age).astype(np.int64),
            "sex": np.where(latents.male, "male", "female"),
            "ecog": latents.ecog1.astype(np.int64),
            "smoking": np.where(latents.ever_smoker, "ever", "never"),
            "liver_metastasis": latents.liver.astype(np.int64),
            "brain_metastasis": latents.brain.astype(np.int64),
            "sld_mm": np.round(latents.sld, 1),
            "ldh": np.round(blood.baseline_ldh(latents), 0),
        }
    )


def _outcomes_table(ids: NDArray[np.object_], course: Course) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "patient_id": ids,
            "os_days": course.os_days.astype(np.int64),
            "os_event": course.os_event.astype(np.int64),
            "pfs_days": course.pfs_days.astype(np.int64),
            "pfs_event": course.pfs_event.astype(np.int64),
            "response": np.array(RESPONSES, dtype=object)[course.response],
            "response_day": pd.array(course.response_day, dtype="Float64").astype("Int64"),
        }
    )


def _lesions_table(ids: NDArray[np.object_], course: Course, rng: Generator) -> pd.DataFrame:
    """Target lesions of every scan made, and a row for each scan that shows a new lesion."""
    scans = np.arange(len(SCAN_WEEKS)) < course.num_scans[:, None]
    lesions = np.arange(course.diameters.shape[2]) < course.num_lesions[:, None]
    patient, scan, lesion = np.nonzero(scans[:, :, None] & lesions[:, None, :])
    targets = pd.DataFrame(
        {
            "patient_id": ids[patient],
            "scan_day": 7 * SCAN_WEEKS[scan],
            "lesion_id": np.array([f"T{k + 1}" for k in range(course.diameters.shape[2])], dtype=object)[lesion],
            "target": 1,
            "diameter_mm": course.diameters[patient, scan, lesion] / 10,
            "nodal": course.nodal[patient, lesion].astype(np.int64),
            "new_lesion": 0,
        }
    )
    patient, scan = np.nonzero(scans & course.new_lesion)
    new = pd.DataFrame(
        {
            "patient_id": ids[patient],
            "scan_day": 7 * SCAN_WEEKS[scan],
            "lesion_id": "N1",
            "target": 0,
            "diameter_mm": np.round(rng.uniform(6, 20, len(patient)), 1),
            "nodal": 0,
            "new_lesion": 1,
        }
    )
    return pd.concat([targets, new]).sort_values(["patient_id", "scan_day", "lesion_id"], kind="stable")


def _cohort_yaml(preset: str, patients: int, seed: int, patch_dim: int) -> str:
    return f"""\
name: simulated-sclc-{preset}
schema: 1
description: >-
  SIMULATED. {patients} small-cell lung cancer patients that never were (preset {preset}, seed {seed}); the truth
  behind them lies in truth/.
licence: CC0-1.0
simulated: true
endpoints: [os, pfs]
variants: {{target_mb: {TARGET_MB:g}, genome: GRCh38}}
expression: {{unit: counts}}
methylation: {{unit: beta}}
histology: {{encoder: simulated, dim: {patch_dim}}}
plasma: {{lod: {blood.DETECTION_LIMIT:g}}}
labs: {{units: {{progrp: pg/mL, nse: ng/mL, ldh: U/L, albumin: g/L}}}}
"""


def _write_csv(table: pd.DataFrame, path: Path, sep: str = ",", first_line: str = "") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(first_line)
        table.to_csv(file, sep=sep, index=False, lineterminator="\n")


def _write_matrix(
    path: Path, key: str, names: Iterable[str], sample_ids: NDArray[np.object_], values_SF: NDArray[Any]
) -> None:
    """One row per gene or region, one column per sample: arrow writes no pandas version into the file."""
    table = pa.table([pa.array(names, pa.string()), *values_SF], names=[key, *sample_ids])
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def _write_table(table: pd.DataFrame, path: Path) -> None:
    columns = [pa.array(table[column].to_numpy()) for column in table]
    pq.write_table(pa.table(columns, names=list(table)), path, compression="zstd")


def _write_slides(
    folder: Path,
    samples: _Samples,
    shares: FloatArray,
    site: NDArray[np.int64],
    sites: int,
    patch_dim: int,
    rng: Generator,
) -> pd.DataFrame:
    """Write one h5 for each slide and return the true label of every patch."""
    folder.mkdir()
    labels: list[NDArray[np.int8]] = []
    for sample_id, patient in zip(samples.ids, samples.patient, strict=True):
        drawn = assays.slide(shares=shares[patient], site=int(site[patient]), sites=sites, patch_dim=patch_dim, rng=rng)
        with h5py.File(folder / f"{sample_id}.h5", "w") as file:
            file.create_dataset("features", data=drawn.features, track_times=False)
            file.create_dataset("coords", data=drawn.coords, track_times=False)
        labels.append(drawn.labels)
    count = [len(label) for label in labels]
    return pd.DataFrame(
        {
            "sample_id": np.repeat(samples.ids, count),
            "patch": np.concatenate([np.arange(c) for c in count]),
            "label": np.concatenate(labels).astype(np.int64),
        }
    )


def _write_truth(
    folder: Path,
    *,
    ids: NDArray[np.object_],
    latents: Latents,
    course: Course,
    site: NDArray[np.int64],
    shares: FloatArray,
    labels: pd.DataFrame,
    preset: str,
    rng: Generator,
    settings: Mapping[str, Any],
) -> dict[str, float]:
    """Write latents, oracle scores, patch labels and manifest; return what the oracles score on this cohort."""
    reference = oracle.reference_population(PRESETS[preset])
    cohort = oracle.observe(latents=latents, course=course, rng=rng)
    scores = oracle.oracle_scores(cohort=cohort, reference=reference)
    figures = oracle.oracle_figures(cohort=cohort, scores=scores)

    columns: Iterator[tuple[str, Any]] = (
        (name, np.round(value, 6) if value.dtype == np.float64 else value) for name, value in vars(latents).items()
    )
    table = pd.DataFrame({"patient_id": ids, **dict(columns)})
    table["subtype"] = np.array(SUBTYPES, dtype=object)[latents.subtype]
    table["site"] = site
    for name in ("phi", "kd", "kg", "shed"):
        table[name] = np.round(getattr(course.kinetics, name), 8)
    table["death_day"] = course.death_day
    table["progression_day"] = course.progression_day
    for k, name in enumerate(assays.MORPHOTYPES):
        table[f"share_{name}"] = np.round(shares[:, k], 6)
    _write_table(table, folder / "latents.parquet")
    _write_table(
        pd.DataFrame({"patient_id": ids, **{k: np.round(v, 6) for k, v in scores.items()}}), folder / "oracle.parquet"
    )
    _write_table(labels, folder / "patch_labels.parquet")
    risk_bearing = assays.NEEDLE if PRESETS[preset].interactions else assays.PLEOMORPHIC
    manifest = {
        "simulator": 1,
        "preset": preset,
        **settings,
        "effects": asdict(PRESETS[preset]),
        "morphotypes": list(assays.MORPHOTYPES),
        "risk_bearing_morphotype": risk_bearing,
        "oracle": {name: round(value, 4) if np.isfinite(value) else None for name, value in figures.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return figures
