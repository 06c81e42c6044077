"""What all converters share: the command line, the counts, and a cohort that passes the usual checks."""

import subprocess
import sys
from pathlib import Path

import inspire
import laml
import pandas as pd
import pbc2
import pytest
import sclc_george2015
from converter import Converter, Flow, samples_table

ALL = [sclc_george2015.CONVERTER, inspire.CONVERTER, laml.CONVERTER, pbc2.CONVERTER]


@pytest.mark.parametrize("converter", ALL, ids=[c.name for c in ALL])
def test_without_the_source_it_says_where_to_find_it(
    converter: Converter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert converter.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert all(name in message for name in converter.files)
    assert "--source" in message
    assert not (tmp_path / "out").exists()


def test_the_parent_folder_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUSION_DATA", str(tmp_path))
    assert pbc2.CONVERTER.main(["--out", str(tmp_path / "out")]) == 1
    assert str(tmp_path / "pbc2") in capsys.readouterr().err


def test_it_runs_as_a_script(tmp_path: Path) -> None:
    script = Path(pbc2.__file__)
    done = subprocess.run([sys.executable, str(script), "--source", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_cohort_that_breaks_the_contract_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def convert(source: Path, flow: Flow) -> dict[str, pd.DataFrame]:
        ids = pd.Series(["A", "A"])
        return {
            "patients.csv": pd.DataFrame({"patient_id": ids}),
            "outcomes.csv": pd.DataFrame({"patient_id": ["A"], "os_days": [0], "os_event": [1]}),
            "samples.csv": samples_table(ids, "labs"),
            "labs.csv": pd.DataFrame({"sample_id": ["A-labs-0", "A-labs-1"], "ldh": [1, 2]}),
        }

    broken = Converter(name="broken", folder="broken", files=(), origin="", settings={}, convert=convert)
    assert broken.main(["--source", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "a second time" in message
    assert "os_days" in message


def test_flow_counts_what_it_drops() -> None:
    flow = Flow()
    table = pd.DataFrame({"x": [1, 2, 3]})
    assert list(flow.without(table, table["x"] > 1, "large")["x"]) == [1]
    flow.without(table, table["x"] > 9, "huge")
    assert flow.lines == [(2, "large")]


def test_samples_are_numbered_within_the_patient_by_day() -> None:
    table = samples_table(pd.Series(["B", "A", "B"]), "labs", pd.Series([30.0, 0.0, 5.0]))
    assert list(table["sample_id"]) == ["A-labs-0", "B-labs-0", "B-labs-1"]
    assert list(table["day"]) == [0, 5, 30]
