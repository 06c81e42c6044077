"""A file of predictions is joined with the outcomes of its cohort, or refused for what is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.data.cohort import Cohort
from fusion.data.read import read_cohort
from fusion.training.external import read_external

TASKS, TIMES = ("os", "response"), (30.0, 60.0)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return read_cohort(write_tiny_cohort(tmp_path_factory.mktemp("cohort"), patients=9, visits=2))


def predicted(cohort: Cohort) -> pd.DataFrame:
    """Predictions as `predict` writes them, with outcomes that were not known then."""
    visits = cohort.visits.assign(duration=np.nan, event=False, at_risk=False)
    number = np.arange(len(visits)) / len(visits)
    survival = visits.assign(task="os", risk=number, risk_group=1, survival_30=1 - number / 2, survival_60=1 - number)
    response = visits.assign(task="response", label=-1, prob_responder=number, prob_nonresponder=1 - number)
    return pd.concat([survival, response.drop(columns=["duration"])], ignore_index=True)


def read(tmp_path: Path, cohort: Cohort, rows: pd.DataFrame) -> pd.DataFrame:
    rows.to_parquet(tmp_path / "p.parquet")
    return read_external(tmp_path / "p.parquet", cohort, TASKS, TIMES)


def test_outcomes_come_from_the_cohort(cohort: Cohort, tmp_path: Path) -> None:
    file = predicted(cohort)
    rows = read(tmp_path, cohort, file.sample(frac=1.0, random_state=0))
    first = rows[(rows["task"] == "os") & (rows["visit"] == 0)].set_index("patient_id")
    np.testing.assert_allclose(first["duration"], cohort.outcomes.loc[first.index, "os_days"].astype(float))
    assert first["at_risk"].all()
    assert (first["event"] == (cohort.outcomes.loc[first.index, "os_event"] == 1)).all()
    wanted = file[(file["task"] == "os") & (file["visit"] == 0)].set_index("patient_id").loc[first.index]
    np.testing.assert_allclose(first["survival_30"], wanted["survival_30"])
    response = rows[rows["task"] == "response"]
    assert set(response.loc[response["at_risk"].astype(bool), "label"]) == {0, 1}
    assert (rows[["repeat", "fold"]] == 0).all(axis=None)


def test_an_endpoint_that_the_cohort_lacks_has_nobody_at_risk(cohort: Cohort, tmp_path: Path) -> None:
    rows = predicted(cohort).replace({"task": {"os": "death"}})
    rows.to_parquet(tmp_path / "p.parquet")
    read_back = read_external(tmp_path / "p.parquet", cohort, ("death", "response"), TIMES)
    assert not read_back.loc[read_back["task"] == "death", "at_risk"].any()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda rows: rows.assign(patient_id="X" + rows["patient_id"]), "9 of 9 patients in .* are not in tiny"),
        (lambda rows: pd.concat([rows, rows]), "more than once"),
        (lambda rows: rows.assign(task="pfs"), "predicts pfs, which the run does not"),
        (lambda rows: rows.drop(columns="task"), "has no column task"),
        (lambda rows: rows[:0], "has no row"),
        (lambda rows: rows.assign(day=rows["day"] + 3.0), "is another one in tiny"),
        (lambda rows: rows.assign(visit=rows["visit"] + 7), "is another one in tiny"),
        (lambda rows: rows.rename(columns={"survival_30": "survival_31"}), "on other days"),
        (lambda rows: rows.drop(columns="risk"), "has no risk for os"),
        (lambda rows: rows.drop(columns=["survival_30", "survival_60"]), "has no survival_30 for os"),
        (lambda rows: rows.assign(prob_responder=np.nan), "has no prob_responder for response"),
        (lambda rows: rows.assign(repeat=0, fold=1), "held-out predictions of a run"),
    ],
)
def test_what_is_wrong_is_said(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], says: str, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=says):
        read(tmp_path, cohort, spoil(predicted(cohort)))


def test_what_is_no_table_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    for name, says in {"text.parquet": "is no Parquet file", "absent.parquet": "there is no file"}.items():
        with pytest.raises(ValueError, match=f"{says}.*predict.py"):
            read_external(tmp_path / name, cohort, TASKS, TIMES)
