"""Rules 1 and 3: what comes after a day, and when it comes, changes no prediction made by that day."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.audit.copy import with_later_visits, with_other_samples, without_later_visits
from fusion.audit.finding import Finding, judged
from fusion.audit.folds import SavedFold
from fusion.data.cohort import Cohort
from fusion.data.dataset import load_tables

KEYS = ["task", "patient_id", "visit"]
#: So many are predicted.
PATIENTS = 60
#: Days by which later visits are delayed.
DELAY = 17.0
#: With fewer visits the same sums are taken in another order.
ROUNDING = 1e-4


def future_samples_change_nothing(fold: SavedFold, cohort: Cohort, cuts: Sequence[float]) -> Finding:
    """Rule 1: with every later sample exchanged for another patient's, predictions stay the same to the last bit.

    Args:
        fold: A fold of the run; patients of its test part are predicted.
        cohort: The cohort.
        cuts: Days after which samples are changed.
    """
    return _unchanged(
        "Rule 1: later samples change no earlier prediction",
        {f"other samples after day {cut:g}": (cut, with_other_samples(cohort, cut), 0.0) for cut in cuts},
        _predictor(fold),
        cohort,
        "find what looks ahead: a temporal module that is not causal, or a feature made from all samples of a patient",
    )


def future_visits_change_nothing(fold: SavedFold, cohort: Cohort, cuts: Sequence[float]) -> Finding:
    """Rule 3: whether and when a patient comes again changes nothing either; the arguments are those of rule 1."""
    changes = {}
    for cut in cuts:
        changes[f"visits after day {cut:g} delayed"] = (cut, with_later_visits(cohort, cut, DELAY), 0.0)
        changes[f"visits after day {cut:g} taken away"] = (cut, without_later_visits(cohort, cut), ROUNDING)
    return _unchanged(
        "Rule 3: neither the gap to the next visit nor the number of visits to come is an input",
        changes,
        _predictor(fold),
        cohort,
        "take the time of later visits out of the inputs; only the days since earlier ones are known",
    )


def _predictor(fold: SavedFold) -> Callable[[Cohort], pd.DataFrame]:
    def predict(cohort: Cohort) -> pd.DataFrame:
        tables = load_tables(cohort, fold.recipe.make_modalities())
        return fold.fitted.predict(cohort, tables, fold.split.test[:PATIENTS], fold.recipe.times)

    return predict


def _unchanged(
    rule: str,
    changes: Mapping[str, tuple[float, Cohort, float]],
    predict: Callable[[Cohort], pd.DataFrame],
    cohort: Cohort,
    remedy: str,
) -> Finding:
    """Compare predictions up to each day with those of the changed cohort; a change that reaches none tests nothing."""
    before = predict(cohort)
    faults, compared, moved = [], 0, 0
    for what, (cut, changed, tolerance) in changes.items():
        after = predict(changed)
        both = before.merge(after, on=KEYS, suffixes=("", "_after"))
        apart = _difference(both)
        past = (both["day"] <= cut).to_numpy()
        compared += int(past.sum())
        moved += int((apart[~past] > 0).sum()) + len(before) - len(both)
        if (apart[past] > tolerance).any():
            wrong = int((apart[past] > tolerance).sum())
            faults.append(
                f"{what}: {wrong} of {int(past.sum())} earlier predictions change, by {apart[past].max():.2g}"
            )
    if not moved:
        return Finding(rule, "not applicable", "no held-out patient has a later visit")
    good = f"{compared} predictions compared and equal, while {moved} later ones changed"
    return judged(rule, faults, good, remedy)


def _difference(both: pd.DataFrame) -> np.ndarray:
    """Largest difference of each row over all predicted numbers."""
    names = [
        name
        for name in both
        if f"{name}_after" in both and name.startswith(("risk", "survival_", "prob_", "incidence_"))
    ]
    numbers = [both[[f"{name}{end}" for name in names]].to_numpy(dtype=np.float64) for end in ("", "_after")]
    return np.asarray(np.nan_to_num(np.abs(numbers[0] - numbers[1])).max(axis=1))
