"""Oncoprint: genes by patients, coloured by the consequence of the variant, with frequency and clinical rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fusion.data.modalities.variant_table import COPY_NUMBER_CLASSES, SILENT_CLASSES
from fusion.report.style import INK, MUTED, figure_style
from fusion.report.trial.drawing import RESPONSE_COLOURS, RESPONSES, NothingToDraw, plain, tint
from fusion.report.words import covariate_name

#: Most genes of one figure.
MOST_GENES = 30
SEVERAL = "several"
#: Consequence classes in the order of the legend, with their colours.
COLOURS = {
    "truncating": "#b3470b",
    "missense": "#00705f",
    "splice": "#8a3a86",
    "inframe": "#e0a030",
    SEVERAL: "#1b2430",
    "other": "#8b919a",
    "amplification": "#d4526e",
    "deletion": "#0b5aa2",
}
NAMES = {"inframe": "in-frame", SEVERAL: "several kinds"}
#: A hue for each clinical row in turn, none of them that of a variant; its levels are its shades.
ROW_HUES = ("#51407f", "#6b4a1f", "#1f5c6b", "#7d2f4d", "#4d5a1e")
UNKNOWN = "#eceef1"
#: More levels than this are not told apart by shade.
MOST_LEVELS = 5


def alteration_table(variants: pd.DataFrame, patients: Sequence[str]) -> pd.DataFrame:
    """What hits each gene in each patient, silent and non-coding variants left out.

    Args:
        variants: `patient_id`, `gene`, `consequence` (a class of `fusion.data.modalities.variant_table.CLASSES`).
        patients: All patients who were sequenced, those without any variant too.

    Returns:
        One row per gene and patient with an alteration: `gene`, `patient_id`, `mutation` (its class, `several` where
        the gene has more than one kind, "" for none) and `copy_number` (`amplification`, `deletion` or "").
    """
    rows = variants[variants["patient_id"].isin(list(patients)) & ~variants["consequence"].isin(SILENT_CLASSES)]
    rows = rows[["gene", "patient_id", "consequence"]].drop_duplicates()
    copies = rows["consequence"].isin(COPY_NUMBER_CLASSES)
    key = ["gene", "patient_id"]
    mutation = rows[~copies].groupby(key)["consequence"].agg(["min", "size"])
    kind = mutation["min"].where(mutation["size"] == 1, SEVERAL)
    number = rows[copies].groupby(key)["consequence"].min()
    table = pd.DataFrame({"mutation": kind, "copy_number": number}).fillna("")
    return table.reset_index()


def memo_sort(altered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Order of the patients (columns) that shows co-occurrence: by the first gene (row), ties by the second, and so on.

    >>> memo_sort(np.array([[False, True, True], [True, False, True]])).tolist()
    [2, 1, 0]
    """
    return np.lexsort([~row for row in altered[::-1]]) if len(altered) else np.arange(altered.shape[1])


def chosen_genes(table: pd.DataFrame, genes: Sequence[str] = (), most: int = MOST_GENES) -> list[str]:
    """Genes of the figure, most often altered first: the `most` leading ones, of `genes` alone where named.

    >>> chosen_genes(pd.DataFrame({"gene": ["B", "A", "B"], "patient_id": ["x", "x", "y"]}))
    ['B', 'A']
    """
    hit = table.groupby("gene")["patient_id"].nunique()
    if len(genes):
        hit = hit[hit.index.isin(list(genes))]
    order = sorted(hit.index, key=lambda gene: (-hit[gene], str(gene)))
    return [str(gene) for gene in order[:most]]


def oncoprint(
    variants: pd.DataFrame,
    patients: Sequence[str],
    clinical: pd.DataFrame | None = None,
    *,
    genes: Sequence[str] = (),
    most: int = MOST_GENES,
) -> Figure:
    """Draw the oncoprint.

    Args:
        variants: `patient_id`, `gene`, `consequence`.
        patients: All patients who were sequenced.
        clinical: Text columns by `patient_id`: one coloured row each.
        genes: Genes to choose from; none: all.
        most: Most genes.

    Raises:
        NothingToDraw: Nobody was sequenced, or no gene has a variant that counts.
    """
    table = alteration_table(variants, patients)
    names = chosen_genes(table, genes, most)
    if not len(patients) or not names:
        raise NothingToDraw("no gene has a variant that changes the protein")
    ids = list(dict.fromkeys(str(patient) for patient in patients))
    table = table[table["gene"].isin(names)]
    gene, patient = pd.Index(names).get_indexer(table["gene"]), pd.Index(ids).get_indexer(table["patient_id"])
    altered = np.zeros((len(names), len(ids)), dtype=bool)
    altered[gene, patient] = True
    order = memo_sort(altered)
    place = np.argsort(order)[patient]
    rows = _clinical_rows(clinical, [ids[i] for i in order])
    with figure_style():
        heights = (0.19 * len(names), 0.19 * max(len(rows), 1))
        layout = ConstrainedLayoutEngine(hspace=0.0, h_pad=0.03)
        figure = Figure(figsize=(10.4, sum(heights) + 1.45), layout=layout)
        grid = figure.subplots(2, 2, height_ratios=heights, width_ratios=(6.4, 1.0), sharex="col", squeeze=False)
        (main, bars), (below, corner) = grid
        corner.axis("off")
        _cells(main, table, gene, place, len(ids))
        share = altered.mean(axis=1)
        main.set(xlim=(-0.5, len(ids) - 0.5), ylim=(len(names) - 0.45, -0.55), xticks=[])
        main.set_yticks(range(len(names)), labels=[plain(name, 16) for name in names], fontstyle="italic", fontsize=7.6)
        _frequency(bars, table, gene, share, len(ids))
        _draw_clinical(below, rows, len(ids))
        below.set_xlabel(
            f"Patients sequenced (n = {len(ids)}); {altered.any(axis=0).sum()} with an alteration in these genes"
        )
        for axes in (main, below):
            axes.spines[["left", "bottom"]].set_visible(False)
            axes.tick_params(axis="y", length=0)
        used = {*table["mutation"], *table["copy_number"]} - {""}
        handles = [Patch(facecolor=COLOURS[k], label=NAMES.get(k, k).capitalize()) for k in COLOURS if k in used]
        figure.legend(
            handles=handles,
            loc="outside upper left",
            ncols=8,
            frameon=False,
            fontsize=7.8,
            handlelength=1.0,
            columnspacing=1.3,
        )
        if rows:
            table_of_levels = [_levels(row) for row in rows]
            columns = max(len(each) for each in table_of_levels)
            blank = Patch(facecolor="none", edgecolor="none", label=" ")
            filled = [[*each, *[blank] * (columns - len(each))] for each in table_of_levels]
            figure.legend(
                handles=[filled[row][column] for column in range(columns) for row in range(len(rows))],
                loc="outside lower left",
                ncols=columns,
                frameon=False,
                fontsize=7.4,
                handlelength=1.0,
                columnspacing=1.2,
            )
    return figure


def _cells(axes: Axes, table: pd.DataFrame, gene: NDArray[np.int64], place: NDArray[np.int64], patients: int) -> None:
    """A grey row per gene and a coloured cell per alteration; a mutation beside a copy number change is lower."""
    width = 0.84 if patients <= 160 else 1.0
    for row in np.unique(gene):
        axes.barh(row, patients, left=-0.5, height=0.8, color=UNKNOWN, linewidth=0, zorder=0)
    for column, height in (("copy_number", 0.8), ("mutation", 0.8)):
        for kind, colour in COLOURS.items():
            mine = (table[column] == kind).to_numpy()
            tall = np.where((table["copy_number"] != "") & (column == "mutation"), 0.34, height)[mine]
            axes.bar(place[mine], tall, bottom=gene[mine] - tall / 2, width=width, color=colour, linewidth=0)


def _frequency(
    axes: Axes, table: pd.DataFrame, gene: NDArray[np.int64], share: NDArray[np.float64], patients: int
) -> None:
    """Share of patients with the gene altered; each patient counts under the mutation, else the copy number."""
    shown = table["mutation"].where(table["mutation"] != "", table["copy_number"]).to_numpy()
    left = np.zeros(len(share))
    for kind, colour in COLOURS.items():
        part = np.bincount(gene[shown == kind], minlength=len(share)) / patients
        axes.barh(range(len(share)), part, left=left, height=0.72, color=colour, linewidth=0)
        left += part
    for row, value in enumerate(share):
        axes.text(value + 0.02 * share.max(), row, f"{100 * value:.0f} %", va="center", fontsize=7.2, color=INK)
    axes.set(ylim=(len(share) - 0.45, -0.55), xlim=(0, share.max() * 1.3), yticks=[], xticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)


def _clinical_rows(clinical: pd.DataFrame | None, ids: list[str]) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, value of each patient ("" unknown) and colour of each level of every clinical row."""
    rows: list[tuple[str, list[str], dict[str, str]]] = []
    if clinical is None:
        return rows
    for name in clinical.columns:
        values = clinical[name].reindex(ids)
        texts = [str(value) if pd.notna(value) and str(value) else "" for value in values]
        levels = sorted(set(texts) - {""})
        if set(levels) <= set(RESPONSES):
            colours = {level: RESPONSE_COLOURS[level] for level in RESPONSES if level in levels}
        elif len(levels) <= MOST_LEVELS:
            hue, step = ROW_HUES[len(rows) % len(ROW_HUES)], 0.72 / max(1, len(levels) - 1)
            colours = {level: tint(hue, 1 - step * i) for i, level in enumerate(levels)}
        else:
            continue
        if levels:
            rows.append((str(name), texts, colours))
    return rows


def _levels(row: tuple[str, list[str], dict[str, str]]) -> list[Patch]:
    """Legend entries of a clinical row: its name, and a patch per level."""
    name, texts, colours = row
    found = [Patch(facecolor=colour, label=plain(level, 18)) for level, colour in colours.items()]
    unknown = [Patch(facecolor=UNKNOWN, label="not known")] if "" in texts else []
    return [Patch(facecolor="none", label=f"{plain(covariate_name(name), 16)}:"), *found, *unknown]


def _draw_clinical(axes: Axes, rows: list[tuple[str, list[str], dict[str, str]]], patients: int) -> None:
    width = 0.84 if patients <= 160 else 1.0
    for i, (_, texts, colours) in enumerate(rows):
        axes.bar(
            range(patients),
            0.72,
            bottom=i - 0.36,
            width=width,
            color=[colours.get(text, UNKNOWN) for text in texts],
            linewidth=0,
        )
    axes.set(ylim=(max(len(rows), 1) - 0.45, -0.75), xticks=[])
    axes.set_yticks(range(len(rows)), labels=[plain(covariate_name(name), 16) for name, _, _ in rows], fontsize=7.6)
    axes.tick_params(colors=MUTED, labelcolor=INK)
