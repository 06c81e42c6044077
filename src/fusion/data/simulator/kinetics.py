"""How a simulated tumour shrinks, regrows, sheds DNA and kills: scans, progression, response and death.

Dimension key: N patients, S scans (0 = baseline), L target lesions. Time runs in weeks from day 0 inside this file;
what leaves it is in days. Diameters are whole tenths of a millimetre, so that RECIST is decided exactly.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fusion.data.simulator.latents import BoolArray, FloatArray, Latents, Preset

HORIZON: Final = 312  # weeks simulated before censoring
#: Every 6 weeks to week 48, then every 9; the first is baseline.
SCAN_WEEKS: Final = np.array([*range(0, 49, 6), *range(57, HORIZON + 1, 9)])
MAX_LESIONS: Final = 5
#: Best response, best first; the code of a scan is the place here.
RESPONSES: Final = ("CR", "PR", "SD", "PD", "NE")


@dataclass(frozen=True)
class Kinetics:
    """Resistant fraction, rates of death and growth per week, and DNA shed by each tumour."""

    phi: FloatArray
    kd: FloatArray
    kg: FloatArray
    shed: FloatArray

    def sensitive(self, weeks: FloatArray) -> FloatArray:
        """Part of the first volume that treatment still kills, "N K" for weeks "N K" or "K"."""
        return (1 - self.phi)[:, None] * np.exp(-self.kd[:, None] * weeks)

    def resistant(self, weeks: FloatArray, progression: FloatArray) -> FloatArray:
        """Part of the first volume that grows, 1.6 times as fast after the week of progression."""
        late = np.maximum(weeks - progression[:, None], 0)
        return self.phi[:, None] * np.exp(self.kg[:, None] * (weeks + 0.6 * late))

    def volume(self, weeks: FloatArray, progression: FloatArray) -> FloatArray:
        """Tumour volume as a part of that at baseline."""
        return self.sensitive(weeks) + self.resistant(weeks, progression)


@dataclass(frozen=True)
class Course:
    """What happened to N patients.

    Attributes:
        kinetics: Of the tumour on the scans.
        blood: Of the tumour in the blood: the same, but an unrelated one in a cohort without association.
        progression_day: Day of the scan that shows progression; infinite if death comes first.
        death_day: Day of death, before censoring.
        censor_day: End of follow-up.
        diameters: Tenths of a millimetre, "N S L"; 0 where the lesion does not exist or cannot be seen.
        nodal: Lesion is a lymph node, "N L".
        num_lesions: Target lesions, "N".
        new_lesion: A new lesion is on the scan, "N S".
        num_scans: Scans made, baseline included; none after progression, death or censoring, "N".
        os_days, os_event, pfs_days, pfs_event: The endpoints.
        response: Place in `RESPONSES` of the best overall response.
        response_day: Day of the first scan that shows it; NaN if never assessed.
    """

    kinetics: Kinetics
    blood: Kinetics
    progression_day: FloatArray
    death_day: FloatArray
    censor_day: FloatArray
    diameters: NDArray[np.int64]
    nodal: BoolArray
    num_lesions: NDArray[np.int64]
    new_lesion: BoolArray
    num_scans: NDArray[np.int64]
    os_days: FloatArray
    os_event: BoolArray
    pfs_days: FloatArray
    pfs_event: BoolArray
    response: NDArray[np.int64]
    response_day: FloatArray


def _draw_kinetics(latents: Latents, preset: Preset, extensive: BoolArray, rng: Generator) -> Kinetics:
    n, eta = len(latents), latents.eta
    u1, u2, u3 = rng.normal(size=(3, n))
    phi = np.exp(np.where(extensive, -3.4, -4.5) + preset.resistance * eta + 1.6 * u1)
    cured = rng.random(n) < 1 / (1 + np.exp(-(np.where(extensive, -2.1, -0.55) - 0.9 * eta)))
    return Kinetics(
        phi=np.where(cured, 0.0, np.minimum(phi, 0.9)),
        kd=np.exp(-1.5 - 0.12 * eta + 0.45 * u2),
        kg=np.exp(-2.85 + 0.22 * eta + 0.50 * u3),
        shed=np.where(extensive, 1.0, 0.41) * np.exp(preset.shed_spread * rng.normal(size=n)),
    )


def _first(flags: BoolArray, otherwise: int) -> NDArray[np.int64]:
    """Place of the first True in each row, or `otherwise`."""
    return np.where(flags.any(axis=1), flags.argmax(axis=1), otherwise)


def _week_reached(hazard: FloatArray, threshold: FloatArray) -> FloatArray:
    """Week at which the cumulated weekly hazard "N W" passes the threshold "N"; infinite if it never does."""
    cumulated = np.concatenate([np.zeros((len(hazard), 1)), np.cumsum(hazard, axis=1)], axis=1)
    week = (cumulated[:, 1:] < threshold[:, None]).sum(axis=1)
    reached = week < hazard.shape[1]
    place = np.minimum(week, hazard.shape[1] - 1)
    rows = np.arange(len(hazard))
    inside = (threshold - cumulated[rows, place]) / hazard[rows, place]
    return np.where(reached, place + inside, np.inf)


def _baseline_lesions(sld: FloatArray, rng: Generator) -> tuple[FloatArray, BoolArray, NDArray[np.int64]]:
    """Split each sum of diameters into one to five target lesions of 10 mm or more; those of 15 mm may be nodes."""
    most = np.minimum(MAX_LESIONS, sld // 14).astype(np.int64)
    count = rng.integers(1, most + 1)
    exists = np.arange(MAX_LESIONS) < count[:, None]
    weight = np.where(exists, rng.gamma(3.0, size=exists.shape), 0.0)
    free = (sld - 10.0 * count)[:, None] * weight / weight.sum(axis=1, keepdims=True)
    diameter = np.where(exists, 10.0 + free, 0.0)
    return diameter, (diameter >= 15) & (rng.random(exists.shape) < 0.3), count


def _assess(
    diameters: NDArray[np.int64], nodal: BoolArray, new_lesion: BoolArray, num_lesions: NDArray[np.int64]
) -> NDArray[np.int64]:
    """RECIST 1.1 class of every scan after baseline, "N S-1", as a place in `RESPONSES`."""
    total = diameters.sum(axis=2)
    nadir = np.minimum.accumulate(total, axis=1)[:, :-1]
    baseline, total = total[:, :1], total[:, 1:]
    exists = np.arange(diameters.shape[2]) < num_lesions[:, None]
    gone = np.where(nodal[:, None], diameters[:, 1:] < 100, diameters[:, 1:] == 0) | ~exists[:, None]
    complete = gone.all(axis=2)
    responded = np.cumsum(complete, axis=1) > complete  # at an earlier scan
    seen_again = responded & ((diameters[:, 1:] > 0) & ~nodal[:, None]).any(axis=2)
    grown = (10 * total >= 12 * nadir) & (total - nadir >= 50)
    # Nodes that grow within the normal size are no progression: the response is still complete.
    progressed = new_lesion[:, 1:] | ((grown | seen_again) & ~complete)
    return np.select([progressed, complete, 10 * total <= 7 * baseline], [3, 0, 1], default=2)


def simulate_course(*, latents: Latents, preset: Preset, rng: Generator) -> Course:
    """Run every tumour from day 0 to death or the end of follow-up."""
    n, eta = len(latents), latents.eta
    extensive = latents.extensive if preset.associated else np.ones(n, dtype=np.bool_)
    kinetics = _draw_kinetics(latents, preset, extensive, rng)
    blood = kinetics if preset.associated else _draw_kinetics(latents, preset, extensive, rng)
    never = np.full(n, np.inf)
    middle = np.arange(0.5, HORIZON, dtype=np.float64)

    spread = 0.0063 * np.exp(0.35 * eta)[:, None] * np.clip(kinetics.resistant(middle, never) / 0.05, 1e-4, 40)
    new_week = _week_reached(spread * np.where(extensive, 1.0, 0.67)[:, None], rng.exponential(size=n))
    new_lesion = new_week[:, None] <= SCAN_WEEKS

    first, nodal, num_lesions = _baseline_lesions(latents.sld, rng)
    ratio = np.cbrt(np.minimum(kinetics.volume(SCAN_WEEKS.astype(np.float64), never), 1e3))
    ratio[:, 1:] *= np.exp(0.06 * rng.normal(size=(n, len(SCAN_WEEKS) - 1)))
    measured = np.rint(10 * first[:, None] * ratio[:, :, None]).astype(np.int64)
    diameters = np.where(measured < 50, 0, measured)
    classes = _assess(diameters, nodal, new_lesion, num_lesions)

    progression_scan = 1 + _first(classes == RESPONSES.index("PD"), otherwise=len(SCAN_WEEKS) - 1)
    progression = np.append(SCAN_WEEKS, np.inf)[progression_scan]
    burden = kinetics.volume(middle, progression)
    if preset.associated:
        burden *= (latents.sld / 118)[:, None] ** 3
    hazard = 0.0070 * np.exp(preset.hazard * eta)[:, None] * np.clip(burden, 1e-3, 200) ** 0.97 + 0.00045
    death_day = np.maximum(1, np.ceil(7 * _week_reached(hazard, rng.exponential(size=n))))
    censor_day = np.rint(7 * (26 + rng.uniform(0, 130, n)))

    scan_days = 7.0 * SCAN_WEEKS
    seen = (scan_days < death_day[:, None]) & (scan_days <= censor_day[:, None])
    seen &= np.arange(len(SCAN_WEEKS)) <= progression_scan[:, None]
    num_scans = seen.sum(axis=1)
    progressed = progression_scan < num_scans
    progression_day = np.where(progressed, 7 * progression, np.inf)

    # A scan that was not made counts as not evaluable; the best class is the smallest code, first reached.
    made = np.where(seen[:, 1:], classes, RESPONSES.index("NE"))
    response = made.min(axis=1)
    response_day = np.where(num_scans > 1, scan_days[1 + made.argmin(axis=1)], np.nan)

    os_days, os_event = np.minimum(death_day, censor_day), death_day <= censor_day
    last_scan = scan_days[num_scans - 1]
    pfs_days = np.where(progressed, progression_day, np.where(os_event, os_days, last_scan))
    return Course(
        kinetics=kinetics, blood=blood, progression_day=progression_day, death_day=death_day, censor_day=censor_day,
        diameters=diameters, nodal=nodal, num_lesions=num_lesions, new_lesion=new_lesion, num_scans=num_scans,
        os_days=os_days, os_event=os_event, pfs_days=pfs_days, pfs_event=progressed | os_event,
        response=response, response_day=response_day,
    )  # fmt: skip


def tumor_fraction(*, latents: Latents, kinetics: Kinetics, weeks: FloatArray, rng: Generator) -> FloatArray:
    """Tumour share of cell-free DNA at `weeks` "N K", before the limit of detection."""
    growth = kinetics.phi[:, None] * np.exp(np.minimum(1.6 * kinetics.kg[:, None] * weeks, 50))
    tumour = (1 - kinetics.phi)[:, None] * np.exp(-3 * kinetics.kd[:, None] * weeks) + 0.4 * growth
    scale = 0.06 * (latents.sld / 118) ** 1.5 * kinetics.shed
    return np.minimum(scale[:, None] * tumour * np.exp(0.35 * rng.normal(size=weeks.shape)), 0.9)
