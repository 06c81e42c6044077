"""The best that a model could score on a simulated cohort, measured from its truth.

The oracles are Cox models fitted to a reference population of the same preset, larger than the cohort and drawn from
another seed, and applied to the cohort: no figure is measured where it was fitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.random import Generator

from fusion.data.simulator.blood import DETECTION_LIMIT
from fusion.data.simulator.kinetics import Course, simulate_course, tumor_fraction
from fusion.data.simulator.latents import BoolArray, FloatArray, Latents, Preset, draw_latents
from fusion.survival import kaplan_meier, median

REFERENCE_PATIENTS: Final = 4000
REFERENCE_SEED: Final = 1_000_003
#: Share of variance that an assay's readout has in common with the component it reads.
RELIABILITY: Final = {"wes": 0.9, "rna": 0.8, "meth": 0.7, "hist": 0.5}
DAYS_PER_MONTH: Final = 30.4375


def concordance(*, days: FloatArray, event: BoolArray, risk: FloatArray) -> float:
    """Harrell's C: share of comparable pairs in which the earlier event had the higher risk; ties of risk count half.

    >>> concordance(days=np.array([1.0, 2, 3]), event=np.array([True, True, False]), risk=np.array([3.0, 1, 2]))
    0.6666666666666666
    """
    agreeing = comparable = 0.0
    for i in np.flatnonzero(event):
        later = (days > days[i]) | ((days == days[i]) & ~event)
        agreeing += (risk[later] < risk[i]).sum() + 0.5 * (risk[later] == risk[i]).sum()
        comparable += later.sum()
    return float(agreeing / comparable) if comparable else float("nan")


def auroc(*, label: BoolArray, score: FloatArray) -> float:
    """Chance that a positive scores above a negative; NaN if one of them is absent."""
    if label.all() or not label.any():
        return float("nan")
    return concordance(days=np.where(label, 1.0, 2.0), event=label, risk=score)


def fit_cox(*, features: FloatArray, days: FloatArray, event: BoolArray, ridge: float = 1e-3) -> FloatArray:
    """Coefficients of a Cox model (Breslow ties) by Newton's method; features "N P" on any scale of order one."""
    order = np.argsort(-days, kind="stable")
    x, d, e = features[order], days[order], event[order]
    # Everyone whose time equals the event's is still at risk, so the risk set ends with the last of equal times.
    last = np.searchsorted(-d, -d[e], side="right") - 1
    beta = np.zeros(x.shape[1])
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    for _ in range(12):
        weight = np.exp(np.clip(x @ beta, -30, 30))
        total = np.cumsum(weight)[last]
        mean = np.cumsum(weight[:, None] * x, axis=0)[last] / total[:, None]
        second = np.cumsum(weight[:, None] * pairs, axis=0)[last] / total[:, None]
        gradient = x[e].sum(axis=0) - mean.sum(axis=0) - ridge * len(x) * beta
        information = second.sum(axis=0).reshape(len(beta), -1) - mean.T @ mean + ridge * len(x) * np.eye(len(beta))
        step = np.linalg.solve(information, gradient)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return beta


@dataclass(frozen=True)
class Population:
    """A simulated population with what the oracles read of it: features "N P" by name, ctDNA on days 0, 21, ... 84."""

    latents: Latents
    course: Course
    features: Mapping[str, FloatArray]
    log_fraction: FloatArray


def _clinical(latents: Latents) -> FloatArray:
    columns = (
        latents.extensive, np.log(latents.sld / 118), (latents.age - 62) / 10, latents.male, latents.ecog1,
        latents.liver, latents.brain, latents.ldh, latents.ever_smoker,
    )  # fmt: skip
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def observe(*, latents: Latents, course: Course, rng: Generator) -> Population:
    """Draw nominal readouts and a ctDNA series for a population."""
    clinical = _clinical(latents)
    readouts = [
        np.sqrt(share) * getattr(latents, name) + np.sqrt(1 - share) * rng.normal(size=len(latents))
        for name, share in RELIABILITY.items()
    ]
    weeks = np.tile(np.arange(0, 13, 3.0), (len(latents), 1))
    fraction = tumor_fraction(latents=latents, kinetics=course.blood, weeks=weeks, rng=rng)
    return Population(
        latents=latents,
        course=course,
        features={
            "clinical": clinical,
            "oracle": np.column_stack([clinical[:, :2], latents.eta]),
            "readouts": np.column_stack([clinical, *readouts]),
        },
        log_fraction=np.log(np.maximum(fraction, DETECTION_LIMIT)),
    )


@cache
def reference_population(preset: Preset) -> Population:
    """The population on which oracles are fitted: one draw per preset, shared by all cohorts."""
    streams = [np.random.default_rng([REFERENCE_SEED, i]) for i in range(3)]
    latents = draw_latents(patients=REFERENCE_PATIENTS, preset=preset, rng=streams[0])
    course = simulate_course(latents=latents, preset=preset, rng=streams[1])
    return observe(latents=latents, course=course, rng=streams[2])


def oracle_scores(*, cohort: Population, reference: Population) -> dict[str, FloatArray]:
    """Linear predictors of every oracle for the cohort, by endpoint and by what the oracle knows."""

    def scored(population: Population, of: Population, endpoint: str, features: str) -> FloatArray:
        days, event = getattr(population.course, f"{endpoint}_days"), getattr(population.course, f"{endpoint}_event")
        seen = days > 0
        beta = fit_cox(features=population.features[features][seen], days=days[seen], event=event[seen])
        return of.features[features] @ beta

    def at_week(week: int, with_blood: bool) -> FloatArray:
        draws = week // 3 + 1

        def columns(population: Population) -> FloatArray:
            blood = population.log_fraction[:, :draws]
            return (
                np.column_stack([population.features["readouts"], blood])
                if with_blood
                else population.features["readouts"]
            )

        days = reference.course.os_days - 7 * week
        left = days > 0
        beta = fit_cox(features=columns(reference)[left], days=days[left], event=reference.course.os_event[left])
        return columns(cohort) @ beta

    scores = {f"{e}_{f}": scored(reference, cohort, e, f) for e in ("os", "pfs") for f in cohort.features}
    for week in (3, 6, 12):
        scores[f"os_week{week}_baseline"] = at_week(week, with_blood=False)
        scores[f"os_week{week}_ctdna"] = at_week(week, with_blood=True)
    return scores


def oracle_figures(*, cohort: Population, scores: Mapping[str, FloatArray]) -> dict[str, float]:
    """What the oracles score on this cohort, beside its event fractions and medians in months."""
    course = cohort.course
    figures: dict[str, float] = {}
    for name, score in scores.items():
        endpoint, _, rest = name.partition("_")
        days, event = getattr(course, f"{endpoint}_days"), getattr(course, f"{endpoint}_event")
        start = 7.0 * int(rest.split("_")[0].removeprefix("week")) if rest.startswith("week") else 0.0
        left = days > start
        figures[f"{name}_c_index"] = concordance(days=days[left], event=event[left], risk=score[left])
    assessed = course.response < 4
    figures["response_oracle_auroc"] = auroc(label=course.response[assessed] < 2, score=-scores["pfs_oracle"][assessed])
    month = DAYS_PER_MONTH
    known = course.pfs_event | (course.pfs_days > 6 * month)
    figures["pfs6_oracle_auroc"] = auroc(label=course.pfs_days[known] > 6 * month, score=-scores["pfs_oracle"][known])
    known = course.os_event | (course.os_days > 12 * month)
    figures["death12_oracle_auroc"] = auroc(label=course.os_days[known] <= 12 * month, score=scores["os_oracle"][known])
    figures["response_rate"] = float((course.response < 2).mean())
    for endpoint in ("os", "pfs"):
        days, event = getattr(course, f"{endpoint}_days"), getattr(course, f"{endpoint}_event")
        figures[f"{endpoint}_event_fraction"] = float(event.mean())
        figures[f"{endpoint}_median_months"] = median(kaplan_meier(days, event)) / month
    return figures
