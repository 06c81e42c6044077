"""Writes a simulated cohort as the raw files of a real study, with its truth in a folder beside them."""

import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from fusion.data.simulator import assays, blood, oracle
from fusion.data.simulator.kinetics import Course, simulate_course
from fusion.data.simulator.latents import PRESETS, SUBTYPES, FloatArray, Latents, draw_latents
from fusion.data.simulator.samples import TISSUE_SHARE, Samples, assign_sites, blood_samples, tissue_samples
from fusion.data.simulator.tables import lesions_table, outcomes_table, patients_table, treatments_table
from fusion.data.simulator.variants import TARGET_MB, variant_table


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
    site = assign_sites(course, sites=sites, confounded=site_confounding, rng=stream("sites"))
    ids = np.array([f"P-{i + 1:04d}" for i in range(patients)], dtype=object)
    draws = blood.draw_blood(
        latents=latents, course=course, preset=rules, informative_visits=informative_visits, rng=stream("draws")
    )
    tissue = tissue_samples(ids, rng=stream("tissue"))
    plasma_taken = blood.plasma_taken(draws, stream("plasma_taken"))
    methylation_taken = plasma_taken & (stream("plasma_methylation_taken").random(plasma_taken.shape) < 0.95)
    labs_taken = draws.taken & (stream("labs_taken").random(draws.day.shape) < 0.97)
    plasma = blood_samples("plasma", "plasma", "CT", ids, draws.day, plasma_taken)
    plasma_methylation = blood_samples("methylation", "plasma", "CM", ids, draws.day, methylation_taken)
    labs = blood_samples("labs", "serum", "LAB", ids, draws.day, labs_taken)
    every = [*tissue.values(), plasma, plasma_methylation, labs]

    purity_rng = stream("purity")
    shared = 0.12 * purity_rng.normal(size=patients)  # the assays read neighbouring cuts of one block
    purity = {
        assay: np.clip(0.68 + shared + 0.05 * purity_rng.normal(size=patients), 0.2, 0.95) for assay in TISSUE_SHARE
    }
    folder = out.with_name(f".{out.name}.partial-{os.getpid()}")
    (folder / "truth").mkdir(parents=True)
    try:
        (folder / "cohort.yaml").write_text(_cohort_yaml(preset, patients, seed, patch_dim))
        _write_csv(patients_table(ids, latents, site), folder / "patients.csv")
        _write_csv(outcomes_table(ids, course), folder / "outcomes.csv")
        _write_csv(pd.concat([s.frame(ids) for s in every]).sort_values("sample_id"), folder / "samples.csv")
        _write_csv(lesions_table(ids, course, stream("lesions")), folder / "lesions.csv")
        _write_csv(treatments_table(ids, latents, course), folder / "treatments.csv")
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
    samples: Samples,
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

    columns = {
        name: np.round(value, 6) if value.dtype == np.float64 else value for name, value in vars(latents).items()
    }
    table = pd.DataFrame({"patient_id": ids, **columns})
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
