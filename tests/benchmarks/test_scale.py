"""The scale curves: every axis can be measured and drawn, and a slope is what it says."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

AXES = ("patients", "patches", "genes", "cpgs", "visits")


def test_slope_of_known_growth(scale_table: ModuleType):
    sizes = [10, 100, 1000]
    assert scale_table.slope(sizes, [1.0, 10.0, 100.0]) == pytest.approx(1.0)
    assert scale_table.slope(sizes, [3.0, 300.0, 30000.0]) == pytest.approx(2.0)
    assert np.isnan(scale_table.slope([10], [1.0]))


def test_two_tiny_sizes_from_cohort_to_figure(scale_table: ModuleType, tmp_path: Path):
    axis = scale_table.AXES["visits"]
    found = {}
    for visits in axis.tiny:
        size = scale_table.Size(patients=40, visits=visits)
        found[str(visits)] = scale_table.measure(size, axis.stages - {"plain models"}, tmp_path / str(visits))
    assert found.keys() == {"1", "3"}
    for at in found.values():
        assert at["seconds"].keys() == at["megabytes"].keys() >= {"read and check", "predict", "score"}
        assert all(second >= 0 for seconds in at["seconds"].values() for second in seconds)
    printed = scale_table.table({"visits": found})
    assert "visits 1 to 3 | all but plain models |" in printed
    scale_table.draw({"visits": found}, tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 1000


@pytest.mark.parametrize("axis", AXES)
def test_cohorts_of_every_axis_are_valid(scale_table: ModuleType, axis: str, tmp_path: Path):
    size = scale_table.AXES[axis].cohort(scale_table.AXES[axis].tiny[0])
    cohort = scale_table.read_cohort(scale_table.write_cohort(tmp_path / "cohort", size))
    assert cohort.num_patients == size.patients
    assert cohort.endpoints == ("os", "pfs")


def test_an_unknown_axis_is_refused(scale_table: ModuleType, capsys: pytest.CaptureFixture[str]):
    assert scale_table.main(["axis=wards"]) == 1
    assert "wards" in capsys.readouterr().err
