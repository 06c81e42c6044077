"""The oncoprint: which gene is hit in whom, memo sort, frequency, clinical rows, as a slow count gives them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from fusion.report.trial import NothingToDraw, oncoprint
from fusion.report.trial.oncoprint import COLOURS, alteration_table, chosen_genes, memo_sort

CLASSES = ("truncating", "missense", "splice", "silent", "noncoding", "amplification", "deletion", "other")


def variants(patients: int = 20, genes: int = 8, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (f"P{p}", f"G{g}", CLASSES[rng.integers(len(CLASSES))])
        for p in range(patients)
        for g in range(genes)
        for _ in range(rng.poisson(0.6))
    ]
    return pd.DataFrame(rows, columns=["patient_id", "gene", "consequence"])


def hits(table: pd.DataFrame) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for each in table.itertuples():
        if each.consequence not in ("silent", "noncoding"):
            found.setdefault((each.gene, each.patient_id), set()).add(each.consequence)
    return found


def test_cells_are_the_alterations_of_a_slow_count():
    table, ids = variants(), [f"P{i}" for i in range(21)]  # the last one has no variant at all
    found = alteration_table(table, ids).set_index(["gene", "patient_id"])
    expected = hits(table)
    assert set(found.index) == set(expected)
    for key, kinds in expected.items():
        mutation = kinds - {"amplification", "deletion"}
        assert found.loc[key, "mutation"] == ("several" if len(mutation) > 1 else "".join(mutation))


def test_columns_are_in_memo_order_and_the_bars_are_shares_of_the_sequenced():
    table, ids = variants(), [f"P{i}" for i in range(21)]
    expected = hits(table)
    genes = chosen_genes(alteration_table(table, ids))
    figure = oncoprint(table, ids)
    main, bars = figure.axes[:2]
    assert [label.get_text() for label in main.get_yticklabels()] == genes
    altered = [[(gene, patient) in expected for patient in ids] for gene in genes]
    order = sorted(range(21), key=lambda i: ([not row[i] for row in altered], i))
    cells = [bar for bar in main.patches if to_hex(bar.get_facecolor()) in COLOURS.values()]
    drawn = {(round(bar.get_y() + bar.get_height() / 2), round(bar.get_x() + bar.get_width() / 2)) for bar in cells}
    wanted = {(g, place) for place, i in enumerate(order) for g in range(len(genes)) if altered[g][i]}
    assert drawn == wanted
    texts = [text.get_text() for text in bars.texts]
    assert texts == [f"{100 * sum(row) / 21:.0f} %" for row in altered]
    widths = np.zeros(len(genes))
    for bar in bars.patches:
        widths[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()
    np.testing.assert_allclose(widths, np.mean(altered, axis=1))


def test_memo_sort_equals_sorting_by_the_genes_in_turn():
    altered = np.random.default_rng(1).random((5, 40)) < 0.4
    assert memo_sort(altered).tolist() == sorted(range(40), key=lambda i: [not hit for hit in altered[:, i]])


def test_patients_come_in_the_order_of_the_cells_in_the_clinical_rows():
    table = pd.DataFrame({"patient_id": ["b"], "gene": ["TP53"], "consequence": ["missense"]})
    clinical = pd.DataFrame({"response": ["PD", "CR", None], "stage": ["LS", "ES", "ES"]}, index=["a", "b", "c"])
    figure = oncoprint(table, ["a", "b", "c"], clinical)
    below = figure.axes[2]
    colours = [to_hex(bar.get_facecolor()) for bar in below.patches[:3]]
    assert colours == ["#0b5aa2", "#b3470b", "#eceef1"]  # b, then a, then c whose response is not known
    assert [label.get_text() for label in below.get_yticklabels()] == ["Response", "Stage"]


def test_genes_may_be_named_and_at_most_thirty_are_drawn():
    table = variants(30, 45)
    ids = [f"P{i}" for i in range(30)]
    assert len(oncoprint(table, ids).axes[0].get_yticklabels()) == 30
    named = [
        label.get_text() for label in oncoprint(table, ids, genes=["G3", "G9", "ABSENT"]).axes[0].get_yticklabels()
    ]
    assert sorted(named) == ["G3", "G9"]


def test_one_patient_and_nobody():
    one = pd.DataFrame({"patient_id": ["a"], "gene": ["TP53"], "consequence": ["deletion"]})
    assert oncoprint(one, ["a"]).axes[1].texts[0].get_text() == "100 %"
    with pytest.raises(NothingToDraw, match="changes the protein"):
        oncoprint(one.assign(consequence="silent"), ["a"])
