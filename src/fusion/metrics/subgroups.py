"""Scores within subgroups of patients: does the model hold for both stages, for women, for the old, at every site?"""

from collections.abc import Sequence

import pandas as pd

from fusion.metrics.bootstrap import patient_weights
from fusion.metrics.dynamic import ModelTable
from fusion.metrics.scorer import Json, Scorer

#: Columns of `subgroups.csv` beside `patient_id`; whichever of them a cohort has.
COVARIATES = ("stage", "sex", "age_group", "site")
#: Age at which the old begin, as in most trials of lung cancer.
OLD = 65
#: Smaller subgroups are counted, not scored: a person may be recognised, and a figure says nothing.
FEWEST_PATIENTS = 10
#: What is printed of a subgroup, of a task that is a time and of one that is a class.
FIGURES = ("c_index", "auc", "scaled_brier", "observed_expected", "auroc", "brier")


def subgroup_table(patients: pd.DataFrame) -> pd.DataFrame:
    """Covariates that define subgroups, as text: what a run keeps as `subgroups.csv`.

    Takes the `patients` table of a cohort, whose index is `patient_id`. Age is cut at 65 years. A value that is not
    known stays blank.

    >>> subgroup_table(pd.DataFrame({"age": [71, 50], "ldh": [1.0, 2.0]}, index=["a", "b"]))
      patient_id    age_group
    0          a  65 or older
    1          b     under 65
    """
    table = pd.DataFrame({"patient_id": patients.index.astype(str)})
    for name in COVARIATES:
        if name == "age_group" and "age" in patients:
            age = patients["age"]
            text = pd.Series(["65 or older" if years >= OLD else "under 65" for years in age], index=table.index)
            table[name] = text.where(age.notna().to_numpy(), "")
        elif name in patients:
            known = patients[name].notna().to_numpy()
            table[name] = patients[name].astype(str).where(known, "").to_numpy()
    return table


def score_subgroups(
    table: ModelTable, groups: pd.DataFrame, *, horizons: Sequence[float], resamples: int = 1000, seed: int = 0
) -> Json:
    """Baseline figures of one model in every subgroup; what was fitted on training patients stays as it is.

    Args:
        table: Predictions of the model.
        groups: As `subgroup_table` gives it; a blank belongs to no subgroup.
        horizons: Days after the prediction time; errors are those of the middle one.
        resamples: Bootstrap resamples of patients.
        seed: Of the bootstrap.

    Returns:
        {task: {covariate: {level: figures with `n` and `events`}}}; a level of few patients has its `n` alone.

    Raises:
        ValueError: `groups` does not say whose covariates these are, or holds a patient twice.
    """
    if "patient_id" not in groups or groups["patient_id"].duplicated().any():
        raise ValueError("subgroups.csv needs a `patient_id` column with every patient once; write it again")
    patients = tuple(sorted(str(each) for each in table.predictions["patient_id"].unique()))
    ordered = tuple(sorted(float(horizon) for horizon in horizons))
    weights = patient_weights(len(patients), resamples, seed)
    scorer = Scorer(patients, weights, (ordered[len(ordered) // 2],))
    named = groups.fillna("").astype(str).set_index("patient_id")
    named = named[named.index.isin(patients)]
    result: Json = {}
    for task in dict.fromkeys(str(each) for each in table.predictions["task"]):
        result[task] = {
            name: {
                str(level): _figures(scorer, table, task, list(inside.index))
                for level, inside in named[named[name] != ""].groupby(name)
            }
            for name in COVARIATES
            if name in named
        }
    return result


def _figures(scorer: Scorer, table: ModelTable, task: str, patients: list[str]) -> Json:
    scored = scorer.score(table, task, None, patients) if len(patients) >= FEWEST_PATIENTS else None
    if scored is None:
        return {"n": len(patients)}
    figures = scored.figures()
    return {name: figures[name] for name in (*FIGURES, "n", "events") if name in figures}
