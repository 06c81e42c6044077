"""Predictions of another cohort, read back from a file with the outcomes that the cohort tells now."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
from pyarrow import ArrowException

from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE
from fusion.training.predictions import survival_columns, target_rows

KEYS = ["patient_id", "visit", "day", "task"]


def read_external(path: Path, cohort: Cohort, tasks: Collection[str], times: Collection[float]) -> pd.DataFrame:
    """Read what `predict` wrote and join the outcomes of the cohort, as one repeat and one fold.

    Outcomes in the file are not read: follow-up may have gone on since the prediction was made.

    Args:
        path: The file.
        cohort: Whose patients were predicted.
        tasks: Those of the run.
        times: Days of its survival curves.

    Raises:
        ValueError: The file is not of this run and this cohort, and how it differs.
    """
    columns = survival_columns(sorted(times))
    rows = _read(path, columns)
    if "fold" in rows:
        raise ValueError(f"{path} holds held-out predictions of a run; give what predict.py wrote for {cohort.name}")
    if foreign := sorted(set(rows["task"]) - set(tasks)):
        raise ValueError(f"{path} predicts {', '.join(foreign)}, which the run does not; give the run that made it")
    twice = rows[rows.duplicated(["patient_id", "visit", "task"])]
    if len(twice):
        raise ValueError(
            f"{path} predicts visit {twice['visit'].iloc[0]} of patient {twice['patient_id'].iloc[0]} more than once; "
            "predict again"
        )
    known = cohort.visits.assign(patient_id=cohort.visits["patient_id"].astype(str))
    strangers = sorted(set(rows["patient_id"]) - set(known["patient_id"]))
    if strangers:
        raise ValueError(
            f"{len(strangers)} of {rows['patient_id'].nunique()} patients in {path} are not in {cohort.name}, such as "
            f"{strangers[0]}; give the cohort that was predicted as data.path"
        )
    days = rows.merge(known, on=["patient_id", "visit"], how="left", suffixes=("", "_of_cohort"))
    moved = rows[~((days["day"] - days["day_of_cohort"]).abs() < 0.01).to_numpy()]
    if len(moved):
        raise ValueError(
            f"visit {moved['visit'].iloc[0]} of patient {moved['patient_id'].iloc[0]} is another one in {cohort.name} "
            f"now, as are {len(moved) - 1} more predictions; predict again"
        )
    frames = [_with_targets(path, mine, cohort, str(task), columns) for task, mine in rows.groupby("task", sort=False)]
    return pd.concat(frames, ignore_index=True).assign(repeat=0, fold=0)


def _with_targets(path: Path, rows: pd.DataFrame, cohort: Cohort, task: str, survival: list[str]) -> pd.DataFrame:
    """Rows of one task: what was predicted, and what the cohort tells."""
    wanted = ["prob_nonresponder", "prob_responder"] if task == RESPONSE else ["risk", "risk_group", *survival]
    absent = [name for name in wanted if name not in rows or rows[name].isna().any()]
    if absent:
        raise ValueError(f"{path} has no {absent[0]} for {task} or lacks some of it; predict again")
    targets = target_rows(cohort, rows[["patient_id", "visit", "day"]], task)
    return pd.concat([targets, rows[wanted].reset_index(drop=True)], axis=1)


def _read(path: Path, survival: list[str]) -> pd.DataFrame:
    remedy = "write it with predict.py run=RUN data.path=DIR out=FILE.parquet"
    if not path.is_file():
        raise ValueError(f"there is no file {path}; {remedy}")
    try:
        rows = pd.read_parquet(path)
    except (ArrowException, OSError, ValueError):
        raise ValueError(f"{path} is no Parquet file; {remedy}") from None
    absent = [name for name in KEYS if name not in rows]
    if absent or not len(rows):
        raise ValueError(f"{path} has no {'column ' + absent[0] if absent else 'row'}; {remedy}")
    found = {str(name) for name in rows if str(name).startswith("survival_")}
    if found and found != set(survival):
        raise ValueError(f"the curves of {path} are on other days than those of the run; give the run that made it")
    return rows.assign(patient_id=rows["patient_id"].astype(str), task=rows["task"].astype(str))
