"""Splits: who is held out does not depend on file order, no patient is in two parts, events are spread evenly."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.data.cohort import Cohort
from fusion.data.splits import (
    HoldOut,
    SiteHeldOut,
    Split,
    StratifiedKFold,
    Subsampling,
    Temporal,
    UserSplits,
    read_splits,
    split_hash,
    write_splits,
)


def make_cohort(patients: int, seed: int = 0, endpoint: str = "os", splits: pd.DataFrame | None = None) -> Cohort:
    rng = np.random.default_rng(seed)
    index = pd.Index([f"P{i:03d}" for i in range(patients)], name="patient_id")
    baseline = pd.DataFrame(
        {
            "stage": rng.choice(["ES", "LS", None], size=patients, p=[0.6, 0.3, 0.1]),
            "site": rng.choice(["north", "south", "west"], size=patients),
            "age": rng.normal(62, 8, patients),
            "enrolment": rng.integers(2015, 2021, patients),
        },
        index=index,
    )
    event = pd.array(rng.random(patients) < 0.4, dtype="boolean")
    outcomes = pd.DataFrame({f"{endpoint}_days": 100.0, f"{endpoint}_event": event}, index=index)
    visits = pd.DataFrame({"patient_id": index, "visit": 0, "day": 0.0})
    return Cohort(
        name="made",
        folder=Path(),
        settings={},
        patients=baseline,
        outcomes=outcomes,
        endpoints=(endpoint,),
        samples=pd.DataFrame(columns=["patient_id", "modality"]),
        visits=visits,
        splits=splits,
    )


def assert_parts_cover_patients(splits: list[Split], cohort: Cohort) -> None:
    for split in splits:
        everyone = [*split.train, *split.val, *split.test]
        assert len(set(everyone)) == len(everyone)
        assert set(everyone) == set(cohort.patient_ids)
        assert split.train
        assert split.test


@settings(max_examples=25, deadline=None)
@given(
    patients=st.integers(10, 80),
    seed=st.integers(0, 1000),
    folds=st.integers(2, 5),
    repeats=st.integers(1, 3),
    val_fraction=st.sampled_from([0.0, 0.1, 0.2, 0.5]),
    covariates=st.sampled_from([(), ("stage",), ("stage", "age", "absent")]),
)
def test_kfold_holds_every_patient_out_once_and_spreads_events(
    patients: int, seed: int, folds: int, repeats: int, val_fraction: float, covariates: tuple[str, ...]
) -> None:
    cohort = make_cohort(patients, seed)
    splitter = StratifiedKFold(
        folds=folds, repeats=repeats, val_fraction=val_fraction, seed=seed, covariates=covariates
    )
    splits = splitter(cohort)
    assert_parts_cover_patients(splits, cohort)
    event = cohort.outcomes["os_event"]
    for repeat in range(repeats):
        mine = [split for split in splits if split.repeat == repeat]
        assert [split.fold for split in mine] == list(range(folds))
        assert Counter(p for split in mine for p in split.test) == Counter(cohort.patient_ids)
        sizes = [len(split.test) for split in mine]
        events = [int(event[list(split.test)].sum()) for split in mine]
        assert max(sizes) - min(sizes) <= 1
        assert max(events) - min(events) <= 1
    for split in splits:
        rest = [*split.train, *split.val]
        assert len(split.val) == (max(1, round(len(rest) * val_fraction)) if val_fraction else 0)
        expected = event[rest].sum() * len(split.val) / len(rest)
        assert abs(event[list(split.val)].sum() - expected) <= 1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), order=st.randoms(use_true_random=False))
def test_order_of_the_patients_is_irrelevant(seed: int, order: object) -> None:
    cohort = make_cohort(25, seed)
    places = list(range(25))
    order.shuffle(places)  # type: ignore[attr-defined]
    shuffled = replace(cohort, patients=cohort.patients.iloc[places], outcomes=cohort.outcomes.iloc[places])
    for splitter in (StratifiedKFold(covariates=("stage", "age")), SiteHeldOut(), HoldOut(test_fraction=0.3)):
        assert splitter(cohort) == splitter(shuffled)


def test_covariates_are_balanced_and_numbers_are_cut() -> None:
    cohort = make_cohort(200)
    old = set(cohort.patients.index[cohort.patients["age"] > cohort.patients["age"].quantile(2 / 3)])
    share = [len(old & set(s.test)) for s in StratifiedKFold(repeats=1, covariates=("age",))(cohort)]
    assert max(share) - min(share) <= 2  # at most one in each of the strata with and without event


def test_stratification_falls_back_on_the_first_endpoint() -> None:
    cohort = make_cohort(53, endpoint="death")
    events = [int(cohort.outcomes["death_event"][list(s.test)].sum()) for s in StratifiedKFold(repeats=1)(cohort)]
    assert max(events) - min(events) <= 1


def test_seeds_and_repeats_differ_and_the_split_is_the_same_everywhere() -> None:
    cohort = make_cohort(30)
    first = StratifiedKFold(seed=0)(cohort)
    assert {s.test for s in first if s.repeat == 0} != {s.test for s in first if s.repeat == 1}
    assert split_hash(first) != split_hash(StratifiedKFold(seed=1)(cohort))
    plain = replace(cohort, patients=cohort.patients[[]], outcomes=cohort.outcomes.assign(os_event=True))
    # A frozen value: a library, a machine or an edit that moves one patient changes it, and old runs with it.
    assert split_hash(StratifiedKFold()(plain)) == "25bfcc4187b041ef0d63d57d99a25c88b4a57fed16ce298d64113f7ffe51de38"


def test_subsamples_hold_the_share_of_a_bootstrap_and_differ() -> None:
    cohort = make_cohort(100)
    splits = Subsampling(repeats=10)(cohort)
    assert_parts_cover_patients(splits, cohort)
    assert [(split.repeat, split.fold) for split in splits] == [(repeat, 0) for repeat in range(10)]
    assert {len(split.test) for split in splits} == {37}
    held_out = Counter(patient for split in splits for patient in split.test)
    assert len({split.test for split in splits}) == 10
    assert max(held_out.values()) < 10, "who is left out is drawn anew each time"


def test_the_final_model_sees_everyone() -> None:
    cohort = make_cohort(50)
    split = StratifiedKFold(folds=5, repeats=1)(cohort)[0]
    everyone = StratifiedKFold(folds=5, repeats=1).everyone(cohort)
    assert not everyone.test
    assert set(everyone.train) | set(everyone.val) == set(cohort.patient_ids)
    assert len(everyone.val) == 10 > len(split.val)


def test_sites_are_never_split() -> None:
    cohort = make_cohort(60)
    splits = SiteHeldOut(val_fraction=0.25)(cohort)
    assert_parts_cover_patients(splits, cohort)
    site = cohort.patients["site"]
    assert [set(site[list(s.test)]) for s in splits] == [{"north"}, {"south"}, {"west"}]
    assert all(set(site[list(s.test)]).isdisjoint(site[[*s.train, *s.val]]) for s in splits)


def test_user_splits_are_taken_as_given() -> None:
    cohort = make_cohort(12)
    rows = [(p, repeat, (i + repeat) % 3) for repeat in (0, 1) for i, p in enumerate(cohort.patient_ids)]
    table = pd.DataFrame([*rows, ("stranger", 0, 1)], columns=["patient_id", "repeat", "fold"])
    splits = UserSplits()(replace(cohort, splits=table))
    assert_parts_cover_patients(splits, cohort)
    given_folds = {(r, f): {p for p, repeat, fold in rows if (repeat, fold) == (r, f)} for _, r, f in rows}
    assert {(s.repeat, s.fold): set(s.test) for s in splits} == given_folds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: None, "no splits.csv"),
        (lambda t: t.iloc[1:], "P000.*no fold"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "P000.*more than one row"),
        (lambda t: t.assign(fold=0), "single fold"),
    ],
)
def test_user_splits_say_what_is_wrong(change: object, message: str) -> None:
    cohort = make_cohort(6)
    table = pd.DataFrame({"patient_id": cohort.patient_ids, "repeat": 0, "fold": [0, 1, 2] * 2})
    with pytest.raises(ValueError, match=message):
        UserSplits()(replace(cohort, splits=change(table)))  # type: ignore[operator]


def test_hold_out_by_fraction_and_by_name() -> None:
    cohort = make_cohort(50)
    (split,) = HoldOut(test_fraction=0.3)(cohort)
    assert_parts_cover_patients([split], cohort)
    assert len(split.test) == 15
    (named,) = HoldOut(test_ids=["P003", "P001"])(cohort)
    assert named.test == ("P001", "P003")


def test_temporal_tests_on_the_latest_and_keeps_a_year_together() -> None:
    cohort = make_cohort(50)
    (split,) = Temporal(test_fraction=0.3)(cohort)
    assert_parts_cover_patients([split], cohort)
    year = cohort.patients["enrolment"]
    assert year[list(split.test)].min() > year[[*split.train, *split.val]].max()
    assert len(split.test) >= 15


@pytest.mark.parametrize(
    ("splitter", "patients", "message"),
    [
        (StratifiedKFold(folds=5), 9, "lower `folds` to 4"),
        (StratifiedKFold(folds=2), 3, "at least 4"),
        (StratifiedKFold(folds=1), 20, "at least 2 folds"),
        (Subsampling(repeats=0), 20, "at least 1 is needed"),
        (StratifiedKFold(folds=2, val_fraction=0.99), 4, "lower `val_fraction`"),
        (SiteHeldOut(column="hospital"), 20, "no column 'hospital'"),
        (SiteHeldOut(column="stage"), 40, "blank for"),
        (HoldOut(), 20, "exactly one"),
        (HoldOut(test_fraction=1.5), 20, "between 0 and 1"),
        (HoldOut(test_ids=["nobody"]), 20, "nobody.*no patients"),
        (Temporal(test_fraction=0.99), 30, "0 training"),
    ],
)
def test_impossible_splits_name_the_remedy(splitter: object, patients: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        splitter(make_cohort(patients))  # type: ignore[operator]


def test_one_site_or_a_bad_validation_share_is_refused() -> None:
    cohort = make_cohort(20)
    with pytest.raises(ValueError, match="one site only"):
        SiteHeldOut()(replace(cohort, patients=cohort.patients.assign(site="north")))
    with pytest.raises(ValueError, match="val_fraction is 1"):
        StratifiedKFold(val_fraction=1.0)


def test_written_splits_come_back(tmp_path: Path) -> None:
    cohort = make_cohort(20)
    # Ids that a table reader would turn into numbers, blanks or quoted text must survive.
    odd = dict(zip(cohort.patient_ids[:4], ["007", "1e5", "NA", 'a,"b'], strict=True))
    cohort = replace(cohort, patients=cohort.patients.rename(index=odd), outcomes=cohort.outcomes.rename(index=odd))
    splits = StratifiedKFold()(cohort)
    write_splits(splits, tmp_path / "splits.csv")
    assert read_splits(tmp_path / "splits.csv") == splits
    assert split_hash(read_splits(tmp_path / "splits.csv")) == split_hash(reversed(splits))
    assert (tmp_path / "splits.csv").read_text().startswith("repeat,fold,patient_id,part\n0,0,")
    moved = replace(splits[0], train=splits[0].train[1:], val=(*splits[0].val, splits[0].train[0]))
    assert split_hash([moved, *splits[1:]]) != split_hash(splits)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("repeat,fold,patient_id,part\n0,0,P1,training\n")
    with pytest.raises(ValueError, match="'training' of patient P1"):
        read_splits(tmp_path / "splits.csv")
