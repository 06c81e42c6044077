"""Serial blood: when it is drawn, and what ctDNA and serum markers it shows.

Dimension key: N patients, V draws planned for each patient (NaN where none was taken).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.random import Generator

from fusion.data.simulator.kinetics import Course, tumor_fraction
from fusion.data.simulator.latents import BoolArray, FloatArray, Latents, Preset

DETECTION_LIMIT: Final = 0.001
#: Days of draws and half-width of their jitter: induction, then every six weeks.
DRAW_DAYS: Final = np.array([0, 21, 42, 63, 84, *range(126, 1093, 42)])
DRAW_JITTER: Final = np.array([0, 3, 4, 5, *(7 for _ in range(len(DRAW_DAYS) - 4))])


@dataclass(frozen=True)
class Draws:
    """Blood draws in order of time.

    Attributes:
        day: Day of each draw, NaN where there is none, "N V".
        volume: Tumour volume then, as a part of that at baseline, "N V".
        fraction: Tumour share of cell-free DNA then, "N V".
        worsening: The tumour has grown past its nadir, "N V".
    """

    day: FloatArray
    volume: FloatArray
    fraction: FloatArray
    worsening: BoolArray

    @property
    def taken(self) -> BoolArray:
        return ~np.isnan(self.day)


def draw_blood(*, latents: Latents, course: Course, preset: Preset, informative_visits: bool, rng: Generator) -> Draws:
    """Plan and take blood: induction draws in everyone alive, later ones until progression, and one at progression."""
    n = len(latents)
    jitter = rng.integers(-DRAW_JITTER, DRAW_JITTER + 1, (n, len(DRAW_DAYS)))
    day = (DRAW_DAYS + jitter).astype(np.float64)
    # Without association progression must leave no trace in the schedule either.
    progression = course.progression_day if preset.associated else np.full(n, np.inf)
    planned = (day <= 91) | (day < progression[:, None])
    planned &= np.abs(day - progression[:, None]) > 7  # the draw at progression takes its place

    def rising(days: FloatArray) -> BoolArray:
        now, before = (course.blood.volume(np.maximum(d, 0) / 7, progression / 7) for d in (days, days - 14))
        return now > before

    if informative_visits:
        growing = rising(day)
        skipped = ~growing & (DRAW_DAYS > 0) & (rng.random(day.shape) < 0.4)
        extra = day + 14
        called = growing & (DRAW_DAYS > 0) & (rng.random(day.shape) < 0.6) & (extra < progression[:, None])
        planned = np.concatenate([planned & ~skipped, called], axis=1)
        day = np.concatenate([day, extra], axis=1)
    at_progression = np.where(np.isfinite(progression), progression, 0)
    day = np.column_stack([day, at_progression])
    planned = np.column_stack([planned, np.isfinite(progression)])
    planned &= (day < course.death_day[:, None]) & (day <= course.censor_day[:, None])
    day = np.sort(np.where(planned, day, np.nan), axis=1)
    weeks = np.where(np.isnan(day), 0.0, day) / 7
    return Draws(
        day=day,
        volume=course.blood.volume(weeks, progression / 7),
        fraction=tumor_fraction(latents=latents, kinetics=course.blood, weeks=weeks, rng=rng),
        worsening=rising(7 * weeks),
    )


def plasma_taken(draws: Draws, rng: Generator) -> BoolArray:
    """Draws with usable plasma: 95 % at baseline, then 88 % less 3 points a visit, and fewer as the patient worsens."""
    visit = np.cumsum(draws.taken, axis=1) - 1
    share = np.where(visit == 0, 0.95, np.maximum(0.88 - 0.03 * (visit - 1), 0.4))
    share = np.where((visit > 0) & draws.worsening, 0.85 * share, share)
    return draws.taken & (rng.random(share.shape) < share)


def plasma_table(*, draws: Draws, taken: BoolArray, rng: Generator) -> pd.DataFrame:
    """Cell-free DNA of every plasma sample, row by row of `taken`; what is not detected reads as the limit."""
    fraction = draws.fraction[taken]
    size = len(fraction)
    detected = fraction >= DETECTION_LIMIT
    shown = np.where(detected, fraction, DETECTION_LIMIT)
    volume = draws.volume[taken]
    return pd.DataFrame(
        {
            "tumor_fraction": np.round(shown, 5),
            "mean_vaf": np.round(np.where(detected, 0.5 * shown * np.exp(0.2 * rng.normal(size=size)), 0.0), 5),
            "detected": detected.astype(np.int64),
            "lod": DETECTION_LIMIT,
            "cfdna_ng_ml": np.round(np.exp(np.log(8.0) + 0.25 * np.log1p(volume) + 0.6 * rng.normal(size=size)), 2),
        }
    )


def baseline_ldh(latents: Latents) -> FloatArray:
    """Lactate dehydrogenase before treatment, U/l."""
    return np.exp(np.log(225) + 0.28 * latents.ldh)


def labs_table(*, latents: Latents, draws: Draws, taken: BoolArray, rng: Generator) -> pd.DataFrame:
    """Serum markers of every serum sample; about 30 % of patients secrete little ProGRP, whatever the tumour does."""
    n = len(latents)
    patient = np.nonzero(taken)[0]
    size = len(patient)
    load = np.log(np.maximum(draws.volume[taken], 1e-3)) + 3 * np.log(latents.sld / 118)[patient]
    change = np.log(np.maximum(draws.volume[taken], 1e-3))
    secretor = (rng.random(n) < 0.7)[patient]
    level_progrp, level_nse = 0.5 * rng.normal(size=(2, n))
    ne = latents.ne[patient]

    def noise(spread: float) -> FloatArray:
        return spread * rng.normal(size=size)

    progrp = np.log(45) + level_progrp[patient] + noise(0.25)
    progrp += secretor * (1.6 + 0.5 * ne + 0.65 * np.maximum(load, -4))
    nse = np.log(22) + level_nse[patient] + 0.15 * ne + 0.14 * np.maximum(load, -4) + noise(0.28)
    drift = 0.05 * change + np.where(draws.day[taken] > 0, noise(0.10), 0.0)
    ldh = baseline_ldh(latents)[patient] * np.exp(drift)
    nlr = np.log(3.4) - 0.15 * latents.teff[patient] + 0.03 * change + noise(0.4)
    albumin = 40 - 1.2 * latents.ecog1[patient] - 0.5 * np.clip(change, -2, 2) + noise(3.0)
    return pd.DataFrame(
        {
            "progrp": np.round(np.exp(progrp), 1),
            "nse": np.round(np.exp(nse), 1),
            "ldh": np.round(ldh, 0),
            "nlr": np.round(np.exp(nlr), 2),
            "albumin": np.round(albumin, 1),
        }
    )
