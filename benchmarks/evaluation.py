"""How long evaluation takes: the C-index of a large cohort with ties, and a thousand resamples of every metric.

    python benchmarks/evaluation.py [out=FILE]

Repetitions of ours and of lifelines are taken in turn, so that a ratio is of one run on one machine. Peak memory is
that of the arrays of one call (tracemalloc).
"""

import sys
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from _timing import interleaved, medians, save
from lifelines.utils import concordance_index as lifelines_concordance

from fusion.metrics import concordance_index, score_run

GRID = np.arange(30.0, 1081.0, 30.0)


def cohort(patients: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Risk, days in whole weeks (so that many are tied) and events of a made-up cohort."""
    generator = np.random.default_rng(seed)
    risk = np.round(generator.standard_normal(patients), 2)
    event_time = generator.exponential(400.0 * np.exp(-risk))
    censored_at = generator.uniform(100.0, 1500.0, patients)
    duration = np.ceil(np.minimum(event_time, censored_at) / 7.0) * 7.0
    return risk, duration, event_time <= censored_at


def predictions(patients: int, folds: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Held-out predictions of a survival task at one visit, and their splits."""
    risk, duration, event = cohort(patients)
    survival = np.exp(-GRID * np.exp(risk)[:, None] / 400.0)
    fold = np.arange(patients) % folds
    rows = pd.DataFrame(
        {
            "repeat": 0,
            "fold": fold,
            "patient_id": [f"P{number}" for number in range(patients)],
            "visit": 0,
            "day": 0.0,
            "task": "os",
            "duration": duration,
            "event": event,
            "at_risk": True,
            "risk": risk,
            "risk_group": np.digitize(risk, [-0.5, 0.5]),
        }
    )
    rows = rows.join(pd.DataFrame(survival, columns=[f"survival_{day:g}" for day in GRID]))
    parts = [
        rows[["repeat", "patient_id"]].assign(fold=k, part=np.where(fold == k, "test", "train")) for k in range(folds)
    ]
    return rows, pd.concat(parts)


def peak_mb(work: Callable[[], Any]) -> float:
    """Megabytes allocated at most during one call."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def measure(ours: Callable[[], Any], peer: Callable[[], Any] | None, goal: float) -> dict[str, Any]:
    """Seconds of ours and of the peer in turn, their medians and ratio, peak memory of ours, and the goal."""
    work = {"ours": ours, **({"lifelines": peer} if peer else {})}
    seconds = interleaved(work)
    median = medians(seconds)
    ratio = median["lifelines"] / median["ours"] if peer else None
    return {"seconds": seconds, "median": median, "peer / ours": ratio, "peak_mb": peak_mb(ours), "goal_seconds": goal}


def main() -> int:
    """Measure, print a table, and write JSON where `out=FILE` is given."""
    risk, duration, event = cohort(50_000)
    rows, splits = predictions(300)
    results: Mapping[str, dict[str, Any]] = {
        "C-index, 50,000 patients, ties": measure(
            lambda: concordance_index(risk, duration, event),
            lambda: lifelines_concordance(duration, -risk, event),
            goal=1.0,
        ),
        "every metric, 300 patients, 1,000 resamples": measure(
            lambda: score_run(rows, None, splits, resamples=1000), None, goal=20.0
        ),
    }
    print("| work | median, s | goal, s | peak, MB | lifelines / ours |\n| --- | --- | --- | --- | --- |")
    for name, found in results.items():
        ratio = f"{found['peer / ours']:.1f}" if found["peer / ours"] else "-"
        print(
            f"| {name} | {found['median']['ours']:.3f} | {found['goal_seconds']:g} | {found['peak_mb']:.0f} | {ratio} |"
        )
    save(results, sys.argv[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
