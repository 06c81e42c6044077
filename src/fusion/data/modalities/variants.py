"""Somatic variants of a sample as a set: gene, consequence, allele fraction, and one row for the burden."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.gene_sets import read_gene_sets
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.scaling import Scaling, fit_scaling
from fusion.data.modalities.variant_table import (
    CHANGES,
    CLASSES,
    COPY_NUMBER_CLASSES,
    SILENT_CLASSES,
    VariantTable,
    variant_table,
)
from fusion.data.tables import find_table, passed_filter, read_maf

#: The protein is lost, as far as its consequence tells.
LOSS_CLASSES = ("truncating", "splice", "deletion")

#: Counts of a sample that its burden row carries, as z-scores of their logarithm.
BURDENS = ("total", "truncating", "missense")

#: The plain baselines see genes mutated in at least this share of training samples, and no more of them than this.
MIN_SHARE, MAX_SUMMARY_GENES = 0.05, 20

#: Gene index of a gene outside the vocabulary, and of the burden row.
OTHER_GENE, BURDEN_GENE = 0, 1

FEATURES = ("gene", *CLASSES, "vaf", "vaf_known", *(f"burden_{name}" for name in BURDENS))

#: Column of each change in a burden row, and whether any base change of the sample is known.
CHANGE_FEATURES = (*(f"burden_{change}" for change in CHANGES), "burden_changes_known")

#: The mean of the training samples counts for so many base changes when a sample has few.
PRIOR_CHANGES = 10.0

#: A residue (or, where the MAF names none, a base) hit in so many training samples is a hotspot.
HOTSPOT_SAMPLES = 3


class Variants(Modality):
    """A MAF: per sample one burden row, then one row per variant that passed the filter.

    Column 0 of a row is an index into a table of gene embeddings, `num_genes` long: 0 = a gene outside the vocabulary,
    1 = the burden row, 2 and up = the vocabulary. The other columns are dense. A sample without variants has its
    burden row alone.

    Args:
        name: Name in the config.
        assay: Value of `modality` in samples.csv; the file is `variants.maf` whatever its name here.
        specimen: Only samples of this specimen.
        min_patients: A gene enters the vocabulary when mutated in so many training samples.
        max_genes: Largest vocabulary, the most often mutated first.
        min_vaf: Variants with a known allele fraction below this are left out (FFPE artefacts lie at 1-5 %).
        keep_silent: Keep silent and non-coding variants.
        keep_other_genes: Keep a row for each variant in a gene outside the vocabulary; else it counts in the burden
            alone.
        gene_sets: Named gene sets: `sclc_pathways`, which ship with the package, or a GMT or JSON file. Their genes
            are in the vocabulary whatever their number, encoders are told which gene belongs to which set, and the
            plain baselines see which sets are hit.
        substitutions: Add the shares of the six base changes to the burden row.
        hotspots: Add a column that marks variants at a residue that is hit in 3 or more training samples.
    """

    is_set = True

    def __init__(
        self,
        name: str = "variants",
        assay: str = "variants",
        specimen: str | None = None,
        min_patients: int = 5,
        max_genes: int = 200,
        min_vaf: float = 0.0,
        keep_silent: bool = False,
        keep_other_genes: bool = True,
        gene_sets: str | None = None,
        substitutions: bool = False,
        hotspots: bool = False,
    ) -> None:
        super().__init__(name, assay, specimen)
        self.min_patients = min_patients
        self.max_genes = max_genes
        self.min_vaf = min_vaf
        self.keep_silent = keep_silent
        self.keep_other_genes = keep_other_genes
        self.substitutions = substitutions
        self.hotspots = hotspots
        self._gene_sets = read_gene_sets(gene_sets) if gene_sets else {}
        self._genes: tuple[str, ...]
        self._summary_genes: tuple[str, ...]
        self._vaf: Scaling
        self._burden: Scaling
        self._hotspots: frozenset[str]
        self._change_share: NDArray[np.float64]  # "6", mean of the training samples
        self._changes: Scaling

    @property
    def sizes(self) -> Mapping[str, Any]:
        """What encoders of variants are built with.

        `hit_columns`, `loss_columns` and `burden_columns` are columns of a row; `gene_groups` is 0 or 1 by gene index
        and gene set, there only with `gene_sets`.
        """
        columns = self.feature_names
        sizes = {
            "num_features": self.num_features,
            "num_genes": self.num_genes,
            "hit_columns": tuple(columns.index(name) for name in CLASSES if name not in SILENT_CLASSES),
            "loss_columns": tuple(columns.index(name) for name in LOSS_CLASSES),
            "burden_columns": tuple(i for i, name in enumerate(columns) if name.startswith("burden_")),
        }
        if not self._gene_sets:
            return sizes
        members = [tuple(int(gene in genes) for genes in self._gene_sets.values()) for gene in self._genes]
        reserved = [(0,) * len(self._gene_sets)] * (BURDEN_GENE + 1)
        return {**sizes, "gene_groups": (*reserved, *members)}

    @property
    def num_genes(self) -> int:
        """Length of the table of gene embeddings that column 0 points into."""
        return len(self._genes) + 2

    @property
    def genes(self) -> tuple[str, ...]:
        """The vocabulary: gene i has index i + 2."""
        return self._genes

    def load(self, cohort: Cohort) -> VariantTable:
        path = find_table(cohort.folder, "variants")
        if path is None:
            raise ValueError(f"{self.name}: {cohort.folder} holds no variants.maf; add it, or drop the modality")
        maf = read_maf(path)
        return variant_table(maf[passed_filter(maf)], min_vaf=self.min_vaf, keep_silent=self.keep_silent)

    def fit(self, table: VariantTable, sample_ids: Sequence[str]) -> None:
        ids = self.training_ids(sample_ids)
        variants, sample = table.of(ids)
        mutated = pd.DataFrame({"gene": variants["gene"].to_numpy(), "sample": sample}).drop_duplicates()
        count = mutated["gene"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
        often = tuple(count.index[count >= self.min_patients][: self.max_genes])
        named = {gene for genes in self._gene_sets.values() for gene in genes}
        self._genes = (*often, *sorted(named - set(often)))
        self._summary_genes = tuple(count.index[count >= MIN_SHARE * len(ids)][:MAX_SUMMARY_GENES])
        self._vaf = fit_scaling(variants["vaf"].to_numpy()[:, None])
        self._burden = fit_scaling(_burden_counts(variants, sample, num_samples=len(ids)))
        self._hotspots = _recurrent(variants, sample) if self.hotspots else frozenset()
        self._change_share, self._changes = np.zeros(0), Scaling(mean=np.zeros(0), sd=np.ones(0))
        if self.substitutions:
            counts = _of_samples(table.changes, ids)
            known = counts[counts.sum(axis=1) > 0]
            share = known / known.sum(axis=1, keepdims=True)
            self._change_share = share.mean(axis=0) if len(known) else np.full(len(CHANGES), 1 / len(CHANGES))
            self._changes = fit_scaling(self._shares(counts))

    def transform(self, table: VariantTable, sample_ids: Sequence[str]) -> PackedRows:
        variants, sample = table.of(sample_ids)
        num_samples = len(sample_ids)
        index = pd.Series(np.arange(len(self._genes)) + BURDEN_GENE + 1, index=list(self._genes), dtype=np.float64)
        gene = index.reindex(variants["gene"]).fillna(OTHER_GENE).to_numpy()
        vaf = variants["vaf"].to_numpy()
        columns = self.feature_names
        rows = np.zeros((num_samples + len(variants), len(columns)))
        rows[:num_samples, 0] = BURDEN_GENE
        first = columns.index(f"burden_{BURDENS[0]}")
        rows[:num_samples, first : first + len(BURDENS)] = self._burden_scores(variants, sample, num_samples)
        if self.substitutions:
            rows[:num_samples, -len(CHANGE_FEATURES) :] = self._change_scores(table, sample_ids)
        if self.hotspots:
            rows[num_samples:, columns.index("hotspot")] = variants["place"].isin(self._hotspots)
        rows[num_samples:, 0] = gene
        consequence = variants["consequence"].to_numpy()
        for column, name in enumerate(CLASSES, start=1):
            rows[num_samples:, column] = consequence == name
        rows[num_samples:, FEATURES.index("vaf")] = self._vaf.standardise(vaf[:, None])[:, 0]
        rows[num_samples:, FEATURES.index("vaf_known")] = np.isfinite(vaf)

        sample_of_row = np.concatenate([np.arange(num_samples), sample])
        if not self.keep_other_genes:
            kept = rows[:, 0] != OTHER_GENE
            rows, sample_of_row = rows[kept], sample_of_row[kept]
        order = np.argsort(sample_of_row, kind="stable")  # the burden row comes first in each sample
        counts = np.bincount(sample_of_row, minlength=num_samples)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return PackedRows(rows=rows[order].astype(np.float32), offsets=offsets)

    def _burden_scores(
        self, variants: pd.DataFrame, sample: NDArray[np.int64], num_samples: int
    ) -> NDArray[np.float64]:
        return self._burden.standardise(_burden_counts(variants, sample, num_samples))

    def _shares(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of each base change, drawn to the training mean where a sample has few; NaN where it has none."""
        total = counts.sum(axis=1, keepdims=True)
        return np.where(total > 0, (counts + PRIOR_CHANGES * self._change_share) / (total + PRIOR_CHANGES), np.nan)

    def _change_scores(self, table: VariantTable, sample_ids: Sequence[str]) -> NDArray[np.float64]:
        shares = self._shares(_of_samples(table.changes, sample_ids))
        return np.column_stack([self._changes.standardise(shares), np.isfinite(shares[:, 0])])

    @property
    def feature_names(self) -> tuple[str, ...]:
        hotspot = ("hotspot",) if self.hotspots else ()
        return (*FEATURES, *hotspot, *(CHANGE_FEATURES if self.substitutions else ()))

    def summarise(self, table: VariantTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        variants, sample = table.of(sample_ids)
        mutated = np.zeros((len(sample_ids), len(self._summary_genes)))
        gene = variants["gene"].to_numpy()
        for column, name in enumerate(self._summary_genes):
            mutated[sample[gene == name], column] = 1.0
        parts = [mutated, self._burden_scores(variants, sample, len(sample_ids))]
        silent = variants["consequence"].isin(SILENT_CLASSES).to_numpy()
        for genes in self._gene_sets.values():
            hit = np.zeros(len(sample_ids))
            hit[sample[np.isin(gene.astype(str), genes) & ~silent]] = 1.0
            parts.append(hit[:, None])
        if self.substitutions:
            parts.append(self._change_scores(table, sample_ids))
        return np.concatenate(parts, axis=1).astype(np.float32)

    @property
    def summary_names(self) -> tuple[str, ...]:
        sets = (f"{name}_hit" for name in self._gene_sets)
        changes = CHANGE_FEATURES if self.substitutions else ()
        return (*self._summary_genes, *(f"burden_{name}" for name in BURDENS), *sets, *changes)

    def missing_features(self, table: VariantTable) -> tuple[str, ...]:
        """A gene without variants cannot be told from one that was not sequenced; only whole columns can be missed."""
        vaf = () if table.has_depth else ("vaf",)
        hotspot = ("hotspot",) if self.hotspots and not table.has_places else ()
        return (*vaf, *hotspot, *(CHANGE_FEATURES if self.substitutions and not table.has_alleles else ()))

    def state(self) -> FittedState:
        return FittedState(
            values={
                "genes": list(self._genes),
                "summary_genes": list(self._summary_genes),
                "gene_sets": {name: list(genes) for name, genes in self._gene_sets.items()},
                "hotspots": sorted(self._hotspots),
            },
            arrays={
                "vaf_mean": self._vaf.mean,
                "vaf_sd": self._vaf.sd,
                "burden_mean": self._burden.mean,
                "burden_sd": self._burden.sd,
                "change_share": self._change_share,
                "change_mean": self._changes.mean,
                "change_sd": self._changes.sd,
            },
        )

    def restore(self, state: FittedState) -> None:
        self._genes = tuple(state.values["genes"])
        self._summary_genes = tuple(state.values["summary_genes"])
        self._vaf = Scaling(mean=state.arrays["vaf_mean"], sd=state.arrays["vaf_sd"])
        self._burden = Scaling(mean=state.arrays["burden_mean"], sd=state.arrays["burden_sd"])
        # A run made before these existed has none of them.
        sets = state.values.get("gene_sets", {})
        self._gene_sets = {name: tuple(genes) for name, genes in sets.items()}
        self._hotspots = frozenset(state.values.get("hotspots", ()))
        none = np.zeros(0)
        self._change_share = state.arrays.get("change_share", none)
        self._changes = Scaling(mean=state.arrays.get("change_mean", none), sd=state.arrays.get("change_sd", none))


def _burden_counts(variants: pd.DataFrame, sample: NDArray[np.int64], num_samples: int) -> NDArray[np.float64]:
    """Log of one plus the number of mutations of each sample: all that change the protein, truncating, missense."""
    consequence = variants["consequence"].to_numpy(dtype=str)
    counted = ~np.isin(consequence, (*SILENT_CLASSES, *COPY_NUMBER_CLASSES))
    chosen = [counted, consequence == "truncating", consequence == "missense"]
    counts = [np.bincount(sample[mask], minlength=num_samples) for mask in chosen]
    return np.log1p(np.column_stack(counts).astype(np.float64))


def _recurrent(variants: pd.DataFrame, sample: NDArray[np.int64]) -> frozenset[str]:
    """Places hit in `HOTSPOT_SAMPLES` samples or more."""
    hit = pd.DataFrame({"place": variants["place"].to_numpy(), "sample": sample}).drop_duplicates()
    count = hit.loc[hit["place"] != "", "place"].value_counts()
    return frozenset(str(place) for place in count.index[count >= HOTSPOT_SAMPLES])


def _of_samples(table: pd.DataFrame, sample_ids: Sequence[str]) -> NDArray[np.float64]:
    """Rows of these samples, zero where the table has none."""
    return table.reindex(list(sample_ids), fill_value=0.0).to_numpy(dtype=np.float64)
