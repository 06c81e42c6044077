"""What needs scikit-survival steps aside where it is not installed, and the forest chooses the size of its leaves."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusion import baselines
from fusion.baselines import Boosting, Forest, KaplanMeier, extra
from fusion.types import VisitOutcome, VisitTable


@pytest.fixture
def without_sksurv(monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    extra.has_sksurv.cache_clear()
    yield
    extra.has_sksurv.cache_clear()


@pytest.mark.usefixtures("without_sksurv")
def test_without_scikit_survival_they_are_left_out_with_one_notice(train, caplog):
    assert not any(kind().applies(train, task) for kind in (Boosting, Forest) for task in ("os", "response"))
    assert len(caplog.records) == 1
    assert "scikit-survival" in caplog.text


def test_no_module_imports_scikit_survival_as_it_is_loaded():
    for path in Path(baselines.__file__).parent.glob("*.py"):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any(ast.unparse(node).startswith(("from sksurv", "import sksurv")) for node in top), path.name


def stripes(patients: int = 200, width: int = 10) -> VisitTable:
    """The hazard is high in every other stripe of one column, which large leaves cannot tell apart."""
    rng = np.random.default_rng(0)
    place = rng.permutation(patients)
    yes = np.ones(patients, dtype=np.bool_)
    duration = rng.exponential(np.where(place // width % 2 == 0, 1.0, 100.0))
    return VisitTable(
        patient_ids=np.array([f"P{i:03d}" for i in range(patients)], dtype=np.str_),
        visit=np.zeros(patients, dtype=np.int64),
        day=np.zeros(patients),
        features=place[:, None].astype(np.float64),
        feature_names=("clinical:place",),
        modality=("clinical",),
        outcomes={"os": VisitOutcome(duration=duration, event=yes, at_risk=yes)},
        responses={},
    )


def test_leaves_are_as_small_as_the_training_part_asks_for():
    assert Forest(num_trees=2, min_leaf=(30, 4)).fit(stripes(), "os").trees.min_samples_leaf == 4


def test_where_nobody_outlived_an_event_the_first_size_serves():
    table = stripes()
    tied = replace(table.outcomes["os"], duration=np.ones(len(table)))
    model = Forest(num_trees=2, min_leaf=(30, 4)).fit(replace(table, outcomes={"os": tied}), "os")
    assert model.trees.min_samples_leaf == 30


def test_where_nothing_can_be_learnt_it_is_kaplan_meier():
    table = stripes()
    censored = replace(table.outcomes["os"], event=np.zeros(len(table), dtype=np.bool_))
    table = replace(table, outcomes={"os": censored})
    times = np.array([1.0, 50.0])
    forest, plain = (kind().fit(table, "os").predict(table, times) for kind in (Forest, KaplanMeier))
    np.testing.assert_array_equal(forest.survival, plain.survival)
    np.testing.assert_array_equal(forest.risk, plain.risk)
