"""What is true of every simulated patient at baseline: clinical state, tumour biology, and the risk that follows.

Every array has one entry per patient, "N". Shares and effects are those of the simulator's page in the docs.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: NMF subtypes of IMpower133 and their shares.
SUBTYPES: Final = ("A", "N", "P", "I-NE", "I-nonNE")
SUBTYPE_SHARE: Final = (0.33, 0.30, 0.07, 0.15, 0.15)
#: Mean of each expression programme by subtype (columns as in `SUBTYPES`), and its spread within a subtype.
PROGRAMME_MEAN: Final = {
    "ne": ((0.9, 0.6, -1.2, 0.3, -1.3), 0.4),
    "teff": ((-0.5, -0.5, -0.2, 1.1, 0.8), 0.6),
    "tam": ((-0.3, -0.3, 0.2, -0.3, 1.1), 0.6),
    "myc": ((-0.2, 0.3, 0.7, -0.1, 0.2), 0.8),
}


@dataclass(frozen=True)
class Preset:
    """How strongly each assay's biology drives the outcome.

    Attributes:
        wes, rna, meth, hist: Effect on the log hazard of one standard deviation of each component.
        resistance: Effect of the risk on the log resistant fraction.
        hazard: Effect of the risk on the log death hazard, beside its effect on tumour growth.
        shed_spread: Log standard deviation of how much DNA a tumour sheds.
        interactions: Components that no main-effects model can see.
        associated: False cuts every path from patient to outcome: the preset on which every model must score .50.
    """

    wes: float
    rna: float
    meth: float
    hist: float
    resistance: float
    hazard: float
    shed_spread: float = 0.9
    interactions: bool = False
    associated: bool = True


PRESETS: Final = {
    "strong": Preset(wes=0.40, rna=0.85, meth=0.70, hist=0.55, resistance=0.55, hazard=0.55),
    "realistic": Preset(wes=0.22, rna=0.40, meth=0.38, hist=0.28, resistance=0.45, hazard=0.37),
    "nonlinear": Preset(
        wes=0.40, rna=0.85, meth=0.70, hist=0.55, resistance=0.55, hazard=0.55, shed_spread=1.4, interactions=True
    ),
    "null": Preset(wes=0.0, rna=0.0, meth=0.0, hist=0.0, resistance=0.0, hazard=0.0, associated=False),
}


@dataclass(frozen=True)
class Latents:
    """The truth about N patients at baseline; `wes`, `rna`, `meth`, `hist` and `clin` are the parts of `eta`."""

    extensive: BoolArray
    age: FloatArray
    male: BoolArray
    ecog1: BoolArray
    ever_smoker: BoolArray
    liver: BoolArray
    brain: BoolArray
    sld: FloatArray
    ldh: FloatArray
    subtype: NDArray[np.int64]
    ne: FloatArray
    teff: FloatArray
    tam: FloatArray
    myc: FloatArray
    tp53: BoolArray
    tp53_truncating: BoolArray
    rb1: BoolArray
    notch: BoolArray
    myc_amplified: BoolArray
    kmt2d: BoolArray
    tmb: FloatArray
    cimp: FloatArray
    atypia: FloatArray
    needle_share: FloatArray
    clin: FloatArray
    wes: FloatArray
    rna: FloatArray
    meth: FloatArray
    hist: FloatArray
    eta: FloatArray

    def __len__(self) -> int:
        return len(self.eta)


def standardised(values: FloatArray) -> FloatArray:
    """Zero mean and unit spread over the cohort; a constant becomes zero."""
    centred = values - values.mean()
    spread = centred.std()
    return centred / spread if spread > 0 else centred


def draw_latents(*, patients: int, preset: Preset, rng: Generator) -> Latents:
    """Draw the baseline truth of `patients` patients."""

    def chance(probability: float | FloatArray) -> BoolArray:
        return rng.random(patients) < probability

    extensive = chance(0.70)
    age = np.clip(rng.normal(62, 8.5, patients), 30, 89)
    male, ever_smoker = chance(0.815), chance(0.80)
    ecog1 = chance(np.where(extensive, 0.82, 0.60))
    liver, brain = chance(0.255) & extensive, chance(0.13) & extensive
    log_sld = np.where(extensive, np.log(118.0), np.log(75.0)) + np.where(extensive, 0.45, 0.40) * rng.normal(
        size=patients
    )
    sld = np.clip(np.exp(log_sld), 14, 324)
    ldh = 0.5 * standardised(np.log(sld)) + 0.5 * liver + 0.8 * rng.normal(size=patients)

    subtype = rng.choice(len(SUBTYPES), patients, p=SUBTYPE_SHARE)
    ne, teff, tam, myc = (
        np.asarray(mean)[subtype] + spread * rng.normal(size=patients) for mean, spread in PROGRAMME_MEAN.values()
    )
    tp53, tp53_truncating = chance(0.92), chance(0.35)
    rb1 = chance(np.where(subtype == SUBTYPES.index("P"), 0.35, 0.80))
    notch, myc_amplified, kmt2d = chance(0.25), chance(0.18), chance(0.13)
    tmb = np.exp(np.log(11.5) + 0.45 * rng.normal(size=patients))
    cimp = 1 + rng.normal(size=patients)
    atypia = rng.normal(size=patients)
    # The rare morphotype is a needle: in two patients of five it fills 4-10 % of the patches, else next to none.
    needle_share = np.where(chance(0.4), rng.uniform(0.04, 0.10, patients), rng.uniform(0.0, 0.02, patients))

    if preset.interactions:
        rna = teff * np.sign(ne) + 0.3 * myc
        meth = standardised(np.abs(cimp - 1)) + 0.3 * standardised(ne)
        hist = (needle_share > 0.03).astype(np.float64)
        wes = 1.0 * (rb1 ^ notch) + np.where(tp53, np.where(tp53_truncating, 0.5, -0.5), 0.0)
    else:
        rna = -0.55 * teff + 0.55 * tam + 0.30 * myc
        meth = 0.3 * standardised(ne) + 0.954 * (cimp - 1)
        hist = -0.35 * standardised(teff) + 0.937 * atypia
        wes = -0.45 * rb1 - 0.35 * notch + 0.30 * myc_amplified - 0.25 * standardised(np.log(tmb)) + 0.15 * ~kmt2d
    clin = (
        0.15 * (age - 62) / 10
        + 0.20 * male
        + 0.40 * ecog1
        + 0.35 * ldh
        + 0.45 * liver
        + 0.20 * brain
        + 0.12 * ever_smoker
    )
    wes, rna, meth, hist = (standardised(np.asarray(part, dtype=np.float64)) for part in (wes, rna, meth, hist))
    clin = clin - clin.mean()
    eta = clin + preset.wes * wes + preset.rna * rna + preset.meth * meth + preset.hist * hist
    if not preset.associated:
        eta = np.zeros(patients)
    return Latents(
        extensive=extensive, age=age, male=male, ecog1=ecog1, ever_smoker=ever_smoker, liver=liver, brain=brain,
        sld=sld, ldh=ldh, subtype=subtype, ne=ne, teff=teff, tam=tam, myc=myc, tp53=tp53,
        tp53_truncating=tp53_truncating, rb1=rb1, notch=notch, myc_amplified=myc_amplified, kmt2d=kmt2d, tmb=tmb,
        cimp=cimp, atypia=atypia, needle_share=needle_share, clin=clin, wes=wes, rna=rna, meth=meth, hist=hist, eta=eta,
    )  # fmt: skip
