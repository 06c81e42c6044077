"""Gene expression: counts or TPM to log scale, variable genes, standardised; components, genes, or signatures of sets.

Dimension key: S samples, G genes, P signatures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusion.data.gene_sets import read_gene_sets
from fusion.data.modalities.base import FittedState
from fusion.data.modalities.matrix import Floats, MatrixModality, MatrixTable, ValuesOf, extended
from fusion.data.modalities.scaling import blocks

UNITS = ("counts", "tpm", "log")

#: Signatures that are the difference of two sets, where both are there: the neuroendocrine score of Zhang et al. 2018
#: (Transl Lung Cancer Res 7:32), with means in place of correlations.
DIFFERENCES = {"ne_score": ("neuroendocrine", "non_neuroendocrine")}


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
        components: Principal components given to the network, None for the genes themselves, 0 for none.
        summary_components: Principal components given to the plain baselines.
        center_batches: Subtract each training batch's own mean.
        gene_sets: Named gene sets: `sclc`, which ship with the package, or a GMT or JSON file. Their genes are kept
            whatever their variance; the mean of each set over its genes joins the summary; with `components: null` an
            encoder is told which columns make up each set.
        signatures: Give the network the signature of each set, a column each, behind the components or genes: the mean
            of its standardised genes, in units of the training sd. Where `sclc` sets are there, also the
            neuroendocrine less the non-neuroendocrine mean, `ne_score`.
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
        signatures: bool = False,
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
        if signatures and not gene_sets:
            raise ValueError(f"{name}: `signatures` are those of gene sets; name them too, `gene_sets: sclc` for one")
        if components == 0 and not signatures:
            raise ValueError(f"{name}: `components: 0` leaves no column; set `signatures: true` and `gene_sets` too")
        self.signatures = signatures
        self._gene_sets = read_gene_sets(gene_sets) if gene_sets else {}
        self._signature_sd: Floats
        self._library_genes: tuple[str, ...]
        self._library_share: Floats
        self._unit: str

    def _required_features(self) -> frozenset[str]:
        return frozenset(gene for genes in self._gene_sets.values() for gene in genes)

    def _fit_model_space(self, table: MatrixTable, sample_ids: Sequence[str], features: Sequence[str]) -> ValuesOf:
        self._unit = _unit(table)
        self._library_genes, self._library_share = (), np.zeros(0)
        if self._unit == "counts":
            slices = list(blocks(len(features), width=len(sample_ids)))
            total = np.zeros((len(sample_ids), 1))
            for some in slices:
                total += np.nan_to_num(table.take(sample_ids, features[some])).sum(axis=1, keepdims=True)
            total = np.maximum(total, 1.0)
            shares = [(np.nan_to_num(table.take(sample_ids, features[some])) / total).mean(axis=0) for some in slices]
            self._library_genes, self._library_share = tuple(features), np.concatenate(shares)
        return self._model_space(table, sample_ids)

    def _model_space(self, table: MatrixTable, sample_ids: Sequence[str]) -> ValuesOf:
        if _unit(table) != self._unit:
            raise ValueError(
                f"{self.name}: this cohort's unit is {_unit(table)!r}, the model was trained on {self._unit!r}; "
                "convert the table, and name its unit in cohort.yaml under `expression: {unit: ...}`"
            )
        if self._unit == "log":
            return lambda genes: table.take(sample_ids, genes)
        library = self._library(table, sample_ids) if self._unit == "counts" else None

        def values_of(genes: Sequence[str]) -> Floats:
            values = np.maximum(table.take(sample_ids, genes), 0.0)
            return np.log2((values if library is None else values / library * 1e6) + 1.0)

        return values_of

    def _library(self, table: MatrixTable, sample_ids: Sequence[str]) -> Floats:
        present = np.array([gene in table.column for gene in self._library_genes], dtype=np.bool_)
        genes = [gene for gene, here in zip(self._library_genes, present, strict=True) if here]
        total = np.zeros((len(sample_ids), 1))
        for some in blocks(len(genes), width=len(sample_ids)):
            total += np.nansum(table.take(sample_ids, genes[some]), axis=1, keepdims=True)
        total /= max(float(self._library_share[present].sum()), 1e-6)
        return np.maximum(total, 1.0)

    def fit(self, table: MatrixTable, sample_ids: Sequence[str]) -> None:
        super().fit(table, sample_ids)
        self._signature_sd = np.ones(0)
        if self.signatures:
            means = self.standardised(table, self.training_ids(sample_ids)) @ self._signature_means()
            sd = means.std(axis=0)
            self._signature_sd = np.where(sd > 1e-6, sd, 1.0)

    def _set_means(self) -> Floats:
        """What a standardised gene adds to the mean of each set, "G sets"; a set without a gene here has none."""
        row = {gene: place for place, gene in enumerate(self.features)}
        means = np.zeros((len(self.features), len(self._gene_sets)))
        for column, genes in enumerate(self._gene_sets.values()):
            members = [row[gene] for gene in set(genes) if gene in row]
            means[members, column] = 1.0 / max(len(members), 1)
        return means

    def _signature_means(self) -> Floats:
        """What a standardised gene adds to each signature before it is put in units of its sd, "G P"."""
        means, place = self._set_means(), list(self._gene_sets)
        pairs = [DIFFERENCES[name] for name in self._differences]
        return np.column_stack([means, *(means[:, place.index(a)] - means[:, place.index(b)] for a, b in pairs)])

    @property
    def _differences(self) -> tuple[str, ...]:
        return tuple(name for name, pair in DIFFERENCES.items() if self._gene_sets.keys() >= set(pair))

    @property
    def signature_names(self) -> tuple[str, ...]:
        """The signatures among the columns of a row, which are its last; none unless asked for."""
        return (*self._gene_sets, *self._differences) if self.signatures else ()

    def _columns(self, values: Floats) -> Floats:
        columns = super()._columns(values)
        return np.column_stack([columns, values @ self._signature_weights()]) if self.signatures else columns

    def _signature_weights(self) -> Floats:
        return self._signature_means() / self._signature_sd

    @property
    def loadings(self) -> Floats:
        if not self.signatures:
            return super().loadings
        return np.column_stack([super().loadings, self._signature_weights()])

    @property
    def feature_names(self) -> tuple[str, ...]:
        if not self.signatures:
            return super().feature_names
        first = self.features if self.components is None else super().feature_names[: super().loadings.shape[1]]
        return (*first, *self.signature_names)

    @property
    def sizes(self) -> Mapping[str, Any]:
        """As of any vector assay; where the columns are genes, also `groups`, the columns of each gene set by name."""
        if self.components is not None or not self._gene_sets:
            return super().sizes
        column = {gene: place for place, gene in enumerate(self.features)}
        groups = {
            name: tuple(column[gene] for gene in genes if gene in column) for name, genes in self._gene_sets.items()
        }
        return {**super().sizes, "groups": groups}

    def _summary(self, values: Floats) -> Floats:
        scores = super()._summary(values)
        return np.column_stack([scores, values @ self._set_means()]) if self._gene_sets else scores

    @property
    def summary_names(self) -> tuple[str, ...]:
        return (*super().summary_names, *self._gene_sets)

    def state(self) -> FittedState:
        values = {
            "unit": self._unit,
            "library_genes": list(self._library_genes),
            "gene_sets": {name: list(genes) for name, genes in self._gene_sets.items()},
        }
        arrays = {"library_share": self._library_share, "signature_sd": self._signature_sd}
        return extended(super().state(), values=values, arrays=arrays)

    def restore(self, state: FittedState) -> None:
        super().restore(state)
        self._unit = state.values["unit"]
        self._library_genes = tuple(state.values["library_genes"])
        self._library_share = state.arrays["library_share"]
        self._gene_sets = {name: tuple(genes) for name, genes in state.values["gene_sets"].items()}
        self._signature_sd = state.arrays.get("signature_sd", np.ones(0))  # runs made before there were signatures


def _unit(table: MatrixTable) -> str:
    unit = str(table.unit or "counts").lower()
    if unit not in UNITS:
        raise ValueError(f"cohort.yaml: expression unit {unit!r} is not known; name one of {', '.join(UNITS)}")
    return unit
