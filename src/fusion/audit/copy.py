"""Copies of a cohort that differ from it in what an audit wants to change: fewer patients, or another future."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fusion.data.cohort import Cohort
from fusion.data.formats import suffix_of
from fusion.data.tables import (
    FEATURE_COLUMN,
    MAF_SUFFIXES,
    SUFFIXES,
    Matrix,
    find_table,
    read_maf,
    read_matrix,
    read_table,
)

SAMPLE_OF_VARIANT = "Tumor_Sample_Barcode"


def copy_without(cohort: Cohort, left_out: Collection[str], target: Path) -> Path:
    """Write the files of a cohort anew without some patients: no row, column or bag of theirs is left.

    Numbers may be rounded on the way; compare copies with copies. `splits.csv` and the truth of a simulation stay
    behind.

    Args:
        cohort: The cohort.
        left_out: Patients.
        target: Folder to be made.
    """
    source = cohort.folder
    samples = read_table(_found(source, "samples"))
    gone = {*left_out, *samples.loc[samples["patient_id"].isin(set(left_out)), "sample_id"]}
    target.mkdir(parents=True)
    for assay in FEATURE_COLUMN:
        if (path := find_table(source, assay)) is not None:
            _write_matrix(read_matrix(path, assay), gone, FEATURE_COLUMN[assay], target / f"{assay}.parquet")
    for path in sorted(source.iterdir()):
        stem = path.name.split(".")[0]
        if path.is_dir() and path.name != "truth":
            (target / path.name).mkdir()
            for bag in path.iterdir():
                if bag.stem not in gone:
                    (target / path.name / bag.name).symlink_to(bag.resolve())
        elif not path.is_file() or stem == "splits" or stem in FEATURE_COLUMN:
            continue
        elif path.name.endswith(MAF_SUFFIXES):
            maf = read_maf(path)
            maf[~maf[SAMPLE_OF_VARIANT].isin(gone)].to_csv(target / "variants.maf", sep="\t", index=False)
        elif path.name.endswith(SUFFIXES):
            _kept(read_table(path), gone).to_csv(target / f"{stem}.csv", index=False)
        elif suffix_of(path) != ".h5mu":
            (target / path.name).symlink_to(path.resolve())
    return target


def _found(folder: Path, stem: str) -> Path:
    path = find_table(folder, stem)
    if path is None:
        raise ValueError(f"{folder} has no {stem} table; give the cohort folder of the run as data.path=DIR")
    return path


def _write_matrix(matrix: Matrix, gone: Collection[str], first: str, path: Path) -> None:
    kept = [i for i, sample in enumerate(matrix.sample_ids) if sample not in gone]
    table = pd.DataFrame(matrix.values[kept].T, columns=[matrix.sample_ids[i] for i in kept])
    table.insert(0, first, list(matrix.features))
    table.to_parquet(path)


def _kept(table: pd.DataFrame, gone: Collection[str]) -> pd.DataFrame:
    """Without the rows, or else the columns, of whoever is gone."""
    for key in ("sample_id", "patient_id"):
        if key in table:
            return table[~table[key].isin(set(gone))]
    return table[[column for column in table if column not in gone]]


def with_other_samples(cohort: Cohort, after: float) -> Cohort:
    """Every sample that became known after a day is another patient's sample of the same assay, at the same visit."""
    samples = cohort.samples
    names = samples.index.to_numpy(dtype=object, copy=True)
    later = (samples["available_day"] > after).to_numpy()
    for _, rows in samples.reset_index(drop=True)[later].groupby(["modality", "specimen"]):
        place = rows.index.to_numpy()
        names[place] = np.roll(names[place], len(place) // 2)
    return replace(cohort, samples=samples.set_axis(pd.Index(names, name=samples.index.name)))


def with_later_visits(cohort: Cohort, after: float, days: float) -> Cohort:
    """Every visit after a day, and what became known then, comes some days later."""
    visits, samples = cohort.visits.copy(), cohort.samples.copy()
    visits.loc[visits["day"] > after, "day"] += days
    later = samples["available_day"] > after
    samples.loc[later, ["day", "available_day"]] += days
    return replace(cohort, visits=visits, samples=samples)


def without_later_visits(cohort: Cohort, after: float) -> Cohort:
    """Nothing that was seen or became known after a day."""
    return replace(
        cohort,
        visits=cohort.visits[cohort.visits["day"] <= after],
        samples=cohort.samples[cohort.samples["available_day"] <= after],
    )
