"""Gene expression: counts or TPM to log scale, variable genes, standardised, principal components."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusion.data.modalities.base import FittedState
from fusion.data.modalities.matrix import Floats, MatrixModality, MatrixTable, extended

UNITS = ("counts", "tpm", "log")


class Expression(MatrixModality):
    """Bulk RNA: log2 counts per million (or what cohort.yaml names under `expression: {unit: ...}`).

    A sample's library is counted over the genes that the training cohort has and, where another cohort lacks some,
    brought up to size by their share of the training libraries. Extra genes thus change nothing, and a smaller panel
    is not read as a rise of everything that is on it.

    Args:
        name: Name in the config.
        assay: Value of `modality` in samples.csv.
        specimen: Only samples of this specimen.
        num_genes: Most variable genes kept.
        components: Principal components given to the network, or None for the genes themselves.
        summary_components: Principal components given to the plain baselines.
        center_batches: Subtract each training batch's own mean.
        gene_sets: GMT or JSON file of named gene sets; the mean of each over its genes joins the summary.
    """

    def __init__(
        self,
        name: str = "expression",
        assay: str = "expression",
        specimen: str | None = None,
        num_genes: int = 1000,
        components: int | None = 8,
        summary_components: int = 8,
        center_batches: bool = False,
        gene_sets: str | None = None,
    ) -> None:
        super().__init__(
            name=name,
            assay=assay,
            specimen=specimen,
            num_selected=num_genes,
            components=components,
            summary_components=summary_components,
            max_missing=0.2,
            center_batches=center_batches,
        )
        self._gene_sets = read_gene_sets(Path(gene_sets)) if gene_sets else {}
        self._library_genes: tuple[str, ...]
        self._library_share: Floats
        self._unit: str

    def _required_features(self) -> frozenset[str]:
        return frozenset(gene for genes in self._gene_sets.values() for gene in genes)

    def _fit_model_space(self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str]) -> Floats:
        self._unit = _unit(table)
        self._library_genes, self._library_share = (), np.zeros(0)
        if self._unit == "counts":
            counts = np.nan_to_num(table.take(sample_ids, features))
            share = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)).mean(axis=0)
            self._library_genes, self._library_share = tuple(features), share
        return self._model_space(table, sample_ids, features)

    def _model_space(self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str]) -> Floats:
        if _unit(table) != self._unit:
            raise ValueError(
                f"{self.name}: this cohort's unit is {_unit(table)!r}, the model was trained on {self._unit!r}; "
                "convert the table, and name its unit in cohort.yaml under `expression: {unit: ...}`"
            )
        values = table.take(sample_ids, features)
        if self._unit == "log":
            return values
        values = np.maximum(values, 0.0)
        if self._unit == "counts":
            values = values / self._library(table, sample_ids) * 1e6
        return np.log2(values + 1.0)

    def _library(self, table: MatrixTable, sample_ids: Sequence[str]) -> Floats:
        present = np.isin(self._library_genes, table.matrix.features)
        counts = table.take(sample_ids, [g for g, here in zip(self._library_genes, present, strict=True) if here])
        total = np.nansum(counts, axis=1, keepdims=True) / max(float(self._library_share[present].sum()), 1e-6)
        return np.maximum(total, 1.0)

    def summarise(self, table: MatrixTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        scores = super().summarise(table, sample_ids)
        if not self._gene_sets:
            return scores
        values = self.standardised(table, sample_ids)
        members = [np.isin(self.features, genes) for genes in self._gene_sets.values()]
        means = [values[:, chosen].sum(axis=1) / max(int(chosen.sum()), 1) for chosen in members]
        return np.column_stack([scores, *means]).astype(np.float32)

    @property
    def summary_names(self) -> tuple[str, ...]:
        return (*super().summary_names, *self._gene_sets)

    def state(self) -> FittedState:
        values = {
            "unit": self._unit,
            "library_genes": list(self._library_genes),
            "gene_sets": {name: list(genes) for name, genes in self._gene_sets.items()},
        }
        return extended(super().state(), values=values, arrays={"library_share": self._library_share})

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        self._unit = state.values["unit"]
        self._library_genes = tuple(state.values["library_genes"])
        self._library_share = state.arrays["library_share"]
        self._gene_sets = {name: tuple(genes) for name, genes in state.values["gene_sets"].items()}


def _unit(table: MatrixTable) -> str:
    unit = str(table.unit or "counts").lower()
    if unit not in UNITS:
        raise ValueError(f"cohort.yaml: expression unit {unit!r} is not known; name one of {', '.join(UNITS)}")
    return unit


def read_gene_sets(path: Path) -> dict[str, tuple[str, ...]]:
    """Named gene sets from GMT (name, description, genes, by tabs) or JSON (`{name: [genes]}`), sorted by name."""
    if not path.exists():
        raise ValueError(f"{path}: no such file; `gene_sets` names a GMT or JSON file")
    if path.suffix == ".json":
        sets = json.loads(path.read_text())
    else:
        lines = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
        sets = {fields[0]: [gene for gene in fields[2:] if gene] for fields in lines}
    return {name: tuple(sorted(sets[name])) for name in sorted(sets)}
