"""Somatic variants of a sample as a set: gene, consequence, allele fraction, and one row for the burden."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import FittedState, Modality, PackedRows
from fusion.data.modalities.scaling import Scaling, fit_scaling
from fusion.data.tables import find_table, passed_filter, read_maf

#: Consequence of each GDC `Variant_Classification`; what is not listed counts as `other`.
CONSEQUENCE = {
    **dict.fromkeys(("Nonsense_Mutation", "Frame_Shift_Del", "Frame_Shift_Ins", "Nonstop_Mutation"), "truncating"),
    **dict.fromkeys(("Translation_Start_Site", "Start_Codon_SNP", "De_novo_Start_OutOfFrame"), "truncating"),
    "Missense_Mutation": "missense",
    "Splice_Site": "splice",
    **dict.fromkeys(("In_Frame_Del", "In_Frame_Ins"), "inframe"),
    **dict.fromkeys(("Silent", "Synonymous"), "silent"),
    **dict.fromkeys(
        ("Splice_Region", "Intron", "IGR", "RNA", "lincRNA", "3'UTR", "5'UTR", "3'Flank", "5'Flank"), "noncoding"
    ),
    **dict.fromkeys(("Amplification", "Amp", "AMP"), "amplification"),
    **dict.fromkeys(("Deep_Deletion", "HomDel", "HOMDEL", "Homozygous_Deletion"), "deletion"),
}
CLASSES = ("truncating", "missense", "splice", "inframe", "amplification", "deletion", "silent", "noncoding", "other")

#: Left out unless asked for: they do not change the protein, and outnumber those that do.
SILENT_CLASSES = ("silent", "noncoding")

#: Not mutations: they are no part of the burden.
COPY_NUMBER_CLASSES = ("amplification", "deletion")

#: Counts of a sample that its burden row carries, as z-scores of their logarithm.
BURDENS = ("total", "truncating", "missense")

#: The plain baselines see genes mutated in at least this share of training samples, and no more of them than this.
MIN_SHARE, MAX_SUMMARY_GENES = 0.05, 20

#: Gene index of a gene outside the vocabulary, and of the burden row.
OTHER_GENE, BURDEN_GENE = 0, 1

FEATURES = ("gene", *CLASSES, "vaf", "vaf_known", *(f"burden_{name}" for name in BURDENS))


@dataclass(frozen=True)
class VariantTable:
    """Variants that passed the filter, sorted by sample.

    Attributes:
        variants: `gene`, `consequence` and `vaf` (NaN where the depth is not known), indexed by sample_id.
        has_depth: Whether the file gives the depths at all.
    """

    variants: pd.DataFrame
    has_depth: bool

    def of(self, sample_ids: Sequence[str]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Variants of these samples, in this order, and the index of the sample of each."""
        place = pd.Series(np.arange(len(sample_ids)), index=list(sample_ids), dtype=np.int64)
        mine = self.variants[self.variants.index.isin(place.index)]
        sample = place.loc[mine.index].to_numpy()
        order = np.argsort(sample, kind="stable")
        return mine.iloc[order], sample[order]


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
    ) -> None:
        super().__init__(name, assay, specimen)
        self.min_patients = min_patients
        self.max_genes = max_genes
        self.min_vaf = min_vaf
        self.keep_silent = keep_silent
        self.keep_other_genes = keep_other_genes
        self._genes: tuple[str, ...]
        self._summary_genes: tuple[str, ...]
        self._vaf: Scaling
        self._burden: Scaling

    @property
    def sizes(self) -> Mapping[str, int]:
        return {"num_features": self.num_features, "num_genes": self.num_genes}

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
        return self.table(maf[passed_filter(maf)])

    def table(self, maf: pd.DataFrame) -> VariantTable:
        """The variants of a MAF that this modality reads."""
        has_depth = {"t_depth", "t_alt_count"} <= set(maf.columns)
        if has_depth:
            depth = maf["t_depth"].to_numpy(dtype=np.float64, na_value=np.nan)
            alt = maf["t_alt_count"].to_numpy(dtype=np.float64, na_value=np.nan)
            vaf = np.clip(np.divide(alt, depth, out=np.full(len(maf), np.nan), where=depth > 0), 0.0, 1.0)
        else:
            vaf = np.full(len(maf), np.nan)
        variants = pd.DataFrame(
            {
                "gene": maf["Hugo_Symbol"].fillna("").to_numpy(dtype=object),
                "consequence": maf["Variant_Classification"].map(CONSEQUENCE).fillna("other").to_numpy(dtype=object),
                "vaf": vaf,
            },
            index=pd.Index(maf["Tumor_Sample_Barcode"].to_numpy(dtype=object), name="sample_id"),
        )
        kept = ~(variants["vaf"] < self.min_vaf)
        if not self.keep_silent:
            kept &= ~variants["consequence"].isin(SILENT_CLASSES)
        # One order of the rows of a sample, whatever the order of the file.
        variants = variants[kept].reset_index().sort_values(["sample_id", "gene", "consequence", "vaf"])
        return VariantTable(variants=variants.set_index("sample_id"), has_depth=has_depth)

    def fit(self, table: VariantTable, sample_ids: Sequence[str]) -> None:
        ids = self.training_ids(sample_ids)
        variants, sample = table.of(ids)
        mutated = pd.DataFrame({"gene": variants["gene"].to_numpy(), "sample": sample}).drop_duplicates()
        count = mutated["gene"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
        self._genes = tuple(count.index[count >= self.min_patients][: self.max_genes])
        self._summary_genes = tuple(count.index[count >= MIN_SHARE * len(ids)][:MAX_SUMMARY_GENES])
        self._vaf = fit_scaling(variants["vaf"].to_numpy()[:, None])
        self._burden = fit_scaling(_burden_counts(variants, sample, num_samples=len(ids)))

    def transform(self, table: VariantTable, sample_ids: Sequence[str]) -> PackedRows:
        variants, sample = table.of(sample_ids)
        num_samples = len(sample_ids)
        index = pd.Series(np.arange(len(self._genes)) + BURDEN_GENE + 1, index=list(self._genes), dtype=np.float64)
        gene = index.reindex(variants["gene"]).fillna(OTHER_GENE).to_numpy()
        vaf = variants["vaf"].to_numpy()
        rows = np.zeros((num_samples + len(variants), len(FEATURES)))
        rows[:num_samples, 0] = BURDEN_GENE
        rows[:num_samples, -len(BURDENS) :] = self._burden_scores(variants, sample, num_samples)
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

    @property
    def feature_names(self) -> tuple[str, ...]:
        return FEATURES

    def summarise(self, table: VariantTable, sample_ids: Sequence[str]) -> NDArray[np.float32]:
        variants, sample = table.of(sample_ids)
        mutated = np.zeros((len(sample_ids), len(self._summary_genes)))
        gene = variants["gene"].to_numpy()
        for column, name in enumerate(self._summary_genes):
            mutated[sample[gene == name], column] = 1.0
        return np.column_stack([mutated, self._burden_scores(variants, sample, len(sample_ids))]).astype(np.float32)

    @property
    def summary_names(self) -> tuple[str, ...]:
        return (*self._summary_genes, *(f"burden_{name}" for name in BURDENS))

    def missing_features(self, table: VariantTable) -> tuple[str, ...]:
        """A gene without variants cannot be told from one that was not sequenced; only the depth can be missed."""
        return () if table.has_depth else ("vaf",)

    def state(self) -> FittedState:
        return FittedState(
            values={"genes": list(self._genes), "summary_genes": list(self._summary_genes)},
            arrays={
                "vaf_mean": self._vaf.mean,
                "vaf_sd": self._vaf.sd,
                "burden_mean": self._burden.mean,
                "burden_sd": self._burden.sd,
            },
        )

    def restore(self, state: FittedState) -> None:
        self._genes = tuple(state.values["genes"])
        self._summary_genes = tuple(state.values["summary_genes"])
        self._vaf = Scaling(mean=state.arrays["vaf_mean"], sd=state.arrays["vaf_sd"])
        self._burden = Scaling(mean=state.arrays["burden_mean"], sd=state.arrays["burden_sd"])


def _burden_counts(variants: pd.DataFrame, sample: NDArray[np.int64], num_samples: int) -> NDArray[np.float64]:
    """Log of one plus the number of mutations of each sample: all that change the protein, truncating, missense."""
    consequence = variants["consequence"].to_numpy(dtype=str)
    counted = ~np.isin(consequence, (*SILENT_CLASSES, *COPY_NUMBER_CLASSES))
    chosen = [counted, consequence == "truncating", consequence == "missense"]
    counts = [np.bincount(sample[mask], minlength=num_samples) for mask in chosen]
    return np.log1p(np.column_stack(counts).astype(np.float64))
