"""The best that could be said of a simulated cohort, by what is known and by how many patients taught it.

    python benchmarks/ceiling.py [preset=strong] [patients=6000] [few=240] [out=FILE]

Tuned ridge models on what the simulator knows, on one population, scored on another: the true risk; a number per assay,
as noisy as its readout, of everybody; the same numbers with as many missing as the cohort has. At days 42 and 84 also
ctDNA so far, without a gap, and its changes. A model of real assays has to find each of these numbers first.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _runs import ROOT, markdown
from _timing import write
from numpy.random import default_rng
from numpy.typing import NDArray

from fusion.baselines.logistic import RidgeLogistic
from fusion.baselines.ridge import RidgeCox
from fusion.data.simulator.kinetics import RESPONSES, simulate_course
from fusion.data.simulator.latents import PRESETS, draw_latents
from fusion.data.simulator.oracle import RELIABILITY, Population, auroc, observe
from fusion.data.simulator.samples import tissue_samples
from fusion.metrics import concordance_index

Floats = NDArray[np.float64]
#: Who teaches a model, as rows of a population.
Rows = NDArray[np.int64]

KNOWN = ("true risk", "noisy readouts of everybody", "noisy readouts, as often missing as in the cohort")
#: Samples of ctDNA that are known by each day.
DRAWS = {0: 1, 42: 3, 84: 5}
EVALUABLE, RESPONDED = RESPONSES.index("NE"), RESPONSES.index("SD")


@dataclass(frozen=True)
class Simulated:
    """A population and its columns by what is known, "N P"."""

    people: Population
    columns: dict[str, Floats]


def simulate(preset: str, patients: int, seed: int) -> Simulated:
    """A population of its own seed."""
    streams = [default_rng([seed, number]) for number in range(4)]
    latents = draw_latents(patients=patients, preset=PRESETS[preset], rng=streams[0])
    course = simulate_course(latents=latents, preset=PRESETS[preset], rng=streams[1])
    people = observe(latents=latents, course=course, rng=streams[2])
    whole, assays = people.features["readouts"], len(RELIABILITY)
    gaps = whole.copy()
    taken = tissue_samples(np.arange(patients).astype(object), streams[3])
    for column, assay in zip(range(-assays, 0), ("variants", "expression", "methylation", "histology"), strict=True):
        there = np.zeros(patients, dtype=np.bool_)
        there[taken[assay].patient[taken[assay].passed]] = True
        gaps[~there, column] = np.nan
    return Simulated(people, dict(zip(KNOWN, (people.features["oracle"], whole, gaps), strict=True)))


def columns_at(of: Simulated, known: str, day: int) -> Floats:
    """What is known by a day: level of ctDNA, change since the first and since the lowest beside it."""
    blood = of.people.log_fraction[:, : DRAWS[day]]
    course = [blood[:, -1], blood[:, -1] - blood[:, 0], blood[:, -1] - blood.min(axis=1)]
    return np.column_stack([of.columns[known], *course]) if day else of.columns[known]


def survival_score(train: Simulated, test: Simulated, known: str, day: int, taught: Rows) -> float:
    """C-index of overall survival among those alive at a day."""
    left, out = (each.people.course.os_days - day for each in (train, test))
    kept = taught[left[taught] > 0]
    columns = columns_at(train, known, day)
    blocks = ["all"] * columns.shape[1]
    model = RidgeCox().fit(columns[kept], blocks, left[kept], train.people.course.os_event[kept])
    risk = model.log_hazard(columns_at(test, known, day))
    return concordance_index(risk[out > 0], out[out > 0], test.people.course.os_event[out > 0])


def response_score(train: Simulated, test: Simulated, known: str, taught: Rows) -> float:
    """AUROC of objective response at baseline."""
    seen, asked = (each.people.course.response < EVALUABLE for each in (train, test))
    kept = taught[seen[taught]]
    label, truth = (each.people.course.response < RESPONDED for each in (train, test))
    blocks = ["all"] * train.columns[known].shape[1]
    model = RidgeLogistic().fit(train.columns[known][kept], blocks, label[kept].astype(np.int64))
    return auroc(label=truth[asked], score=model.probability(test.columns[known])[asked, 1])


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    preset, patients, few = (
        given.get("preset", "strong"),
        int(given.get("patients", "6000")),
        int(given.get("few", "240")),
    )
    one, other = (simulate(preset, patients, seed) for seed in (11, 12))
    everybody = np.arange(patients)
    subsets = [everybody[begin : begin + few] for begin in range(0, patients - few + 1, few)][:20]
    rows = []
    for taught, parts in ((patients, [everybody]), (few, subsets)):
        for known in KNOWN:
            row = {"taught by": f"{taught} patients", "known": known}
            for day in DRAWS:
                scores = [survival_score(one, other, known, day, part) for part in parts]
                row["OS, baseline" if day == 0 else f"OS, day {day}, with ctDNA"] = f"{np.mean(scores):.3f}"
            scores = [response_score(one, other, known, part) for part in parts]
            rows.append({**row, "response, baseline": f"{np.mean(scores):.3f}"})
    print(f"{preset}: C-index and AUROC in {patients} other patients\n{markdown(rows)}")
    out = Path(given.get("out", ROOT / "runs" / "bench" / f"ceiling_{preset}.json"))
    write(out, rows=rows)


if __name__ == "__main__":
    main(sys.argv[1:])
