"""The MAF that exome sequencing of the biopsy would give: drivers, passengers, amplifications and FFPE artefacts."""

from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from fusion.data.simulator.assays import DESIGN_SEED
from fusion.data.simulator.latents import BoolArray, FloatArray, Latents

#: Megabases of coding sequence that the simulated assay covers: mutations per Mb times this is their number.
TARGET_MB: Final = 10.0
#: Share of true driver mutations that the assay misses.
MISSED: Final = 0.02
#: Drivers that carry no effect, with their frequency.
NEUTRAL_DRIVERS: Final = {"CREBBP": 0.17, "EP300": 0.10, "TP73": 0.13, "PIK3CA": 0.10, "PTEN": 0.09}
#: Families of which one member is hit, with the share of each.
NOTCH_FAMILY: Final = {"NOTCH1": 0.70, "NOTCH3": 0.20, "NOTCH2": 0.07, "NOTCH4": 0.03}
MYC_FAMILY: Final = {"MYC": 0.65, "MYCL": 0.28, "MYCN": 0.07}
LONG_GENES: Final = (
    "TTN", "MUC16", "RYR2", "CSMD3", "LRP1B", "USH2A", "ZFHX4", "XIRP2", "SPTA1", "CSMD1", "FAT3", "FAT1", "RYR1",
    "RYR3", "DNAH5", "SYNE1", "PCLO", "FLG", "OBSCN", "MUC17", "PCDH15", "COL11A1", "NAV3", "HMCN1", "ANK2", "APOB",
    "ADGRV1", "DMD", "KMT2C", "LRP2",
)  # fmt: skip
#: Genes that are hit once in a while, by chance.
NUM_OTHER_GENES: Final = 4000
TRUNCATING: Final = ("Nonsense_Mutation", "Frame_Shift_Del", "Frame_Shift_Ins", "Splice_Site")
PASSENGER_CLASSES: Final = {
    "Missense_Mutation": 0.63, "Silent": 0.24, "Nonsense_Mutation": 0.05, "Splice_Site": 0.03,
    "Frame_Shift_Del": 0.03, "Frame_Shift_Ins": 0.01, "In_Frame_Del": 0.01,
}  # fmt: skip
#: Base changes by the pyrimidine; smokers have more C>A.
CHANGES: Final = ("C>A", "C>G", "C>T", "T>A", "T>C", "T>G")
CHANGE_SHARE: Final = ((0.14, 0.12, 0.42, 0.08, 0.16, 0.08), (0.38, 0.12, 0.22, 0.10, 0.12, 0.06))
RESIDUES: Final = np.array(list("ARNDCQEGHILKMFPSTWYV"))


@cache
def _gene_table() -> pd.DataFrame:
    """Chromosome, first base and passenger weight of every gene, the same for every cohort."""
    rng = np.random.default_rng([DESIGN_SEED, 4])
    drivers = ("TP53", "RB1", "KMT2D", *NEUTRAL_DRIVERS, *NOTCH_FAMILY, *MYC_FAMILY)
    real_places = {"TP53": ("17", 7_668_421), "RB1": ("13", 48_303_748), "MYC": ("8", 127_735_434)}
    genes = [*drivers, *LONG_GENES, *(f"SIMG{i:04d}" for i in range(1, NUM_OTHER_GENES + 1))]
    rare = rng.gamma(8.0, 1 / 8, NUM_OTHER_GENES)
    weight = np.concatenate([np.zeros(len(drivers)), np.linspace(40, 8, len(LONG_GENES)), rare])
    chromosome = rng.integers(1, 23, len(genes)).astype(str).astype(object)
    start = rng.integers(1_000_000, 45_000_000, len(genes))
    for gene, (where, first) in real_places.items():
        chromosome[genes.index(gene)], start[genes.index(gene)] = where, first
    return pd.DataFrame({"gene": genes, "chromosome": chromosome, "start": start, "weight": weight / weight.sum()})


def _members(family: Mapping[str, float], size: int, rng: Generator) -> NDArray[np.object_]:
    return rng.choice(np.array(list(family), dtype=object), size, p=list(family.values()))


def _drivers(latents: Latents, rng: Generator) -> pd.DataFrame:
    """One row per driver mutation that was called: sample, gene, class, clonal loss of the other copy."""
    n = len(latents)

    def truncating(share: float) -> BoolArray:
        return rng.random(n) < share

    mutated: list[tuple[NDArray[np.object_], BoolArray, BoolArray, float]] = [
        (np.full(n, "TP53", dtype=object), latents.tp53, latents.tp53_truncating, 0.9),
        (np.full(n, "RB1", dtype=object), latents.rb1, truncating(0.8), 0.9),
        (_members(NOTCH_FAMILY, n, rng), latents.notch, truncating(0.3), 0.2),
        (np.full(n, "KMT2D", dtype=object), latents.kmt2d, truncating(0.5), 0.2),
    ]
    for gene, share in NEUTRAL_DRIVERS.items():
        mutated.append((np.full(n, gene, dtype=object), rng.random(n) < share, truncating(0.3), 0.2))
    parts = []
    for gene_N, present, cut, loss in mutated:
        called = present & (rng.random(n) >= MISSED)
        kind = np.where(cut, rng.choice(np.array(TRUNCATING, dtype=object), n), "Missense_Mutation")
        lost = rng.random(n) < loss
        rows = {"sample": np.arange(n), "gene": gene_N, "kind": kind, "lost": lost, "artefact": False}
        parts.append(pd.DataFrame(rows)[called])
    return pd.concat(parts)


def _passengers(latents: Latents, rng: Generator) -> pd.DataFrame:
    """Passengers by mutation burden, then artefacts of formalin: C>T at one to five per cent of reads."""
    table = _gene_table()
    burden = rng.poisson(latents.tmb * TARGET_MB)
    artefacts = rng.poisson(12, len(latents))
    sample = np.concatenate([np.repeat(np.arange(len(latents)), burden), np.repeat(np.arange(len(latents)), artefacts)])
    classes = np.array(list(PASSENGER_CLASSES), dtype=object)
    return pd.DataFrame(
        {
            "sample": sample,
            "gene": rng.choice(table["gene"].to_numpy(dtype=object), len(sample), p=table["weight"].to_numpy()),
            "kind": rng.choice(classes, len(sample), p=list(PASSENGER_CLASSES.values())),
            "lost": rng.random(len(sample)) < 0.15,
            "artefact": np.arange(len(sample)) >= burden.sum(),
        }
    )


def _amplifications(latents: Latents, rng: Generator) -> pd.DataFrame:
    gene = _members(MYC_FAMILY, len(latents), rng)
    rows = {"sample": np.arange(len(latents)), "gene": gene, "kind": "Amplification", "lost": False, "artefact": False}
    return pd.DataFrame(rows)[latents.myc_amplified & (rng.random(len(latents)) >= MISSED)]


def variant_table(
    *, latents: Latents, sample_ids: NDArray[np.object_], purity: FloatArray, rng: Generator
) -> pd.DataFrame:
    """MAF of one biopsy per patient, in GDC columns, sorted by sample, chromosome and place."""
    rows = pd.concat([_drivers(latents, rng), _passengers(latents, rng), _amplifications(latents, rng)])
    rows = rows.reset_index(drop=True)
    artefact = rows["artefact"].to_numpy(dtype=np.bool_)
    sample, kind = rows["sample"].to_numpy(), rows["kind"].to_numpy(dtype=object)
    size = len(rows)
    amplified = kind == "Amplification"
    inserted, deleted = kind == "Frame_Shift_Ins", np.isin(kind.astype(str), ["Frame_Shift_Del", "In_Frame_Del"])

    smoker = latents.ever_smoker[sample].astype(np.int64)
    change = (rng.random(size)[:, None] > np.cumsum(CHANGE_SHARE, axis=1)[smoker][:, :-1]).sum(axis=1)
    bases = np.array([text.split(">") for text in CHANGES], dtype=object)
    change = np.where(artefact, CHANGES.index("C>T"), change)
    reference, alternate = bases[change, 0], bases[change, 1]
    reference = np.where(inserted | amplified, "-", reference)
    alternate = np.where(deleted | amplified, "-", alternate)

    tumour = purity[sample]
    clonal = np.where(rng.random(size) < 0.2, rng.uniform(0.2, 0.6, size), 1.0)
    copies = np.where(rows["lost"].to_numpy(dtype=np.bool_), 1.0, 2.0)
    vaf = clonal * tumour / (copies * tumour + 2 * (1 - tumour))
    vaf = np.where(artefact, rng.uniform(0.01, 0.05, size), np.where(amplified, tumour, vaf))
    depth = rng.poisson(150 * np.where(amplified, 3.0, 1.0) * np.exp(0.25 * rng.normal(size=size))) + 20
    alt = np.maximum(rng.binomial(depth, vaf), 2)
    normal_depth = rng.poisson(80, size) + 10
    flagged = artefact & (rng.random(size) < 0.6)

    table = _gene_table().set_index("gene").loc[rows["gene"].to_numpy(dtype=object)]
    start = table["start"].to_numpy() + rng.integers(0, 90_000, size)
    residue = rng.integers(1, 1800, size)
    before, after = rng.choice(RESIDUES, size), rng.choice(RESIDUES, size)
    ending = {
        "Nonsense_Mutation": "*",
        "Frame_Shift_Del": "fs",
        "Frame_Shift_Ins": "fs",
        "In_Frame_Del": "del",
        "Silent": "=",
    }
    protein = [
        "" if k in ("Amplification", "Splice_Site") else f"p.{b}{r}{ending.get(k, a)}"
        for k, b, r, a in zip(kind, before, residue, after, strict=True)
    ]
    maf = pd.DataFrame(
        {
            "Hugo_Symbol": rows["gene"].to_numpy(dtype=object),
            "NCBI_Build": "GRCh38",
            "Chromosome": np.char.add("chr", table["chromosome"].to_numpy().astype(str)).astype(object),
            "Start_Position": start,
            "End_Position": start,
            "Strand": "+",
            "Variant_Classification": kind,
            "Variant_Type": np.select([amplified, inserted, deleted], ["CNV", "INS", "DEL"], default="SNP"),
            "Reference_Allele": reference,
            "Tumor_Seq_Allele1": reference,
            "Tumor_Seq_Allele2": alternate,
            "Tumor_Sample_Barcode": sample_ids[sample],
            "HGVSp_Short": protein,
            "t_depth": depth,
            "t_ref_count": depth - alt,
            "t_alt_count": alt,
            "n_depth": normal_depth,
            "n_alt_count": rng.binomial(normal_depth, 0.0005),
            "FILTER": np.where(flagged, "FFPE", "PASS"),
        }
    )
    return maf.sort_values(["Tumor_Sample_Barcode", "Chromosome", "Start_Position"], kind="stable", ignore_index=True)
