"""From columns to what a reader knows: genes, regions, markers, covariates; and from genes to sets of genes.

Components are led back to their features by the loadings, so that what a component contributes is shared among genes
as far as they moved it. Products of components, which are no sum over features, are named by the features that speak
loudest in each. Columns of one marker (level, change, flag) are added up.

Dimension key: B patients, T visits, S samples, F columns of a row, G features, P columns of the summary.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from fusion.data.cohort import Cohort
from fusion.data.gene_sets import read_gene_sets
from fusion.data.modalities.base import Modality
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.expression import Expression
from fusion.data.modalities.matrix import MatrixModality
from fusion.data.modalities.serial_table import SerialTable
from fusion.data.modalities.variants import Variants
from fusion.data.visit_table import column_names
from fusion.explain.integrated_gradients import FeatureContributions
from fusion.explain.pool import summary_slices
from fusion.explain.view import FoldView

Floats = NDArray[np.float64]

#: Shipped sets that genes of an assay are added up in.
SETS: Mapping[type[Modality], str] = {Expression: "sclc", Variants: "sclc_pathways"}
#: Features that name a component.
LOUDEST = 2


def reader_name(modality: Modality, column: str) -> str:
    """Marker or covariate that a column is of; the column itself where it is a feature of its own.

    >>> from fusion.data.modalities.plasma import Plasma
    >>> reader_name(Plasma(), "tumor_fraction:change"), reader_name(Clinical(), "sex=male")
    ('tumor_fraction', 'sex')
    """
    if isinstance(modality, Clinical | SerialTable):
        return column.split(":")[0].split("=")[0]
    return column


@dataclass(frozen=True)
class NamedValues:
    """Contributions of the features of one modality, "B T G"."""

    names: tuple[str, ...]
    values: Floats

    def merged(self, other: "NamedValues") -> "NamedValues":
        """Sum of two, by name."""
        names = tuple(dict.fromkeys((*self.names, *other.names)))
        values = np.zeros((*self.values.shape[:2], len(names)))
        for part in (self, other):
            place = {name: number for number, name in enumerate(names)}
            for number, name in enumerate(part.names):
                values[..., place[name]] += part.values[..., number]
        return NamedValues(names=names, values=values)


def features_away(view: FoldView) -> dict[str, Floats]:
    """By vector modality, how far each sample of the held-out patients lies from the training mean, "S G".

    Of assays read through components these are the standardised features, of others the columns of the rows.
    """
    means, away = training_mean(view), {}
    for name, modality in view.fitted.modalities.items():
        if isinstance(modality, MatrixModality):
            away[name] = _features_away(view, modality)
        elif name in means:
            away[name] = (view.held_out_batch.samples[name].rows - means[name]).double().numpy()
    return away


def named(view: FoldView, found: FeatureContributions, away: Mapping[str, Floats]) -> dict[str, NamedValues]:
    """Contributions of every modality by the names that a reader knows, network and plain models together.

    Args:
        view: The fold.
        found: Contributions of the columns.
        away: What `features_away` gave.
    """
    batch, result = view.held_out_batch, {}
    slices = summary_slices(view.fitted.modalities, view.fitted.ensemble.plan.detail)
    shape = tuple(batch.visit_mask.shape)
    for name in view.fitted.modalities:
        total = NamedValues(names=(), values=np.zeros((*shape, 0)))
        if name in found.slope:
            total = total.merged(_of_network(view, name, found.slope[name], away[name]))
        if found.columns is not None:
            total = total.merged(_of_plain(view, name, found, slices[name], away.get(name)))
        result[name] = total
    return result


def training_mean(view: FoldView) -> dict[str, Float[Tensor, " F"]]:
    """Mean row of the training part of every vector modality; zero, the mean of most, where nobody has a sample."""
    means = {}
    for name, modality in view.fitted.modalities.items():
        if not modality.is_set:
            samples = view.batch.samples[name]
            inside = samples.slot // view.batch.num_visits >= len(view.held_out)
            rows = samples.rows[inside]
            means[name] = rows.mean(dim=0) if len(rows) else torch.zeros(samples.rows.shape[1])
    return means


def gene_sets(modality: Modality, genes: NamedValues) -> NamedValues | None:
    """Contributions of the genes of each shipped set, added up; None for an assay that is none of genes."""
    name = next((sets for kind, sets in SETS.items() if isinstance(modality, kind)), None)
    if name is None:
        return None
    sets = read_gene_sets(name)
    members = np.array([[gene in set(each) for each in sets.values()] for gene in genes.names], dtype=np.float64)
    return NamedValues(names=tuple(sets), values=genes.values @ members.reshape(len(genes.names), len(sets)))


def _of_network(view: FoldView, name: str, slope: Float[Tensor, "T S F"], away: Floats) -> NamedValues:
    modality, batch = view.fitted.modalities[name], view.held_out_batch
    shape = (batch.num_patients, batch.num_visits)
    patient_S = (batch.samples[name].slot // batch.num_visits).numpy()
    if isinstance(modality, MatrixModality):
        values_TSG = (slope.double().numpy() @ modality.loadings.T) * away
        return NamedValues(modality.features, _by_patient(values_TSG, patient_S, shape))
    values = _by_patient(slope.double().numpy() * away, patient_S, shape)
    return _renamed(modality, modality.feature_names, values)


def _of_plain(
    view: FoldView, name: str, found: FeatureContributions, columns: slice, away: Floats | None
) -> NamedValues:
    """Plain models; a component that the rows have too is led back to its features."""
    modality = view.fitted.modalities[name]
    assert found.columns is not None
    values = found.columns[..., columns].double().numpy()
    names = column_names(modality, view.fitted.ensemble.plan.detail)
    if not isinstance(modality, MatrixModality):
        return _renamed(modality, names, values)
    rows = list(modality.feature_names)
    known = [number for number, column in enumerate(modality.summary_names) if column in rows]
    if modality.components is None or not known or away is None:
        return NamedValues(*_summed([programme_name(modality, column) for column in names], values))
    others = [number for number in range(len(names)) if number not in known]
    kept = NamedValues(*_summed([programme_name(modality, names[number]) for number in others], values[..., others]))
    return _led_back(view, modality, found, columns, known, away).merged(kept)


def programme_name(modality: MatrixModality, column: str) -> str:
    """A product of turned components by the features that speak loudest in each; another column as it is.

    The number of a component means nothing to a reader, and another thing in every fold.
    """
    if match := re.fullmatch(r"t(\d+) by t(\d+)", column):
        first, second = sorted(_loudest(modality, int(number) - 1) for number in match.groups())
        return f"interplay of {first} and {second}"
    if match := re.fullmatch(r"\|t(\d+)\|", column):
        return f"{_loudest(modality, int(match[1]) - 1)}, high or low"
    return column


def _loudest(modality: MatrixModality, component: int) -> str:
    loading_G = modality.turned.loadings[:, component]
    order = np.argsort(-np.abs(loading_G), kind="stable")[:LOUDEST]
    return "/".join(modality.features[place] for place in order)


def _led_back(
    view: FoldView,
    modality: MatrixModality,
    found: FeatureContributions,
    columns: slice,
    known: Sequence[int],
    away: Floats,
) -> NamedValues:
    """Contributions of components through the plain models, shared among features.

    What a gap or the mean of a component adds is no feature's; it stays under the name of the assay.
    """
    assert found.columns is not None
    assert found.parts is not None
    steep = (found.plain_slope[..., None] * found.parts.slope[..., columns][..., known]).double().numpy()
    rows = list(modality.feature_names)
    weights_KG = modality.loadings[:, [rows.index(modality.summary_names[k]) for k in known]].T
    place_BT = view.pool.sample_of[modality.name][view.patients].cummax(dim=1).values.numpy()
    away_BTG = np.concatenate([away, np.zeros((1, away.shape[1]))])[place_BT]  # -1, nothing known, is the last
    values = (steep @ weights_KG) * away_BTG
    rest = found.columns[..., columns][..., known].double().numpy().sum(axis=-1) - values.sum(axis=-1)
    return NamedValues((*modality.features, f"({modality.name})"), np.concatenate([values, rest[..., None]], axis=-1))


def _features_away(view: FoldView, modality: MatrixModality) -> Floats:
    table: Any = view.tables[modality.name]
    ids, inside = (
        _sample_ids(view.cohort, modality, patients, view.batch.num_visits) for patients in (view.held_out, view.inside)
    )
    mean = modality.standardised(table, inside).mean(axis=0) if inside else 0.0
    return np.asarray(modality.standardised(table, ids) - mean, dtype=np.float64)


def _sample_ids(cohort: Cohort, modality: Modality, patients: Sequence[str], num_visits: int) -> list[str]:
    """Ids of the samples in the order in which they are packed: by patient and visit, of several the last."""
    placement = modality.placement(cohort)
    row = pd.Series(np.arange(len(patients)), index=list(patients))
    placement = placement[placement["patient_id"].isin(row.index)]
    slot = row.loc[placement["patient_id"]].to_numpy() * num_visits + placement["visit"].to_numpy()
    latest = dict(zip(slot.tolist(), placement["sample_id"], strict=True))
    return [str(latest[key]) for key in sorted(latest)]


def packed_sample_ids(view: FoldView, name: str, patient: int, visit: int) -> list[str]:
    """Samples of a set assay that are laid together at one visit of a held-out patient, in the order of their rows."""
    placement = view.fitted.modalities[name].placement(view.cohort)
    mine = (placement["patient_id"] == view.held_out[patient]) & (placement["visit"] == visit)
    return [str(sample) for sample in placement.loc[mine, "sample_id"]]


def _by_patient(values: Floats, patient: NDArray[np.int64], shape: tuple[int, ...]) -> Floats:
    """Sum of "T S G" over the samples of each patient, "B T G"."""
    total = np.zeros((shape[0], values.shape[0], values.shape[2]))
    np.add.at(total, patient, values.transpose(1, 0, 2))
    return total


def _renamed(modality: Modality, columns: Sequence[str], values: Floats) -> NamedValues:
    """Columns of one marker or covariate added up."""
    return NamedValues(*_summed([reader_name(modality, column) for column in columns], values))


def _summed(columns: Sequence[str], values: Floats) -> tuple[tuple[str, ...], Floats]:
    """Names, each once, and the sum of the columns of each."""
    names = tuple(dict.fromkeys(columns))
    member = np.array([[column == name for name in names] for column in columns], dtype=np.float64)
    return names, values @ member.reshape(len(columns), len(names))
