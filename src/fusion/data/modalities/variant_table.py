"""What a MAF says of its samples: gene, class of consequence, allele fraction, place, and base changes counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

#: Base changes, told by the pyrimidine of the pair; their shares show tobacco (C>A), ageing and formalin (C>T).
CHANGES = ("C>A", "C>G", "C>T", "T>A", "T>C", "T>G")


@dataclass(frozen=True)
class VariantTable:
    """Variants that passed the filter, sorted by sample.

    Attributes:
        variants: `gene`, `consequence`, `vaf` (NaN where the depth is not known) and `place` (gene and residue, or
            else chromosome and base; "" where neither is known), indexed by sample_id.
        changes: Number of each base change of `CHANGES`, silent variants too, indexed by sample_id.
        has_depth: Whether the file gives the depths at all.
        has_alleles: Whether it gives both alleles.
        has_places: Whether it gives residues or positions.
    """

    variants: pd.DataFrame
    changes: pd.DataFrame
    has_depth: bool
    has_alleles: bool
    has_places: bool

    def of(self, sample_ids: Sequence[str]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
        """Variants of these samples, in this order, and the index of the sample of each."""
        place = pd.Series(np.arange(len(sample_ids)), index=list(sample_ids), dtype=np.int64)
        mine = self.variants[self.variants.index.isin(place.index)]
        sample = place.loc[mine.index].to_numpy()
        order = np.argsort(sample, kind="stable")
        return mine.iloc[order], sample[order]


def variant_table(maf: pd.DataFrame, *, min_vaf: float = 0.0, keep_silent: bool = False) -> VariantTable:
    """The variants of a MAF.

    Args:
        maf: A MAF whose variants passed their filter.
        min_vaf: Variants with a known allele fraction below this are left out.
        keep_silent: Keep silent and non-coding variants; their base changes count either way.
    """
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
            "place": _places(maf),
        },
        index=pd.Index(maf["Tumor_Sample_Barcode"].to_numpy(dtype=object), name="sample_id"),
    )
    kept = ~(variants["vaf"] < min_vaf)
    changes = _change_counts(maf, kept.to_numpy())
    if not keep_silent:
        kept &= ~variants["consequence"].isin(SILENT_CLASSES)
    # One order of the rows of a sample, whatever the order of the file.
    variants = variants[kept].reset_index().sort_values(["sample_id", "gene", "consequence", "vaf", "place"])
    return VariantTable(
        variants=variants.set_index("sample_id"),
        changes=changes,
        has_depth=has_depth,
        has_alleles={"Reference_Allele", "Tumor_Seq_Allele2"} <= set(maf.columns),
        has_places="HGVSp_Short" in maf or {"Chromosome", "Start_Position"} <= set(maf.columns),
    )


def base_change(reference: "pd.Series[Any]", alternate: "pd.Series[Any]") -> "pd.Series[Any]":
    """Base change told by the pyrimidine of the pair; missing where it is not one base for another.

    >>> base_change(pd.Series(["C", "G", "a", "-"]), pd.Series(["A", "T", "G", "T"])).tolist()
    ['C>A', 'C>A', 'T>C', nan]
    """
    other = dict(zip("ACGT", "TGCA", strict=True))
    folded = {change: change for change in CHANGES}
    folded |= {f"{other[change[0]]}>{other[change[2]]}": change for change in CHANGES}
    return (reference.astype("string").str.upper() + ">" + alternate.astype("string").str.upper()).map(folded)


def _change_counts(maf: pd.DataFrame, kept: NDArray[np.bool_]) -> pd.DataFrame:
    """Number of each base change of every sample of the MAF that has one."""
    nothing = pd.Series(pd.NA, index=maf.index, dtype="string")
    change = base_change(maf.get("Reference_Allele", nothing), maf.get("Tumor_Seq_Allele2", nothing))
    known = kept & change.notna().to_numpy()
    sample = maf["Tumor_Sample_Barcode"].to_numpy(dtype=object)[known]
    counts = pd.crosstab(sample, change.to_numpy(dtype=object)[known]) if known.any() else pd.DataFrame()
    return counts.reindex(columns=list(CHANGES), fill_value=0).astype(np.float64)


def _places(maf: pd.DataFrame) -> NDArray[np.object_]:
    """Gene and residue of each variant, or else chromosome and base; "" where neither is known, or no base is hit."""
    nothing = pd.Series(pd.NA, index=maf.index, dtype="string")
    residue = maf.get("HGVSp_Short", nothing).astype("string").str.extract(r"^p\.[A-Za-z*]+(\d+)", expand=False)
    by_residue = maf["Hugo_Symbol"].astype("string") + ":p." + residue
    chromosome = maf.get("Chromosome", nothing).astype("string").str.removeprefix("chr")
    by_base = chromosome + ":" + maf.get("Start_Position", nothing).astype("string")
    consequence = maf["Variant_Classification"].map(CONSEQUENCE)
    aside = consequence.isin((*COPY_NUMBER_CLASSES, *SILENT_CLASSES)).to_numpy()
    return by_residue.fillna(by_base).fillna("").mask(aside, "").to_numpy(dtype=object)
