"""PBC2: years become whole days, transplantation is told apart from death, signs become numbers."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from converter import Flow
from pbc2 import CONVERTER, DAYS_PER_YEAR, VISITS

from fusion.data.tables import read_labs


def write_source(folder: Path) -> Path:
    rows = [  # id, days, status, visit day, ascites, edema, bilirubin, cholesterol
        (1, 400, "dead", 0, "Yes", "edema despite diuretics", 14.5, 261),
        (1, 400, "dead", 192, "", "edema no diuretics", 21.3, None),
        (2, 5169, "alive", 0, "No", "No edema", 1.1, 302),
        (30, 1000, "transplanted", 0, "No", "No edema", 1.4, 176),
    ]
    columns = ["id", "years", "status", "year", "ascites", "edema", "serBilir", "serChol"]
    table = pd.DataFrame(rows, columns=columns)
    table[["years", "year"]] /= DAYS_PER_YEAR
    table = table.assign(drug="placebo", age=58.77, sex="female", hepatomegaly="Yes", spiders="No", status2=1.0)
    table = table.assign(albumin=2.6, alkaline=1718, SGOT=138.0, platelets=190, prothrombin=12.2, histologic=4)
    table.to_csv(folder / VISITS, index=False)
    return folder


def test_endpoints_tell_transplantation_from_death(tmp_path: Path) -> None:
    cohort = CONVERTER.write(write_source(tmp_path), tmp_path / "out", Flow())
    assert cohort.patient_ids == ("PBC001", "PBC002", "PBC030")
    assert cohort.outcomes["os_days"].tolist() == [400, 5169, 1000]
    assert cohort.outcomes["os_event"].tolist() == [True, False, True]
    assert cohort.outcomes["death_event"].tolist() == [True, False, False]
    assert set(cohort.patients) == {"stage", "age", "sex", "drug"}


def test_every_visit_is_a_sample_with_numbers(tmp_path: Path) -> None:
    flow = Flow()
    cohort = CONVERTER.write(write_source(tmp_path), tmp_path / "out", flow)
    assert cohort.visits[["patient_id", "day"]].to_numpy().tolist() == [
        ["PBC001", 0],
        ["PBC001", 192],
        ["PBC002", 0],
        ["PBC030", 0],
    ]
    values, units = read_labs(tmp_path / "out" / "labs.csv")
    assert values.loc["PBC001-labs-1", "bilirubin"] == 21.3
    assert values.loc[["PBC001-labs-0", "PBC001-labs-1", "PBC002-labs-0"], "edema"].tolist() == [1, 0.5, 0]
    assert values["ascites"].isna().sum() == 1
    assert units["bilirubin"] == "mg/dL"
    assert (2, "blank values") in flow.lines


def test_the_public_tables(public_tables: Callable[[str], Path], tmp_path: Path) -> None:
    cohort = CONVERTER.write(public_tables("pbc2"), tmp_path, Flow())
    assert (cohort.num_patients, len(cohort.visits)) == (312, 1945)
    assert (int(cohort.outcomes["os_event"].sum()), int(cohort.outcomes["death_event"].sum())) == (169, 140)
