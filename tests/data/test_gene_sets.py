"""Gene sets: what ships, what a file may look like, and that a bad one is named by file and line."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion.data.gene_sets import SHIPPED, read_gene_sets, read_gmt, shipped_names
from fusion.data.simulator.genesets import GENE_SETS

SYMBOLS = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", min_size=1, max_size=12)
NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_ 0123456789", min_size=1, max_size=20).filter(str.strip)
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_sets_say_where_they_come_from(name: str) -> None:
    sets = read_gmt(SHIPPED / f"{name}.gmt")
    assert len(sets) >= 5
    assert all(len(each.source) > 20 for each in sets.values())
    assert read_gene_sets(name) == read_gene_sets(SHIPPED / f"{name}.gmt")


def test_the_simulator_expresses_what_ships() -> None:
    """The loadings of its genes follow the order of the file, so a changed file would be another cohort."""
    assert list(GENE_SETS) == [
        *("neuroendocrine", "non_neuroendocrine", "t_cell_inflamed", "macrophage"),
        *("mesenchymal", "myc_targets", "antigen_presentation"),
    ]
    assert [len(genes) for genes in GENE_SETS.values()] == [25, 25, 18, 24, 20, 25, 12]
    assert GENE_SETS["neuroendocrine"][:3] == ("BEX1", "ASCL1", "INSM1")
    assert {name: tuple(sorted(genes)) for name, genes in GENE_SETS.items()} == read_gene_sets("sclc")


def test_json_and_gmt_tell_the_same(tmp_path: Path) -> None:
    (tmp_path / "sets.gmt").write_bytes(b"\xef\xbb\xbfup\tfrom here\tB\tA\tB\t\t\r\n\r\ndown\t\tC\r\n")
    (tmp_path / "sets.json").write_text(json.dumps({"down": ["C"], "up": ["A", "B"]}))
    assert read_gene_sets(tmp_path / "sets.gmt") == read_gene_sets(tmp_path / "sets.json")
    assert read_gmt(tmp_path / "sets.gmt")["up"].source == "from here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("up\tsource\tA\nup\tsource\tB\n", r"line 2: set 'up' stands there twice"),
        ("up\tsource\tA\n\ndown A B C\n", r"line 3: 1 fields; write name, description"),
        ("up\tsource\t\t\n", r"line 1: 4 fields; write name, description and at least one gene"),
        ("\tsource\tA\n", r"line 1: 3 fields; write name"),
        ("up\tsource\tA B C\n", r"line 1: 'A B C' is no gene symbol; divide genes by tabs"),
        ("up\tsource\tA\x00\n", r"is no gene symbol"),
        ("\n \n", r"no gene set in it"),
    ],
)
def test_a_bad_gmt_is_named_by_file_and_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gmt"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.gmt.*{said}"):
        read_gene_sets(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "a list at the top"),
        ('{"up": "A"}', "set 'up' is no list of genes"),
        ('{"up": []}', "set 'up' is no list of genes"),
        ('{"up": ["A", 1]}', "set 'up' is no list of genes"),
        ('{"up": ["A"], "up": ["B"]}', "set 'up' stands there twice"),
        ('{" ": ["A"]}', "a set without a name"),
        ('{"up": ["A"]', "write one JSON object"),
        ("{}", "no gene set in it"),
    ],
)
def test_a_bad_json_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.json.*{said}"):
        read_gene_sets(path)


def test_no_such_file_names_what_ships(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"names a GMT or JSON file, or one of sclc, sclc_pathways"):
        read_gene_sets(str(tmp_path / "none.gmt"))
    (tmp_path / "latin.gmt").write_bytes(b"up\tsource\t\xff\n")
    with pytest.raises(ValueError, match=r"latin\.gmt: byte 11 is not UTF-8"):
        read_gene_sets(tmp_path / "latin.gmt")


@same_folder
@given(sets=st.dictionaries(NAMES.map(str.strip), st.lists(SYMBOLS, min_size=1, max_size=6), min_size=1, max_size=5))
def test_what_is_written_is_read(sets: dict[str, list[str]], tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("".join("\t".join([name, "", *genes]) + "\n" for name, genes in sets.items()))
    assert read_gene_sets(path) == {name: tuple(sorted(set(sets[name]))) for name in sorted(sets)}


@same_folder
@given(content=st.one_of(st.binary(max_size=80), st.text(alphabet="ab\t\n\r {}[]\":,'\x0b\u2028", max_size=60)))
@pytest.mark.parametrize("suffix", ["gmt", "json"])
def test_any_bytes_are_read_or_refused_with_the_file_named(content: bytes | str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"any.{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    sets, refused = None, ""
    try:
        sets = read_gene_sets(path)
    except ValueError as error:
        refused = str(error)
    if sets is None:
        assert f"any.{suffix}" in refused
    else:
        assert sets
        assert all(genes and len(set(genes)) == len(genes) for genes in sets.values())
