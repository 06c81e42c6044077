"""Who is trained on, who stops the training, who is held out: patient-level splits of a cohort.

Patients are shuffled by a hash of seed and id, not by a random stream, so that a split depends on neither the order
of the patients in the file, nor the machine, nor the version of a library.
"""

import csv
import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from fusion.data.cohort import Cohort

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """One fold of one repeat: three disjoint sets of patient ids, each sorted."""

    repeat: int
    fold: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Splitter(ABC):
    """What all ways to split share: how the validation part is drawn from the training part, and the strata.

    Attributes:
        val_fraction: Share of the patients outside the test part that are set aside for early stopping.
        seed: Another seed gives another shuffle.
        endpoint: Parts are balanced by the event of this endpoint, or of the cohort's first if it lacks this one.
        covariates: Then by these baseline covariates, as far as the cohort has them; numbers are cut at tertiles.
    """

    val_fraction: float = 0.2
    seed: int = 0
    endpoint: str = "os"
    covariates: Sequence[str] = ("stage",)

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"val_fraction is {self.val_fraction}; choose a value from 0 up to, not including, 1")

    @abstractmethod
    def __call__(self, cohort: Cohort) -> list[Split]:
        """Split the patients of a cohort; the same cohort always gets the same splits."""

    def _ordered(self, cohort: Cohort, patients: Iterable[str], salt: str) -> list[str]:
        """Patients stratum by stratum, shuffled inside each.

        Taking every k-th of this list is a stratified draw: parts differ by at most one patient in every stratum,
        and a stratum too small to be dealt out is merged with its neighbours without any threshold.
        """
        strata = _strata(cohort, self.endpoint, self.covariates)
        shuffle = {p: hashlib.sha256(f"{self.seed}/{salt}/{p}".encode()).hexdigest() for p in patients}
        return sorted(shuffle, key=lambda patient: (strata[patient], shuffle[patient]))

    def everyone(self, cohort: Cohort) -> Split:
        """All patients and nobody held out: for the final model, which is used on new patients and never scored."""
        return self._parts(cohort, 0, 0, set(), salt="final")

    def _split(self, cohort: Cohort, repeat: int, fold: int, test: Iterable[str]) -> Split:
        split = self._parts(cohort, repeat, fold, set(test), salt=f"val/{repeat}/{fold}")
        if not split.test or not split.train:
            raise ValueError(
                f"repeat {repeat}, fold {fold} has {len(split.train)} training, {len(split.val)} validation and "
                f"{len(split.test)} test patients of {cohort.num_patients}: lower `val_fraction`, or choose another "
                "way to split"
            )
        return split

    def _parts(self, cohort: Cohort, repeat: int, fold: int, test: set[str], salt: str) -> Split:
        rest = [patient for patient in cohort.patient_ids if patient not in test]
        val = set(_every_nth(self._ordered(cohort, rest, salt), self.val_fraction))
        train = tuple(sorted(set(rest) - val))
        return Split(repeat=repeat, fold=fold, train=train, val=tuple(sorted(val)), test=tuple(sorted(test)))


@dataclass(frozen=True, kw_only=True)
class StratifiedKFold(Splitter):
    """Repeated cross-validation: every patient is held out once per repeat."""

    folds: int = 5
    repeats: int = 2

    def __call__(self, cohort: Cohort) -> list[Split]:
        """Return `repeats * folds` splits, by repeat and fold."""
        if self.folds < 2 or self.repeats < 1:
            raise ValueError(f"folds={self.folds}, repeats={self.repeats}: at least 2 folds and 1 repeat are needed")
        if cohort.num_patients < 2 * self.folds:
            raise ValueError(
                f"{cohort.num_patients} patients are too few for {self.folds} folds of 2 or more: lower `folds` to "
                f"{max(2, cohort.num_patients // 2)} or add patients (at least 4 are needed)"
            )
        splits = []
        for repeat in range(self.repeats):
            ordered = self._ordered(cohort, cohort.patient_ids, f"fold/{repeat}")
            splits += [self._split(cohort, repeat, fold, ordered[fold :: self.folds]) for fold in range(self.folds)]
        return splits


@dataclass(frozen=True, kw_only=True)
class Subsampling(Splitter):
    """Bootstrap for the .632+ estimator: every repeat trains on .632 of the patients and tests on the others.

    The share is that of distinct patients in a bootstrap sample. They are drawn without replacement: a patient drawn
    twice would stand on both sides of the inner folds, and copies make any tuning choose too complex a model (Binder
    & Schumacher, Stat Appl Genet Mol Biol 2008).
    """

    repeats: int = 25
    test_fraction: float = 0.368

    def __call__(self, cohort: Cohort) -> list[Split]:
        """Return `repeats` splits, each the only fold of its repeat."""
        if self.repeats < 1:
            raise ValueError(f"repeats={self.repeats}: at least 1 is needed")
        fraction = _checked_fraction(self.test_fraction)
        orders = [self._ordered(cohort, cohort.patient_ids, f"subsample/{repeat}") for repeat in range(self.repeats)]
        return [self._split(cohort, repeat, 0, _every_nth(order, fraction)) for repeat, order in enumerate(orders)]


@dataclass(frozen=True, kw_only=True)
class SiteHeldOut(Splitter):
    """Leave one site out: every fold tests on all patients of one site, the nearest thing to external validation."""

    column: str = "site"

    def __call__(self, cohort: Cohort) -> list[Split]:
        """Return one split per site, in order of the names of the sites."""
        sites = _column(cohort, self.column)
        names = sorted({str(site) for site in sites})
        if len(names) < 2:
            raise ValueError(f"column {self.column!r} has one site only, {names}: use StratifiedKFold")
        tests = [[p for p, site in zip(cohort.patient_ids, sites, strict=True) if str(site) == name] for name in names]
        return [self._split(cohort, 0, fold, test) for fold, test in enumerate(tests)]


@dataclass(frozen=True, kw_only=True)
class UserSplits(Splitter):
    """The folds of the cohort's own splits.csv: in every repeat, each fold is the test part once."""

    def __call__(self, cohort: Cohort) -> list[Split]:
        """Return one split per repeat and fold of the table."""
        if cohort.splits is None:
            raise ValueError("the cohort has no splits.csv (patient_id, repeat, fold); add it or use StratifiedKFold")
        table = cohort.splits[cohort.splits["patient_id"].isin(cohort.patient_ids)]
        splits = []
        for repeat, rows in table.groupby("repeat", sort=True):
            patients = rows["patient_id"].astype(str)
            missing = sorted(set(cohort.patient_ids) - set(patients))
            if missing or patients.duplicated().any():
                wrong = missing or sorted(set(patients[patients.duplicated()]))
                raise ValueError(
                    f"splits.csv, repeat {repeat}: patients {wrong[:5]} ({len(wrong)} in all) have "
                    f"{'no fold' if missing else 'more than one row'}; give every patient exactly one fold per repeat"
                )
            if rows["fold"].nunique() < 2:
                raise ValueError(f"splits.csv, repeat {repeat} has a single fold; at least 2 are needed")
            for fold, part in rows.groupby("fold", sort=True):
                splits.append(self._split(cohort, int(repeat), int(fold), part["patient_id"].astype(str)))
        return splits


@dataclass(frozen=True, kw_only=True)
class HoldOut(Splitter):
    """A single test part: a stratified fraction of the patients, or the patients named."""

    test_fraction: float | None = None
    test_ids: Sequence[str] | None = None

    def __call__(self, cohort: Cohort) -> list[Split]:
        """Return one split."""
        if (self.test_fraction is None) == (self.test_ids is None):
            raise ValueError("HoldOut takes either `test_fraction` or `test_ids`; give exactly one")
        if self.test_ids is not None:
            unknown = sorted(set(self.test_ids) - set(cohort.patient_ids))
            if unknown:
                raise ValueError(f"test_ids {unknown[:5]} ({len(unknown)} in all) are no patients of this cohort")
            return [self._split(cohort, 0, 0, self.test_ids)]
        ordered = self._ordered(cohort, cohort.patient_ids, "test")
        return [self._split(cohort, 0, 0, _every_nth(ordered, _checked_fraction(self.test_fraction)))]


@dataclass(frozen=True, kw_only=True)
class Temporal(Splitter):
    """Train on the patients enrolled first, test on those enrolled last, as a model meets patients in use.

    Patients with the same value of `column` (a year, say) stay on one side: the test part may exceed the fraction.
    """

    column: str = "enrolment"
    test_fraction: float = 0.2

    def __call__(self, cohort: Cohort) -> list[Split]:
        """Return one split."""
        values = [float(value) for value in _column(cohort, self.column)]
        size = max(1, round(len(values) * _checked_fraction(self.test_fraction)))
        first = sorted(values)[-size]
        late = [patient for patient, value in zip(cohort.patient_ids, values, strict=True) if value >= first]
        return [self._split(cohort, 0, 0, late)]


def write_splits(splits: Iterable[Split], path: Path) -> None:
    """Write splits as a CSV with the columns `repeat`, `fold`, `patient_id`, `part`."""
    Path(path).write_text(_as_csv(splits), encoding="utf-8", newline="\n")


def read_splits(path: Path) -> list[Split]:
    """Read what `write_splits` wrote."""
    parts: dict[tuple[int, int], dict[str, list[str]]] = {}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["part"] not in PARTS:
                raise ValueError(f"{path}: part {row['part']!r} of patient {row['patient_id']} is none of {PARTS}")
            fold = parts.setdefault((int(row["repeat"]), int(row["fold"])), {part: [] for part in PARTS})
            fold[row["part"]].append(row["patient_id"])
    return [
        Split(repeat=repeat, fold=fold, **{part: tuple(sorted(ids)) for part, ids in found.items()})
        for (repeat, fold), found in sorted(parts.items())
    ]


def split_hash(splits: Iterable[Split]) -> str:
    """SHA-256 of the splits: equal if and only if every patient is in the same part of every fold."""
    return hashlib.sha256(_as_csv(splits).encode()).hexdigest()


def _as_csv(splits: Iterable[Split]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["repeat", "fold", "patient_id", "part"])
    for split in sorted(splits, key=lambda split: (split.repeat, split.fold)):
        part_of = {patient: part for part in PARTS for patient in getattr(split, part)}
        writer.writerows([split.repeat, split.fold, patient, part] for patient, part in sorted(part_of.items()))
    return text.getvalue()


def _every_nth(ordered: Sequence[str], fraction: float) -> list[str]:
    """A share of a list (at least one item unless the share is 0), at even steps."""
    size = max(1, round(len(ordered) * fraction)) if fraction > 0 and ordered else 0
    return [item for i, item in enumerate(ordered) if (i + 1) * size // len(ordered) > i * size // len(ordered)]


def _checked_fraction(fraction: float | None) -> float:
    if fraction is None or not 0 < fraction < 1:
        raise ValueError(f"test_fraction is {fraction}; choose a value between 0 and 1")
    return fraction


def _column(cohort: Cohort, column: str) -> "pd.Series[str]":
    if column not in cohort.patients:
        raise ValueError(f"patients.csv has no column {column!r}, only {list(cohort.patients)}: name it by `column`")
    values = cohort.patients[column]
    if values.isna().any():
        missing = list(values.index[values.isna()])
        raise ValueError(f"column {column!r} is blank for {missing[:5]} ({len(missing)} in all): fill it in")
    return values


def _strata(cohort: Cohort, endpoint: str, covariates: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Event, then covariates, as text per patient; a blank is a class of its own."""
    endpoints = [name for name in (endpoint, *cohort.endpoints) if f"{name}_event" in cohort.outcomes][:1]
    columns = [_classes(cohort.outcomes[f"{name}_event"].astype(object)) for name in endpoints]
    columns += [_classes(cohort.patients[name]) for name in covariates if name in cohort.patients]
    return {patient: tuple(column[i] for column in columns) for i, patient in enumerate(cohort.patient_ids)}


def _classes(values: "pd.Series[str]", most: int = 5) -> list[str]:
    """Values as text; numbers of more than `most` different values are cut at tertiles."""
    known = sorted(values.dropna().tolist(), key=str)
    if pd.api.types.is_numeric_dtype(values) and len(set(known)) > most:
        known.sort()
        cuts = (known[len(known) // 3], known[2 * len(known) // 3])
        return ["" if pd.isna(value) else str(sum(value >= cut for cut in cuts)) for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]
