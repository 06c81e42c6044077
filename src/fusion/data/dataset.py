"""From a cohort and fitted modalities to tensors: all patients packed once, then any of them picked as a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.data.targets import visit_outcomes, visit_responses
from fusion.data.visit_table import summary_columns
from fusion.types import Outcome, PatientBatch, Response, Samples, VisitTable

#: Task whose target is the class of response; every other task is the endpoint of its own name.
RESPONSE = "response"


@dataclass(frozen=True)
class Assay:
    """A modality beside its raw table of one cohort; None where the cohort has no sample of it."""

    modality: Modality
    table: Any


def load_assays(cohort: Cohort, modalities: Mapping[str, Modality]) -> dict[str, Assay]:
    """Read the raw table of every modality once."""
    return {
        name: Assay(modality, modality.load(cohort) if modality.sample_ids(cohort) else None)
        for name, modality in modalities.items()
    }


def load_tables(cohort: Cohort, modalities: Mapping[str, Modality]) -> dict[str, object]:
    """The raw table of every modality, read once: each fold lays it beside fresh modalities of its own."""
    return {name: assay.table for name, assay in load_assays(cohort, modalities).items()}


def fit_assays(cohort: Cohort, assays: Mapping[str, Assay], patient_ids: Sequence[str]) -> None:
    """Fit the preprocessing of every modality on the samples of these patients, and on no other."""
    for assay in assays.values():
        placement = assay.modality.placement(cohort)
        mine = placement[placement["patient_id"].isin(set(patient_ids))]
        if mine.empty:
            raise ValueError(
                f"no training patient has a sample of modality {assay.modality.name!r}; "
                f"leave it out: modality=[...] without {assay.modality.name}"
            )
        assay.modality.fit(assay.table, list(mine["sample_id"]))


def pack_cohort(
    cohort: Cohort,
    assays: Mapping[str, Assay],
    patient_ids: Sequence[str],
    tasks: Sequence[str] = (),
    *,
    summary: bool = False,
    detail: bool = False,
) -> PatientBatch:
    """Lay the visits, samples and targets of some patients out as one batch.

    Args:
        cohort: Where the patients are.
        assays: Fitted modalities with the tables of this cohort.
        patient_ids: Patients, in the order of the batch.
        tasks: Endpoints, and `response`, to give targets for; none for patients whose outcome is not known.
        summary: Whether to add what plain models see.
        detail: And whether that includes the details of each assay.
    """
    patient_ids = tuple(patient_ids)
    row = pd.Series(np.arange(len(patient_ids)), index=list(patient_ids))
    visits = cohort.visits[cohort.visits["patient_id"].isin(row.index)]
    patient_V = row.loc[visits["patient_id"]].to_numpy()
    visit_V = visits["visit"].to_numpy()
    shape = (len(patient_ids), int(visit_V.max()) + 1 if len(visits) else 1)

    mask = np.zeros(shape, dtype=bool)
    mask[patient_V, visit_V] = True
    day = np.full(shape, -np.inf)
    day[patient_V, visit_V] = visits["day"].to_numpy()
    day = np.maximum.accumulate(day, axis=1)

    def spread(values: np.ndarray | None, fill: float) -> Any:
        """A value of every visit, `fill` where there is no visit; None where the cohort tells nothing of the kind."""
        if values is None:
            return None
        full = np.full((*shape, *values.shape[1:]), fill, dtype=values.dtype)
        full[patient_V, visit_V] = values
        return torch.from_numpy(full.astype(np.float32) if full.dtype == np.float64 else full)

    targets: dict[str, Outcome | Response] = {}
    for task in tasks:
        if task == RESPONSE:
            response = visit_responses(cohort, visits)
            targets[task] = Response(
                label=spread(response.label, 0),
                known=spread(response.known, False),
                possible=spread(response.possible, True),
            )
        else:
            outcome = visit_outcomes(cohort, task, visits)
            targets[task] = Outcome(
                duration=spread(outcome.duration, 1.0),
                event=spread(outcome.event, False),
                at_risk=spread(outcome.at_risk, False),
                cause=spread(outcome.cause, 0),
                last_free=spread(outcome.last_free, 1.0),
                stratum=spread(outcome.stratum, -1),
            )
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    return PatientBatch(
        patient_ids=patient_ids,
        day=torch.from_numpy(day.astype(np.float32)),
        visit_mask=torch.from_numpy(mask),
        samples={name: _pack_samples(cohort, assay, row, shape[1]) for name, assay in assays.items()},
        targets=targets,
        summary=spread(summary_columns(cohort, pairs, visits, detail=detail), np.nan) if summary else None,
    )


def table_columns(batch: PatientBatch, table: VisitTable) -> Float[Tensor, "B T P"]:
    """What a table of the batch's patients has in its columns, laid out as `PatientBatch.summary`."""
    row = pd.Series(np.arange(batch.num_patients), index=list(batch.patient_ids))
    full = np.full((*batch.visit_mask.shape, table.features.shape[1]), np.nan, dtype=np.float32)
    full[row.loc[table.patient_ids].to_numpy(), table.visit] = table.features
    return torch.from_numpy(full)


def _pack_samples(cohort: Cohort, assay: Assay, row: pd.Series, num_visits: int) -> Samples:
    """Rows of all samples of an assay, in order of their slots.

    Two samples of one assay at one visit: bags and sets are laid together, of vectors the last one counts.
    """
    placement = assay.modality.placement(cohort)
    placement = placement[placement["patient_id"].isin(row.index)]
    if placement.empty:
        none = torch.zeros(0, dtype=torch.int64)
        return Samples(
            rows=torch.zeros(0, assay.modality.num_features), offsets=torch.zeros(1, dtype=torch.int64), slot=none
        )
    slot = row.loc[placement["patient_id"]].to_numpy() * num_visits + placement["visit"].to_numpy()
    order = np.argsort(slot, kind="stable")
    slot, sample_ids = slot[order], placement["sample_id"].to_numpy(copy=True)[order]
    if not assay.modality.is_set:
        last = np.append(slot[1:] != slot[:-1], True) if len(slot) else np.zeros(0, dtype=bool)
        slot, sample_ids = slot[last], sample_ids[last]
    packed = assay.modality.transform(assay.table, list(sample_ids))
    slots, first = np.unique(slot, return_index=True)
    return Samples(
        rows=torch.from_numpy(np.ascontiguousarray(packed.rows, dtype=np.float32)),
        offsets=torch.from_numpy(np.append(packed.offsets[first], packed.offsets[-1]).astype(np.int64)),
        slot=torch.from_numpy(slots.astype(np.int64)),
    )


def select_patients(batch: PatientBatch, chosen: Int[Tensor, " P"]) -> PatientBatch:
    """Pick patients of a batch, in the order of `chosen`; rows of the others are not copied."""
    num_visits, chosen = batch.num_visits, chosen.to(batch.day.device)
    place = torch.full((batch.num_patients,), -1, dtype=torch.long, device=chosen.device)
    place[chosen] = torch.arange(chosen.numel(), device=chosen.device)
    return PatientBatch(
        patient_ids=tuple(batch.patient_ids[i] for i in chosen.tolist()),
        day=batch.day[chosen],
        visit_mask=batch.visit_mask[chosen],
        samples={name: _select_samples(samples, place, num_visits) for name, samples in batch.samples.items()},
        targets={task: select_target(target, chosen) for task, target in batch.targets.items()},
        summary=None if batch.summary is None else batch.summary[chosen],
        offset={task: offset[chosen] for task, offset in batch.offset.items()},
    )


def select_target(target: Outcome | Response, chosen: Int[Tensor, " P"]) -> Outcome | Response:
    """What some patients are to predict, in the order of `chosen`."""
    values: dict[str, Any] = {n: None if value is None else value[chosen] for n, value in vars(target).items()}
    return type(target)(**values)


def _select_samples(samples: Samples, place: Int[Tensor, " B"], num_visits: int) -> Samples:
    patient = place[samples.slot // num_visits]
    slot = patient * num_visits + samples.slot % num_visits
    kept = torch.nonzero(patient >= 0).squeeze(1)
    kept = kept[torch.argsort(slot[kept])]
    start, count = samples.offsets[:-1][kept], (samples.offsets[1:] - samples.offsets[:-1])[kept]
    offsets = torch.cat([count.new_zeros(1), count.cumsum(0)])
    row = torch.arange(int(offsets[-1]), device=kept.device) + torch.repeat_interleave(start - offsets[:-1], count)
    return Samples(rows=samples.rows[row], offsets=offsets, slot=slot[kept])
