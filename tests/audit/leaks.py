"""Parts that leak on purpose: what every rule against leakage forbids, for the tests of the audit."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fusion.data.cohort import Cohort
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.serial_table import SerialData
from fusion.models.temporal.continuous_decay import ContinuousDecay

#: Files of a simulated cohort with a row per sample or patient.
TABLES = {"patients": "patient_id", "outcomes": "patient_id", "samples": "patient_id"}


class LooksAhead(ContinuousDecay):
    """Every visit sees the mean of all visits, later ones included."""

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        return super().forward(visits + visits.mean(dim=1, keepdim=True), day, mask)


class ReadsNextGap(ContinuousDecay):
    """Every visit knows how many days pass until the next one."""

    def forward(
        self, visits: Float[Tensor, "B T D"], day: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B T D"]:
        gap = torch.diff(day, dim=1, append=day[:, -1:])
        return super().forward(visits + torch.log1p(gap)[..., None], day, mask)


class LabsOfEverybody(Labs):
    """Labs that are scaled by all patients of the file."""

    def fit(self, table: SerialData, sample_ids: Sequence[str]) -> None:
        super().fit(table, list(table.values.index))


class LabsLookingAhead(Labs):
    """Labs beside which the last value of the patient stands, from the first visit on."""

    def _encode(self, table: SerialData, sample_ids: Sequence[str]) -> pd.DataFrame:
        first = next(iter(self._analytes))
        last = table.values[first].groupby(table.course).last()
        own = super()._encode(table, sample_ids)
        return own.assign(**{first: own[first] + last.loc[table.course.loc[own.index]].fillna(0).to_numpy()})


class ClinicalWithOutcome(Clinical):
    """Baseline covariates with the survival time among them."""

    def load(self, cohort: Cohort) -> pd.DataFrame:
        return super().load(cohort).assign(marker=cohort.outcomes["os_days"])


def with_column(source: Path, target: Path, stem: str, **columns: object) -> Path:
    """A copy of a cohort folder with further columns in one of its CSV tables."""
    shutil.copytree(source, target)
    table = pd.read_csv(target / f"{stem}.csv")
    table.assign(**columns).to_csv(target / f"{stem}.csv", index=False)
    return target


def with_twin(source: Path, target: Path, patient: str, twin: str, kinds: set[str]) -> Path:
    """A copy of a cohort folder in which a patient has a twin: other outcomes, but the same data of these kinds."""
    shutil.copytree(source, target)
    tables = {path.stem: pd.read_csv(path) for path in target.glob("*.csv")}
    samples = tables["samples"]
    mine = samples[(samples["patient_id"] == patient) & samples["modality"].isin(kinds)]
    names = {sample: sample.replace(patient, twin) for sample in mine["sample_id"]}
    rng = np.random.default_rng(0)
    for stem, table in tables.items():
        if stem == "samples":
            rows = mine.assign(sample_id=mine["sample_id"].map(names), patient_id=twin)
        elif "sample_id" in table:
            rows = table[table["sample_id"].isin(names)]
            rows = rows.assign(sample_id=rows["sample_id"].map(names))
        else:
            rows = table[table["patient_id"] == patient].assign(patient_id=twin)
            if stem == "patients" and "clinical" not in kinds:
                rows = rows.assign(age=rng.integers(50, 80), sld_mm=99.9, ldh=rng.integers(150, 400))
        pd.concat([table, rows]).to_csv(target / f"{stem}.csv", index=False)
    for path in target.glob("*.parquet"):
        table = pd.read_parquet(path)
        twins = {names[sample]: table[sample] for sample in table if sample in names}
        table.assign(**twins).to_parquet(path)
    text = (target / "variants.maf").read_text().splitlines(keepends=True)
    copies = [line.replace(patient, twin) for line in text if f"{patient}-WES" in line and f"{patient}-WES" in names]
    (target / "variants.maf").write_text("".join([*text, *copies]))
    for sample, name in names.items():
        bag = target / "histology" / f"{sample}.h5"
        if bag.exists():
            shutil.copy(bag, bag.with_name(f"{name}.h5"))
    return target
