"""What the tissue assays and plasma methylation read: expression counts, methylated fractions, slide patches.

Dimension key: S samples, G genes, R regions, P patches of a slide, F patch features, K morphotypes.

How an assay looks (loadings of genes, regions and morphotypes) comes from one fixed seed, so that cohorts of other
seeds and sizes are drawn from the same biology and can validate one another.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fusion.data.simulator import genesets
from fusion.data.simulator.latents import FloatArray, Latents, standardised

DESIGN_SEED: Final = 7026669
NUM_GENES: Final = 2000
NUM_REGIONS: Final = 1000
BATCHES: Final = ("B1", "B2")
#: Patch classes; the last is the rare needle.
MORPHOTYPES: Final = (
    "sheets", "nests", "crush", "necrosis", "stroma", "lymphocytes", "pleomorphic", "spindle-giant",
)  # fmt: skip
PLEOMORPHIC, NEEDLE = 6, 7

#: A biopsy is a small piece of the tumour: log spread between what it holds and what the whole tumour is.
BIOPSY_SPREAD: Final = {"expression": 0.32, "methylation": 0.58, "histology": 0.68}


def _logistic(values: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-values))


@dataclass(frozen=True)
class ExpressionDesign:
    """Gene names, log means in tumour and stroma "G", loadings on four tumour and stroma programmes, batch effects."""

    genes: tuple[str, ...]
    tumour: FloatArray  # "G"
    stroma: FloatArray  # "G"
    loading: FloatArray  # "6 G": ne, myc (tumour); teff, tam, mesenchymal, antigen presentation (stroma)
    batch: FloatArray  # "B G"


@cache
def expression_design() -> ExpressionDesign:
    """The same 2,000 genes for every cohort."""
    rng = np.random.default_rng([DESIGN_SEED, 1])
    programmes = (
        ((genesets.NEUROENDOCRINE, 1.0), (genesets.NON_NEUROENDOCRINE, -0.8)),
        ((genesets.MYC_TARGETS, 0.6),),
        ((genesets.T_CELL_INFLAMED, 0.9),),
        ((genesets.MACROPHAGE, 0.9),),
        ((genesets.MESENCHYMAL, 0.7),),
        ((genesets.ANTIGEN_PRESENTATION, 0.6),),
    )
    named = [gene for programme in programmes for genes, _ in programme for gene in genes]
    genes = (*named, *(f"SIM{i:04d}" for i in range(1, NUM_GENES - len(named) + 1)))
    base = rng.normal(2.0, 1.2, NUM_GENES)
    contrast = rng.normal(0.0, 0.5, NUM_GENES)
    loading = np.zeros((len(programmes), NUM_GENES))
    place = 0
    for p, programme in enumerate(programmes):
        for members, effect in programme:
            here = slice(place, place + len(members))
            loading[p, here] = effect * rng.uniform(0.6, 1.2, len(members))
            base[here] = rng.normal(3.0, 0.7, len(members))
            contrast[here] = 1.0 if p < 2 else -1.0
            place += len(members)
    # Half of the other genes follow one programme a little: a tail of weak signal, as in real data.
    others = np.arange(place, NUM_GENES)
    followers = rng.permutation(others)[: len(others) // 2]
    leader = rng.integers(len(programmes), size=len(followers))
    loading[leader, followers] = rng.normal(0, 0.35, len(followers))
    contrast[followers] = np.where(leader < 2, 0.8, -0.8)
    return ExpressionDesign(
        genes=genes,
        tumour=base + contrast,
        stroma=base - contrast,
        loading=loading,
        batch=rng.normal(0, 0.25, (len(BATCHES), NUM_GENES)),
    )


def expression_counts(
    *,
    latents: Latents,
    patient: NDArray[np.int64],
    purity: FloatArray,
    batch: NDArray[np.int64],
    rng: Generator,
) -> NDArray[np.int32]:
    """Negative binomial read counts "S G" of the biopsies of `patient` "S"; `batch` is theirs, `purity` everyone's."""
    design, n = expression_design(), len(latents)
    mesenchymal = -0.5 * latents.ne + 0.8 * rng.normal(size=n)
    presentation = 0.5 * latents.teff - 0.3 * latents.ne + 0.6 * rng.normal(size=n)
    activity = np.stack([latents.ne, latents.myc, latents.teff, latents.tam, mesenchymal, presentation], axis=1)
    activity += BIOPSY_SPREAD["expression"] * rng.normal(size=activity.shape)
    activity, purity, n = activity[patient], purity[patient], len(patient)
    tumour = np.exp(design.tumour + activity[:, :2] @ design.loading[:2])
    stroma = np.exp(design.stroma + activity[:, 2:] @ design.loading[2:])
    mean = purity[:, None] * tumour + (1 - purity)[:, None] * stroma
    mean *= np.exp(design.batch[batch])
    library = 20e6 * np.exp(0.3 * rng.normal(size=n))
    mean *= (library / mean.sum(axis=1))[:, None]
    dispersion = 0.3
    return rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape)).astype(np.int32)


@dataclass(frozen=True)
class MethylationDesign:
    """Logit of the methylated fraction in leukocytes and tumour "R", and its loadings on NE, CIMP and subtype."""

    regions: tuple[str, ...]
    leukocyte: FloatArray  # "R"
    tumour: FloatArray  # "R"
    ne: FloatArray  # "R"
    cimp: FloatArray  # "R"
    subtype: FloatArray  # "5 R"


@cache
def methylation_design() -> MethylationDesign:
    """The same 1,000 regions for every cohort: 400 subtype, 200 CIMP, 200 tumour against leukocyte, 200 null."""
    rng = np.random.default_rng([DESIGN_SEED, 2])
    kind = np.repeat(["subtype", "cimp", "tumour", "null"], [400, 200, 200, 200])
    regions = tuple(f"{name}_{i:04d}" for i, name in enumerate(kind))
    ground = rng.normal(0.0, 1.2, NUM_REGIONS)
    tumour = np.where(kind == "tumour", 2.0, np.where(kind == "cimp", -0.5, ground))
    leukocyte = np.where(kind == "tumour", -3.0, np.where(kind == "cimp", -3.0, ground))
    sign = rng.choice([-1.0, 1.0], NUM_REGIONS)
    return MethylationDesign(
        regions=regions,
        leukocyte=leukocyte,
        tumour=tumour + rng.normal(0, 0.2, NUM_REGIONS),
        ne=np.where(kind == "subtype", sign * rng.uniform(0.3, 0.9, NUM_REGIONS), 0.0),
        cimp=np.where(kind == "cimp", rng.uniform(0.5, 1.1, NUM_REGIONS), 0.0),
        subtype=np.where(kind == "subtype", rng.normal(0, 0.3, (5, NUM_REGIONS)), 0.0),
    )


def tumour_methylome(*, latents: Latents, rng: Generator) -> NDArray[np.float32]:
    """Methylated fraction of every region in pure tumour, "N R": the same tumour is read in tissue and in plasma."""
    design, n = methylation_design(), len(latents)
    ne = latents.ne + BIOPSY_SPREAD["methylation"] * rng.normal(size=n)
    cimp = latents.cimp - 1 + BIOPSY_SPREAD["methylation"] * rng.normal(size=n)
    logit = design.tumour + design.subtype[latents.subtype] + np.outer(ne, design.ne) + np.outer(cimp, design.cimp)
    logit += 0.3 * rng.normal(size=logit.shape)
    return _logistic(logit).astype(np.float32)


def methylated_fraction(
    *,
    methylome: NDArray[np.float32],
    patient: NDArray[np.int64],
    tumour_share: FloatArray,
    depth: float,
    rng: Generator,
) -> NDArray[np.float32]:
    """Read fractions "S R" of tumour mixed with leukocytes, from n_meth of n_total reads; NaN below five reads."""
    leukocyte = _logistic(methylation_design().leukocyte)
    out = np.empty((len(patient), NUM_REGIONS), dtype=np.float32)
    block = 512  # bounds memory: a large cohort has tens of thousands of plasma samples
    for start in range(0, len(patient), block):
        rows = slice(start, start + block)
        share = tumour_share[rows, None]
        mixed = share * methylome[patient[rows]] + (1 - share) * leukocyte
        total = rng.poisson(depth * np.exp(0.25 * rng.normal(size=(len(share), 1))), mixed.shape)
        methylated = rng.binomial(total, mixed)
        fraction = methylated / np.maximum(total, 1)
        out[rows] = np.where(total < 5, np.nan, np.round(fraction, 3))
    return out


@dataclass(frozen=True)
class Slide:
    """One slide: patch features "P F", places in pixels "P 2", and the true morphotype of each patch "P"."""

    features: NDArray[np.float16]
    coords: NDArray[np.int32]
    labels: NDArray[np.int8]


@cache
def _histology_design(patch_dim: int, sites: int) -> tuple[FloatArray, FloatArray]:
    """Centre of each morphotype "K F" and stain shift of each site "sites F"."""
    rng = np.random.default_rng([DESIGN_SEED, 3, patch_dim])
    centres = rng.normal(0, 1.0, (len(MORPHOTYPES), patch_dim))
    return centres, rng.normal(0, 0.3, (sites, patch_dim))


def morphotype_shares(*, latents: Latents, rng: Generator) -> FloatArray:
    """Share of each morphotype on each patient's slide, "N K"."""
    n = len(latents)
    atypia = latents.atypia + BIOPSY_SPREAD["histology"] * rng.normal(size=n)
    teff = standardised(latents.teff) + BIOPSY_SPREAD["histology"] * rng.normal(size=n)
    logit = np.tile(np.log([0.30, 0.20, 0.10, 0.10, 0.12, 0.08, 0.10]), (n, 1))
    logit[:, 3] += 0.2 * atypia
    logit[:, 5] += 0.7 * teff
    logit[:, PLEOMORPHIC] += 0.7 * atypia
    shares = np.exp(logit)
    shares = rng.gamma(60 * shares / shares.sum(axis=1, keepdims=True))  # a Dirichlet draw
    shares *= (1 - latents.needle_share)[:, None] / shares.sum(axis=1, keepdims=True)
    return np.column_stack([shares, latents.needle_share])


def slide(*, shares: FloatArray, site: int, sites: int, patch_dim: int, rng: Generator) -> Slide:
    """Draw one slide of 200 to 600 patches."""
    centres, stain = _histology_design(patch_dim, sites)
    num_patches = int(rng.integers(200, 601))
    labels = np.sort(rng.choice(len(shares), num_patches, p=shares))
    # Sorted with noise along the rows of the slide: morphotypes lie in fields, not scattered.
    labels = labels[np.argsort(np.arange(num_patches) + rng.normal(0, 10, num_patches), kind="stable")]
    features = (centres + stain[site] + 0.15 * rng.normal(size=patch_dim))[labels].astype(np.float32)
    features += rng.standard_normal(features.shape, dtype=np.float32)
    across = int(np.ceil(np.sqrt(num_patches)))
    place = np.arange(num_patches)
    coords = 256 * np.stack([place % across, place // across], axis=1)
    return Slide(features=features.astype(np.float16), coords=coords.astype(np.int32), labels=labels.astype(np.int8))
