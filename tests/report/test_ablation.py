"""Variants beside a reference: what they are called, the sign of a difference, and the files of the table."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fusion.report.ablation import VariantScore, variant_cells, variant_name, variant_scores, write_variants

FULL = ("modality=[clinical,labs,plasma]", "temporal=gru")


def score(value: float, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": value - 0.125, "high": value + 0.0625, **more}


@pytest.fixture
def comparison() -> dict[str, Any]:
    """As `compare_runs` leaves it: one pair has the reference first, the other last."""

    def level(step: float) -> dict[str, Any]:
        figures = {name: {"c_index": score(0.75 - step * i), "n": 40} for i, name in enumerate(("full", "a", "b"))}
        pairs = {"full - a": {"c_index": score(step, p=0.5)}, "b - full": {"c_index": score(-2 * step, p=0.25)}}
        return {"model": figures, "compare": {**pairs, "a - b": {"c_index": score(step)}}}

    later = level(0.125)
    return {"task": {"os": {**level(0.0625), "landmark": {"42": {**later["model"], "compare": later["compare"]}}}}}


@pytest.fixture
def rows(comparison: dict[str, Any]) -> list[VariantScore]:
    return variant_scores(comparison, {"full": "all", "a": "without a", "b": "without b"}, "full")


def test_a_difference_is_the_variant_less_the_reference(rows: list[VariantScore]):
    found = {(row.variant, row.day): row.difference for row in rows}
    assert found["all", 0.0] is None
    first, second = found["without a", 0.0], found["without b", 0.0]
    assert first is not None
    assert second is not None
    assert (first.value, first.low, first.high, first.p) == (-0.0625, -0.125, 0.0625, 0.5), "turned round"
    assert (second.value, second.low, second.high, second.p) == (-0.125, -0.25, -0.0625, 0.25)
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (FULL, "all modalities, temporal=gru (reference)"),
        (("modality=[labs,plasma]", "temporal=gru"), "without clinical"),
        (("modality=[labs]", "temporal=gru"), "labs alone"),
        (("modality=[labs,plasma]", "temporal=last_visit"), "without clinical, temporal=last_visit"),
        (("modality=[labs,serum]", "temporal=gru"), "labs, serum"),
        (("modality=[clinical,labs,plasma]", "temporal=gru", "optimizer.lr=0.1"), "optimizer.lr=0.1"),
    ],
)
def test_a_variant_is_called_by_what_differs(words: tuple[str, ...], name: str):
    assert variant_name(words, FULL) == name


def test_table_and_figure_are_written_and_the_same_bytes_again(rows: list[VariantScore], tmp_path: Path):
    first, second = (write_variants(rows, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["variants.csv", "variants_os.svg", "variants_os.png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    table = pd.read_csv(first[0])
    assert table.query("variant == 'without b' and day == 42")["difference_value"].item() == -0.25
    assert table.query("variant == 'all'")["difference_value"].isna().all()
    svg = first[1].read_text()
    assert "without a" in svg
    assert "Week 6, 40 patients" in svg


def test_cells_are_read_from_left_to_right(rows: list[VariantScore]):
    reference, one, _ = variant_cells(rows, "os")
    heads = ["variant", "OS C-index, baseline", "difference, baseline", "OS C-index, week 6", "difference, week 6"]
    assert list(one) == heads
    assert one["difference, baseline"] == "−0.062 (−0.125,0.062)"
    assert reference["difference, week 6"] == ""
