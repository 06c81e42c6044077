"""Does another cohort look like the one a model was trained on? Its summary, kept with the run, against the new one.

The summary travels with a model, so it holds no single patient: numbers as mean, sd and quantiles of at least 20
patients, classes and combinations of fewer than 5 patients merged, nothing by site.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from fusion.data.cohort import RESPONDERS, Cohort
from fusion.data.covariates import (
    as_text,
    difference,
    merge_rare,
    new_classes,
    outside,
    rounded,
    share,
    summarise,
    summarise_classes,
    summarise_numbers,
)
from fusion.data.modalities.base import Modality
from fusion.data.modalities.serial_table import SerialTable
from fusion.data.modalities.units import conversion_factor
from fusion.data.qc import summarise_cohort
from fusion.data.targets import NON_RESPONDERS

Json = dict[str, Any]

#: Says where a patient was treated, not who they are; it differs between any two cohorts.
LEFT_OUT = ("site",)


def summarise_training(cohort: Cohort, modalities: Mapping[str, Modality]) -> Json:
    """What `training_summary.json` keeps of a training cohort.

    Args:
        cohort: The cohort.
        modalities: Those of the run, fitted or not.

    Returns:
        `covariates`: numbers and classes by name, blood values at the first visit as `labs:ldh`; `modalities`: share of
        patients with each at the first visit, of later visits with it, and samples per patient; `combinations` of
        modalities at the first visit; `outcomes`, `visits`.
    """
    columns, units = _columns(cohort, modalities)
    covariates = {name: summarise(column) for name, column in columns.items()}
    for name, unit in units.items():
        covariates[name]["unit"] = unit
    held = pd.Series([" + ".join(names) for names in _combinations(cohort, modalities)], dtype=object)
    overall = summarise_cohort(cohort)
    return {
        "schema": 1,
        "cohort": cohort.name,
        "patients": cohort.num_patients,
        "covariates": covariates,
        "modalities": _availability(cohort, modalities),
        "combinations": merge_rare(held.value_counts().to_dict()),
        "outcomes": _outcomes(cohort),
        "visits": {
            "per_patient": overall.visits_per_patient.median,
            "gap_days": rounded(overall.gap_days.median),
        },
    }


def compare_cohorts(training: Json, cohort: Cohort, modalities: Mapping[str, Modality]) -> Json:
    """How a cohort differs from the training cohort of `summarise_training`.

    Returns:
        `covariates`: one entry each with both summaries, the standardised `difference` (Yang and Dalton 2012 for
        classes; None where it is undefined), patients `outside` the training range and in `new_classes`, which were
        rare in training or absent from it; `absent` and `added` covariates; `modalities`, `combinations` that fewer
        than five training patients had, `outcomes` and `visits` of both; `outside`: patients by their number of
        covariates outside.
    """
    here = summarise_training(cohort, modalities)
    columns = _converted(training, cohort, modalities)
    known = {name: before for name, before in training["covariates"].items() if name in columns}
    patients = outside_training(training, cohort, modalities)
    rows = [{"name": name, **_compared(before, columns[name])} for name, before in known.items()]
    ranged = sum("quantiles" in before for before in known.values())
    counts = patients["covariates_outside"]
    unseen = pd.Series([" + ".join(each) for each in _combinations(cohort, modalities)], dtype=object)
    unseen = unseen[~patients["combination_seen"].to_numpy()]
    return {
        "training": {"cohort": training["cohort"], "patients": training["patients"]},
        "here": {"cohort": cohort.name, "patients": cohort.num_patients},
        "covariates": rows,
        "absent": [name for name in training["covariates"] if name not in columns],
        "added": [name for name in columns if name not in training["covariates"]],
        "modalities": {
            name: {"training": before, "here": here["modalities"][name]}
            for name, before in training["modalities"].items()
            if name in here["modalities"]
        },
        "combinations": {"patients": len(unseen), "unseen": {str(k): int(n) for k, n in unseen.value_counts().items()}},
        "outside": {
            "covariates": ranged,
            "patients": {str(n): int((counts == n).sum()) for n in range(3)} | {"3+": int((counts >= 3).sum())},
        },
        "outcomes": {
            name: {"training": training["outcomes"].get(name), "here": here["outcomes"].get(name)}
            for name in {**training["outcomes"], **here["outcomes"]}
        },
        "visits": {"training": training["visits"], "here": here["visits"]},
    }


def _compared(before: Json, column: "pd.Series[Any]") -> Json:
    """Both summaries of a covariate and what tells them apart."""
    numeric = before["kind"] == "numeric"
    row: Json = {"kind": before["kind"]}
    row |= {"training": before, "here": summarise_numbers(column) if numeric else summarise_classes(column)}
    row["difference"] = difference(before, column)
    if numeric:
        row["outside"] = int(outside(column, before).sum()) if "quantiles" in before else None
    else:
        row["new_classes"] = new_classes(column, before)
    return row


def outside_training(training: Json, cohort: Cohort, modalities: Mapping[str, Modality]) -> pd.DataFrame:
    """Who is unlike the training cohort: a row per patient.

    Columns: `patient_id`; `covariates_outside`, how many numbers lie outside the range of training, and `outside`,
    their names; `new_classes`, covariates with a class that was rare in training or absent; `combination_seen`,
    whether at least five training patients had the same modalities at the first visit.
    """
    columns = _converted(training, cohort, modalities)
    beyond: dict[str, list[str]] = {patient: [] for patient in cohort.patient_ids}
    new: dict[str, list[str]] = {patient: [] for patient in cohort.patient_ids}
    for name, before in training["covariates"].items():
        if name not in columns:
            continue
        if before["kind"] == "categorical":
            text = as_text(columns[name])
            found, lists = text.notna() & ~text.isin(before["counts"]), new
        elif "quantiles" in before:
            found, lists = outside(columns[name], before), beyond
        else:
            continue
        for patient in found.index[found.to_numpy(dtype=np.bool_)]:
            lists[patient].append(name)
    seen = [" + ".join(names) in training["combinations"] for names in _combinations(cohort, modalities)]
    return pd.DataFrame(
        {
            "patient_id": list(cohort.patient_ids),
            "covariates_outside": [len(names) for names in beyond.values()],
            "outside": ["; ".join(names) for names in beyond.values()],
            "new_classes": ["; ".join(names) for names in new.values()],
            "combination_seen": np.array(seen, dtype=np.bool_),
        }
    )


def _columns(cohort: Cohort, modalities: Mapping[str, Modality]) -> tuple[dict[str, "pd.Series[Any]"], dict[str, str]]:
    """Covariates, and blood values of the first visit, by patient; and the units of those that have one."""
    columns = {str(name): cohort.patients[name] for name in cohort.patients if name not in LEFT_OUT}
    units: dict[str, str] = {}
    for modality_name, modality in modalities.items():
        if not isinstance(modality, SerialTable) or not modality.sample_ids(cohort):
            continue
        table, placement = modality.load(cohort), modality.placement(cohort)
        first = placement[placement["visit"] == 0].drop_duplicates("patient_id", keep="last")
        values = table.values.reindex(first["sample_id"]).set_index(pd.Index(first["patient_id"]))
        for name in values:
            columns[f"{modality_name}:{name}"] = values[name].reindex(list(cohort.patient_ids))
            if unit := table.units.get(str(name)):
                units[f"{modality_name}:{name}"] = unit
    return columns, units


def _converted(training: Json, cohort: Cohort, modalities: Mapping[str, Modality]) -> dict[str, "pd.Series[Any]"]:
    """Columns of a cohort in the units of the training cohort."""
    columns, units = _columns(cohort, modalities)
    for name, here in units.items():
        if there := training["covariates"].get(name, {}).get("unit"):
            columns[name] = columns[name] * conversion_factor(name, here, there)
    return columns


def _combinations(cohort: Cohort, modalities: Mapping[str, Modality]) -> list[tuple[str, ...]]:
    """Modalities of each patient at the first visit, in the order of their names."""
    present = {}
    for name in sorted(modalities):
        placement = modalities[name].placement(cohort)
        present[name] = set(placement.loc[placement["visit"] == 0, "patient_id"])
    return [tuple(name for name, ids in present.items() if patient in ids) for patient in cohort.patient_ids]


def _availability(cohort: Cohort, modalities: Mapping[str, Modality]) -> dict[str, Json]:
    later = int((cohort.visits["visit"] > 0).sum())
    result = {}
    for name, modality in modalities.items():
        visits = modality.placement(cohort)[["patient_id", "visit"]]
        once = visits.drop_duplicates()
        result[name] = {
            "at_baseline": share(int((once["visit"] == 0).sum()), cohort.num_patients),
            "at_later_visits": share(int((once["visit"] > 0).sum()), later) if later else None,
            "samples_per_patient": rounded(len(visits) / cohort.num_patients),
        }
    return result


def _outcomes(cohort: Cohort) -> dict[str, Json]:
    summary = summarise_cohort(cohort)
    outcomes: dict[str, Json] = {}
    for name, endpoint in summary.endpoints.items():
        outcomes[name] = {key: rounded(value) if "days" in key else value for key, value in asdict(endpoint).items()}
    if summary.response:
        assessed = sum(summary.response.get(level, 0) for level in (*RESPONDERS, *NON_RESPONDERS))
        outcomes["response"] = {
            "known": assessed,
            "events": sum(summary.response.get(level, 0) for level in RESPONDERS),
        }
    return outcomes
