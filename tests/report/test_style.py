"""Figures as SVG: the same bytes each time, no metadata, ids of their own, texts inert."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.report.style import figure_style, panel, spread, to_svg


def drawn(key: str, label: str = "a") -> str:
    with figure_style():
        figure, axes = panel()
        axes.plot([0, 1], [0, 1], label=label)
        axes.fill_between([0, 1], [0, 1], [1, 2])
        axes.set_title(label)
        return str(to_svg(figure, key=key, title=label, description=label))


def test_same_bytes_and_no_trace_of_when_or_what_with() -> None:
    assert drawn("a") == drawn("a")
    assert not re.search(r"<metadata|matplotlib v|\d{4}-\d\d-\d\d", drawn("a"), flags=re.IGNORECASE)


def test_two_figures_of_a_page_share_no_id() -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', drawn(key))) for key in ("a", "b")]
    assert ids[0]
    assert not ids[0] & ids[1]
    for reference in re.findall(r'(?:url\(#|href="#)([^")]+)', drawn("a")):
        assert reference in ids[0]


@pytest.mark.parametrize("text", ["<script>x</script>", "$\\frac{1$", 'a"b&c'])
def test_texts_are_inert(text: str) -> None:
    root = ElementTree.fromstring(drawn("a", text))
    assert not [node for node in root.iter() if node.tag.endswith("script")]
    titles = [node.text for node in root.iter() if node.tag.endswith("title")]
    assert titles == [text]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_labels_end_apart_and_in_order(places: list[float]) -> None:
    moved = spread(places, gap=0.1)
    order = sorted(range(len(places)), key=lambda i: (places[i], moved[i]))
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap >= 0.1 - 1e-6 for gap in gaps)
    assert sum(moved) == pytest.approx(sum(places), abs=1e-6)
