"""Groups of regions: by name, by a table, by GMT; what no group has stays."""

from pathlib import Path

import pytest

from fusion.data.modalities.region_groups import read_region_groups, region_groups
from fusion.data.simulator.assays import methylation_design


def test_regions_named_by_place_are_grouped_by_chromosome() -> None:
    regions = ("chr1:1-2", "chr10:5-9", "chr1:7-8", "odd", "chrX:1-4")
    assert region_groups(regions, None) == {"chr1": (0, 2), "chr10": (1,), "chrX": (4,), "other": (3,)}


def test_the_simulator_names_its_classes() -> None:
    groups = region_groups(methylation_design().regions, None)
    assert {name: len(columns) for name, columns in groups.items()} == {
        "cimp": 200,
        "null": 200,
        "subtype": 400,
        "tumour": 200,
    }


def test_a_table_and_a_gmt_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("region\tgroup\nr2\tprc2\nr1\tprc2\nr1\tisland\n\n")
    (tmp_path / "a.gmt").write_text("prc2\tsource\tr1\tr2\nisland\t\tr1\n")
    annotation = read_region_groups(tmp_path / "a.tsv")
    assert annotation == read_region_groups(tmp_path / "a.gmt") == {"island": ("r1",), "prc2": ("r1", "r2")}
    assert region_groups(("r1", "r2", "r3"), annotation) == {"island": (0,), "prc2": (0, 1), "other": (2,)}


def test_a_file_that_is_none_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names a GMT file"):
        read_region_groups(tmp_path / "none.tsv")
    (tmp_path / "bad.tsv").write_text("r1\tprc2\nr2\n")
    with pytest.raises(ValueError, match="line 2: 1 fields; write region and group"):
        read_region_groups(tmp_path / "bad.tsv")
