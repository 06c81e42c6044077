"""Rule 11: the same specimen, or the same patient, under two ids on both sides of a split.

Dimension key: S samples, G features.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from fusion.audit.finding import Finding, judged
from fusion.data.bags import find_bag, sample_rows
from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.histology import Histology
from fusion.data.modalities.matrix import MatrixModality, MatrixTable
from fusion.data.modalities.serial_table import SerialTable
from fusion.data.modalities.variants import Variants
from fusion.data.tables import find_table, read_maf

Floats = NDArray[np.float64]
#: Profiles of so many features, the most variable, are compared, so many samples at a time.
FEATURES, BLOCK = 1000, 512
#: A profile of fewer features is none; features blank in a larger share of the samples are left out.
FEWEST_FEATURES, MOST_BLANK = 10, 0.5
#: Two profiles are alike above this correlation, if different patients lie at least so many spreads below it.
ALIKE, SPREADS = 0.95, 8.0
#: What fewer patients share counts as rare, and so many rare things together are no chance.
RARE, SHARED = 3, 3
#: Of their variants two samples of one tumour share at least this part.
SHARED_PART = 0.5
#: Patches that are compared of a slide.
PATCHES = 48
VARIANT_KEY = ("Hugo_Symbol", "Chromosome", "Start_Position", "HGVSp_Short", "Tumor_Seq_Allele2")


@dataclass(frozen=True)
class Pair:
    """Two patients with data alike."""

    one: str
    other: str
    what: str


def no_duplicates_across_parts(
    cohort: Cohort, modalities: Mapping[str, Modality], tables: Mapping[str, object], splits: pd.DataFrame
) -> Finding:
    """Look for pairs of patients whose data are too alike, and for folds that have one on each side.

    Args:
        cohort: The cohort.
        modalities: Those of the run.
        tables: Table of every modality.
        splits: `splits.csv` of the run.
    """
    rule = "Rule 11: no specimen is on both sides under two ids"
    pairs = [
        pair
        for name, modality in modalities.items()
        if tables[name] is not None
        for pair in _pairs(cohort, modality, tables[name])
    ]
    test = (
        splits[splits["part"] == "test"]
        .groupby("patient_id")[["repeat", "fold"]]
        .apply(lambda rows: frozenset(map(tuple, rows.to_numpy().tolist())))
    )
    apart = [pair for pair in pairs if test.get(pair.one, frozenset()) != test.get(pair.other, frozenset())]
    remedy = "find out which id is right and remove the other; then train anew"
    if apart or not pairs:
        faults = [f"{pair.one} and {pair.other}: {pair.what}" for pair in apart]
        good = f"{cohort.num_patients} patients compared in {', '.join(modalities)}: no two alike"
        return judged(rule, faults, good, remedy)
    text = [f"{pair.one} and {pair.other}: {pair.what}, always in the same part" for pair in pairs]
    return judged(rule, text, "", remedy, bad="warn")


def _pairs(cohort: Cohort, modality: Modality, table: object) -> Iterator[Pair]:
    """Pairs of patients alike in one modality; none of a kind of data that is not known here."""
    placement = modality.placement(cohort)
    owner = dict(zip(placement["sample_id"], placement["patient_id"], strict=True))
    if isinstance(modality, MatrixModality) and isinstance(table, MatrixTable):
        first = placement.drop_duplicates("patient_id")  # a patient twice has the first sample twice
        found = alike_profiles(table.take(list(first["sample_id"]), table.matrix.features))
        ids = first["patient_id"].to_list()
        for i, j, correlation in found:
            yield Pair(ids[i], ids[j], f"{modality.name} profiles with correlation {correlation:.4f}")
    elif isinstance(modality, Variants):
        yield from _alike_variants(cohort.folder, modality.name, owner)
    elif isinstance(modality, Histology):
        yield from _same_slides(cohort.folder / modality.assay, modality.name, owner)
    elif isinstance(modality, Clinical):
        yield from _same_rows(cohort.patients, modality.name, {patient: patient for patient in cohort.patient_ids})
    elif isinstance(modality, SerialTable):
        values = table.values  # type: ignore[attr-defined]
        yield from _same_rows(values, modality.name, owner)


def alike_profiles(values: Floats) -> list[tuple[int, int, float]]:
    """Pairs of rows "S G" whose correlation stands far above that of all others, in blocks of O(S) memory.

    Values are ranked within a sample, so that the depth of sequencing makes no difference, and standardised over the
    samples: what all samples have in common makes none alike.
    """
    values = values[:, np.isnan(values).mean(axis=0) <= MOST_BLANK]
    if len(values) < 3 or values.shape[1] < FEWEST_FEATURES:
        return []
    ranks = rankdata(values, axis=1, nan_policy="omit")
    spread = np.nanstd(ranks, axis=0)
    variable = np.argsort(-spread, kind="stable")[: min(FEATURES, int((spread > 0).sum()))]
    if len(variable) < FEWEST_FEATURES:
        return []
    profile = np.nan_to_num((ranks - np.nanmean(ranks, axis=0)) / np.where(spread > 0, spread, 1.0))[:, variable]
    profile -= profile.mean(axis=1, keepdims=True)
    size = np.linalg.norm(profile, axis=1, keepdims=True)
    profile = np.divide(profile, size, out=np.zeros_like(profile), where=size > 0)
    found, others = [], []
    for start in range(0, len(profile), BLOCK):
        correlation = profile[start : start + BLOCK] @ profile.T
        later = np.arange(len(profile)) > np.arange(start, start + len(correlation))[:, None]
        others.append(np.quantile(correlation[later], (0.5, 0.84)) if later.any() else (0.0, 0.0))
        place = np.argwhere(later & (correlation > ALIKE))
        found += [(start + int(i), int(j), float(correlation[i, j])) for i, j in place]
    middle, upper = np.median(np.asarray(others), axis=0)
    enough = middle + SPREADS * max(upper - middle, 1e-3)
    return [pair for pair in found if pair[2] > min(enough, 0.999)]


def _alike_variants(folder: Path, name: str, owner: Mapping[str, str]) -> Iterator[Pair]:
    """Patients who share several variants that hardly anybody else has, and most of all they have."""
    path = find_table(folder, "variants")
    maf = read_maf(path) if path is not None else pd.DataFrame()
    columns = [column for column in VARIANT_KEY if column in maf]
    if not {"Start_Position", "HGVSp_Short"} & set(columns):
        return  # a gene alone says little: two tumours often have the same ones
    maf = maf[maf["Tumor_Sample_Barcode"].isin(owner)]
    patient = maf["Tumor_Sample_Barcode"].map(owner)
    variants = maf[columns].astype(str).agg("|".join, axis=1)
    items = pd.DataFrame({"patient": patient, "item": variants}).drop_duplicates()
    total = items["patient"].value_counts()
    for (one, other), shared in _sharing_rare(items).items():
        part = shared / min(total[one], total[other])
        if shared >= SHARED and part >= SHARED_PART:
            yield Pair(one, other, f"{shared} rare {name} in common, {part:.0%} of all")


def _sharing_rare(items: pd.DataFrame) -> Counter[tuple[str, str]]:
    """Number of rare items that each pair of patients has in common."""
    counts = items["item"].map(items["item"].value_counts())
    rare = items[(counts >= 2) & (counts <= RARE)]
    shared: Counter[tuple[str, str]] = Counter()
    for _, patients in rare.groupby("item")["patient"]:
        shared.update(combinations(sorted(patients), 2))
    return shared


def _same_slides(folder: Path, name: str, owner: Mapping[str, str]) -> Iterator[Pair]:
    """Slides with the same patches."""
    hashes: dict[str, str] = {}
    for sample, patient in owner.items():
        path = find_bag(folder, sample)
        rows = sample_rows(path, PATCHES) if path is not None else np.empty((0, 0))
        if rows.size:
            digest = hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()
            before = hashes.setdefault(digest, patient)
            if before != patient:
                yield Pair(before, patient, f"{name} slides with the same patches")


def _same_rows(table: pd.DataFrame, name: str, owner: Mapping[str, str]) -> Iterator[Pair]:
    """Rows equal in every column, in at least three of which they have a value that hardly anybody else has."""
    text = table[table.index.isin(owner)].astype(object).astype(str)
    patients = text.index.map(owner)
    rare = pd.DataFrame({column: text[column].map(text[column].value_counts()) <= RARE for column in text})
    keys = text.agg("|".join, axis=1)[rare.sum(axis=1) >= SHARED] if len(text.columns) else pd.Series(dtype=object)
    seen: dict[str, str] = {}
    for key, patient in zip(keys, patients[text.index.isin(keys.index)], strict=True):
        before = seen.setdefault(key, patient)
        if before != patient:
            yield Pair(before, patient, f"{name} rows equal in all {len(text.columns)} columns")
