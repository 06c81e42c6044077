"""The cohort as a plain table, one row per patient and visit: what the statistical baselines see."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.data.targets import visit_outcomes, visit_responses
from fusion.types import VisitTable


def build_visit_table(
    cohort: Cohort,
    modalities: Sequence[tuple[Modality, Any]],
    patient_ids: Sequence[str],
    endpoints: Sequence[str],
    response: bool = True,
    ne: Literal["unknown", "nonresponder"] | None = None,
    *,
    detail: bool = False,
) -> VisitTable:
    """Summaries of every assay as known at each visit, beside the outcomes.

    Args:
        cohort: Where the patients are.
        modalities: Fitted modalities, each with the table of this cohort that its `load` gave.
        patient_ids: Patients, in the order of the rows.
        endpoints: Time-to-event endpoints to answer for.
        response: Whether to answer for objective response, under the task name `response`.
        ne: What a patient not evaluable for response is; see `visit_responses`.
        detail: Whether the columns of `Modality.detail` follow the summary of each modality, as a block of their own.
    """
    visits = _visits(cohort, patient_ids)
    names = [f"{modality.name}:{name}" for modality, _ in modalities for name in column_names(modality, detail)]
    owners: list[str] = []
    for modality, _ in modalities:
        owners += [modality.name] * len(modality.summary_names)
        owners += [f"{modality.name} in detail"] * (len(modality.detail_names) if detail else 0)
    return VisitTable(
        patient_ids=np.array(visits["patient_id"].to_list(), dtype=np.str_),
        visit=visits["visit"].to_numpy(dtype=np.int64),
        day=visits["day"].to_numpy(dtype=np.float64),
        features=summary_columns(cohort, modalities, visits, detail=detail),
        feature_names=tuple(names),
        modality=tuple(owners),
        outcomes={endpoint: visit_outcomes(cohort, endpoint, visits) for endpoint in endpoints},
        responses={"response": visit_responses(cohort, visits, ne=ne)} if response else {},
    )


def summary_columns(
    cohort: Cohort, modalities: Sequence[tuple[Modality, Any]], visits: pd.DataFrame, *, detail: bool = False
) -> NDArray[np.float64]:
    """Last value known at each visit of every summary column of every modality, "V P"; NaN where there was none."""
    parts = [_last_known(cohort, modality, table, visits, detail) for modality, table in modalities]
    return np.concatenate([np.zeros((len(visits), 0)), *parts], axis=1)


def column_names(modality: Modality, detail: bool) -> tuple[str, ...]:
    """Columns that a modality has in a table: its summary, then its detail where wanted."""
    return (*modality.summary_names, *(modality.detail_names if detail else ()))


def _visits(cohort: Cohort, patient_ids: Sequence[str]) -> pd.DataFrame:
    """Visits of these patients, patient by patient in the order given."""
    place = pd.Series(np.arange(len(patient_ids)), index=list(patient_ids))
    unknown = place.index.difference(cohort.patients.index)
    if len(unknown):
        raise ValueError(f"patient {unknown[0]} is not in patients.csv of cohort {cohort.name!r}")
    visits = cohort.visits[cohort.visits["patient_id"].isin(place.index)]
    order = np.lexsort([visits["visit"].to_numpy(), place.loc[visits["patient_id"]].to_numpy()])
    return visits.iloc[order].reset_index(drop=True)


def _last_known(
    cohort: Cohort, modality: Modality, table: Any, visits: pd.DataFrame, detail: bool
) -> NDArray[np.float64]:
    """Summary of the last sample known by each visit, NaN where there was none by then, or none in this cohort at all.

    Of several samples at one visit a set assay counts their mean (slides of one tumour), any other the last.
    """
    if table is None:
        return np.full((len(visits), len(column_names(modality, detail))), np.nan)
    row = pd.MultiIndex.from_frame(visits[["patient_id", "visit"]])
    placement = modality.placement(cohort)
    placement = placement[placement["patient_id"].isin(set(visits["patient_id"]))]
    sample_ids = placement["sample_id"].tolist()
    columns = modality.summarise(table, sample_ids)
    if detail:
        columns = np.column_stack([columns, modality.detail(table, sample_ids)])
    summary = pd.DataFrame(
        columns.astype(np.float64),
        index=pd.MultiIndex.from_frame(placement[["patient_id", "visit"]]),
    )
    by_visit = summary.groupby(level=[0, 1], sort=False)
    measured = (by_visit.mean() if modality.is_set else by_visit.last()).reindex(row)
    return measured.groupby(level=0, sort=False).ffill().to_numpy(dtype=np.float64)
