"""A cohort folder as a whole: every fault of every file at once, or a cohort; never a traceback."""

import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoil import (
    OUTCOMES,
    PATIENTS,
    SAMPLES,
    Case,
    assert_named,
    bag,
    cell,
    copied,
    edit,
    line,
    maf,
    removed,
    replaced,
    text,
)
from tiny import write_tiny_cohort

from fusion.data.problems import CohortError, count_problems
from fusion.data.read import check_cohort, read_cohort

SPOILED: dict[str, Case] = {
    "no patients": (removed(PATIENTS), PATIENTS, "", "no such file"),
    "no outcomes": (removed(OUTCOMES), OUTCOMES, "", "no such file"),
    "no samples": (removed(SAMPLES), SAMPLES, "", "no such file"),
    "no cohort.yaml": (removed("cohort.yaml"), "cohort.yaml", "", "no such file"),
    "yaml is a list": (text("cohort.yaml", "- a\n"), "cohort.yaml", "", "a list"),
    "yaml is broken": (text("cohort.yaml", "a: [1\nb"), "cohort.yaml", "line", "no YAML"),
    "yaml would run code": (text("cohort.yaml", "!!python/object/apply:os.getcwd []"), "cohort.yaml", "", "no YAML"),
    "another schema": (replaced("cohort.yaml", "schema: 1", "schema: 2"), "cohort.yaml", "schema", "found 2"),
    "no name": (replaced("cohort.yaml", "name: tiny", "nom: tiny"), "cohort.yaml", "name", "nothing"),
    "endpoint not there": (replaced("cohort.yaml", "pfs]", "pfs, ttp]"), OUTCOMES, "ttp_days", "cohort.yaml names"),
    "settings are no mapping": (
        replaced("cohort.yaml", "{unit: beta}", "beta"),
        "cohort.yaml",
        "methylation",
        "'beta'",
    ),
    "unknown assay": (cell(SAMPLES, "modality", "WES"), SAMPLES, "modality", "'WES'"),
    "assay is a path": (cell(SAMPLES, "modality", "../x"), SAMPLES, "modality", "names a file"),
    "two tables": (copied(PATIENTS, "patients.txt"), PATIENTS, "", "patients.csv and patients.txt"),
    "two matrices": (copied("expression.tsv.gz", "expression.txt.gz"), "expression.tsv.gz", "", "several files"),
    "not UTF-8": (lambda f: (f / PATIENTS).write_bytes(b"patient_id,site\nP1,\xe9\n"), PATIENTS, "", "UTF-8"),
    "empty": (text(OUTCOMES, ""), OUTCOMES, "", "an empty file"),
    "no variants file": (removed("variants.maf"), SAMPLES, "modality", "'variants'"),
    "parquet cut": (
        lambda f: (f / "methylation.parquet").write_bytes(b"PAR1"),
        "methylation.parquet",
        "",
        "no readable Parquet",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_fault_is_found_and_named(folder: Path, name: str) -> None:
    assert_named(folder, SPOILED[name])


def test_the_tiny_cohort_is_good(good: Path) -> None:
    assert check_cohort(good) == []


def test_all_problems_come_at_once(folder: Path) -> None:
    cell(OUTCOMES, "os_event", 2)(folder)
    cell(SAMPLES, "sample_id", "a/b")(folder)
    cell("plasma.csv", "mean_vaf", "high")(folder)
    bag(features=np.zeros((0, 4)))(folder)
    replaced("cohort.yaml", "schema: 1", "schema: 2")(folder)
    files = {OUTCOMES, SAMPLES, "plasma.csv", "histology/P000-histology.h5", "cohort.yaml"}
    assert files <= {problem.file for problem in check_cohort(folder)}
    with pytest.raises(CohortError) as error:
        read_cohort(folder)
    assert list(error.value.problems) == check_cohort(folder)


def test_many_equal_problems_are_folded_and_counted(folder: Path) -> None:
    edit(OUTCOMES, lambda t: t.assign(os_event=7))(folder)
    problems = check_cohort(folder)
    assert len(problems) == 5
    assert count_problems(problems) == 8
    assert str(problems[-1]).endswith("(and 3 more like this)")


def test_what_is_left_out_is_told(good: Path) -> None:
    cohort = read_cohort(good)
    told = set(zip(cohort.left_out["file"], cohort.left_out["item"], strict=True))
    assert told == {
        (OUTCOMES, "P001"),
        (OUTCOMES, "P005"),
        (SAMPLES, "P005-expression"),
        ("variants.maf", "P000-variants"),
    }
    assert "P005-expression" not in cohort.samples.index


def test_a_sample_in_which_nothing_was_measured_is_left_out(folder: Path) -> None:
    edit("plasma.csv", lambda t: t.assign(**{c: t[c].where(t.index > 0) for c in t.columns[1:]}))(folder)
    cohort = read_cohort(folder)
    assert "P000-plasma-0" not in cohort.samples.index
    assert "P000-plasma-0" in set(cohort.left_out["item"])


def test_a_sample_without_variants_stays(folder: Path) -> None:
    maf(lambda t: t[t["Tumor_Sample_Barcode"] != "P000-variants"])(folder)
    cohort = read_cohort(folder)
    assert "P000-variants" in cohort.samples.index
    assert "P000-variants" in set(cohort.left_out["item"])


def test_the_tables_are_as_the_cohort_promises(good: Path) -> None:
    cohort = read_cohort(good)
    assert cohort.endpoints == ("os", "pfs")
    assert list(cohort.patients.index) == list(cohort.outcomes.index)
    assert cohort.patients["age"].dtype == np.float64
    assert set(cohort.patients["stage"]) == {"ES", "LS"}
    assert cohort.outcomes["pfs_event"].isna().sum() == 1
    assert cohort.outcomes["os_event"].dtype == "boolean"
    place = cohort.samples["patient_id"].map({p: i for i, p in enumerate(cohort.patient_ids)})
    assert place.is_monotonic_increasing


def test_formats_do_not_change_the_cohort(good: Path, folder: Path) -> None:
    for name in ("patients", "outcomes", "samples"):
        pd.read_csv(folder / f"{name}.csv").to_parquet(folder / f"{name}.parquet")
        (folder / f"{name}.csv").unlink()
    ours, theirs = read_cohort(folder), read_cohort(good)
    for table in ("patients", "outcomes", "samples", "visits"):
        pd.testing.assert_frame_equal(getattr(ours, table), getattr(theirs, table))


def test_a_new_assay_is_found_by_its_name(folder: Path) -> None:
    line(SAMPLES, sample_id="P000-tcr", patient_id="P000", day=0, modality="tcr")(folder)
    (folder / "tcr.csv").write_text("sample_id,clonality\nP000-tcr,0.2\n")
    assert check_cohort(folder) == []
    (folder / "tcr.csv").write_text("clonotype,P000-tcr\nCASS,0.2\n")
    assert check_cohort(folder) == []


def test_a_minimal_cohort_needs_no_assay(tmp_path: Path) -> None:
    (tmp_path / "cohort.yaml").write_text("name: least\nschema: 1\n")
    (tmp_path / PATIENTS).write_text("patient_id\n1\n2\n")
    (tmp_path / OUTCOMES).write_text("patient_id,os_days,os_event\n2,10,1\n1,20,0\n")
    (tmp_path / SAMPLES).write_text("sample_id,patient_id,day,modality\n")
    cohort = read_cohort(tmp_path)
    assert cohort.outcomes["os_days"].tolist() == [20, 10]
    assert cohort.visits["day"].tolist() == [0, 0]


def test_a_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert check_cohort(tmp_path / "none")[0].found == "no such folder"


FILES = [
    *("cohort.yaml", PATIENTS, OUTCOMES, SAMPLES, "lesions.csv", "splits.csv", "plasma.csv", "labs.csv"),
    *("variants.maf", "expression.tsv.gz", "methylation.parquet", "histology/P000-histology.h5"),
]


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("least"), patients=3, visits=2)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), content=st.binary(max_size=300))
def test_no_bytes_bring_it_down(least: Path, tmp_path: Path, name: str, content: bytes) -> None:
    folder = shutil.copytree(least, tmp_path / "fuzz", dirs_exist_ok=True)
    (folder / name).write_bytes(content)
    assert check_cohort(folder)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), seed=st.integers(0, 10**6))
def test_no_mutation_brings_it_down(least: Path, tmp_path: Path, name: str, seed: int) -> None:
    folder = shutil.copytree(least, tmp_path / "fuzz", dirs_exist_ok=True)
    draw = random.Random(seed)
    content = bytearray((least / name).read_bytes())
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(len(content))
        kind = draw.randrange(4)
        if kind == 0:
            content[at] = draw.randrange(256)
        elif kind == 1:
            del content[at : at + draw.randint(1, 40)]
        elif kind == 2:
            content[at:at] = draw.choice(
                [b",", b"\n", b'"', b"\t", b"nan", b"-1", b"inf", b"\x00", b"1e999", b"2024-01-01"]
            )
        else:
            content[at:at] = content[draw.randrange(len(content)) :][:60]
        if not content:
            break
    (folder / name).write_bytes(bytes(content))
    for problem in check_cohort(folder):
        assert str(problem)
