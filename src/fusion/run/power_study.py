"""One study drawn from a pool of patients: what an assay adds to the C-index of a plain model, with its interval.

Dimension key: N drawn patients, copies counted; W weightings of the bootstrap.

Both models are ridge Cox models on the last values known at the day of prediction, as `landmark_cox` fits them, on the
same folds: one with the columns of the assay, and one without. Everything that learns, the preprocessing of the assays
too, learns from the training part of each fold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusion.baselines.landmark import last_rows
from fusion.baselines.penalty import inner_folds
from fusion.baselines.ridge import RidgeCox
from fusion.build import build
from fusion.data.cohort import Cohort
from fusion.data.dataset import Assay, fit_assays, load_tables
from fusion.data.read import read_cohort
from fusion.data.visit_table import build_visit_table
from fusion.metrics.bootstrap import difference, patient_weights
from fusion.metrics.bootstrap import replicate as under_weights
from fusion.metrics.weighted import concordance

#: The number of the one study of everyone in the pool.
EVERYONE = -1


@dataclass(frozen=True)
class Pool:
    """Where studies are drawn from.

    Attributes:
        cohort: Visits up to the last day of prediction, and their samples.
        tables: Raw table of each modality.
        settings: The config.
    """

    cohort: Cohort
    tables: Mapping[str, object]
    settings: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Whether it is a real cohort, from which patients are drawn with replacement."""
        return bool(self.settings["data"]["path"])


def open_pool(out: Path, settings: Mapping[str, Any]) -> Pool:
    """Read the cohort up to the last day of prediction, and the tables of its assays."""
    folder = Path(settings["data"]["path"] or out / "pool")
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; set data.path=DIR, or leave it away to simulate")
    cohort = read_cohort(folder, visit_window=settings["data"]["visit_window"])
    if settings["task"] not in cohort.endpoints:
        raise ValueError(f"task={settings['task']} is no endpoint of {folder}; there is {', '.join(cohort.endpoints)}")
    kept = cohort.visits[(cohort.visits["day"] <= max(settings["days"])) | (cohort.visits["visit"] == 0)]
    samples = cohort.samples[
        pd.MultiIndex.from_frame(cohort.samples[["patient_id", "visit"]]).isin(
            pd.MultiIndex.from_frame(kept[["patient_id", "visit"]])
        )
    ]
    cohort = replace(cohort, visits=kept.reset_index(drop=True), samples=samples)
    modalities = {name: build(node) for name, node in settings["modalities"].items()}
    if lacking := [name for name, modality in modalities.items() if not modality.sample_ids(cohort)]:
        raise ValueError(
            f"there is no sample of {', '.join(lacking)} by day {max(settings['days']):g}; leave it out of "
            "'modality=[...]'"
        )
    return Pool(cohort, load_tables(cohort, modalities), settings)


def one_study(pool: Pool, size: int, number: int) -> list[dict[str, float]]:
    """Draw a study and cross-validate both models in it: a row per day of prediction.

    Args:
        pool: Where it is drawn from, without replacement unless it is a real cohort.
        size: Patients.
        number: Of the replicate, `EVERYONE` for the pool as it is. The draw depends on seed, size and number alone.
    """
    settings = pool.settings
    seed = np.random.SeedSequence([settings["seed"], size, number - EVERYONE])
    draw, fold_seed, boot_seed = (int(part) for part in seed.generate_state(3))
    ids = np.array(pool.cohort.patient_ids, dtype=object)
    chosen = np.arange(size)
    if number != EVERYONE:
        chosen = np.random.default_rng(draw).choice(len(ids), size=size, replace=pool.own)
    distinct, copies = np.unique(chosen, return_counts=True)
    mine = ids[distinct]
    event = pool.cohort.outcomes.loc[mine, f"{settings['task']}_event"].fillna(False).to_numpy(dtype=np.bool_)
    fold = inner_folds(event, num_folds=settings["folds"], seed=fold_seed)
    parts: dict[float, list[dict[str, NDArray[Any]]]] = {day: [] for day in settings["days"]}
    for k in range(settings["folds"]):
        for day, part in _scored_fold(pool, mine, fold != k, number=k):
            parts[day].append(part)
    # Copies of a patient count in the score alone: in the fit they would stand on both sides of its inner folds.
    first = np.cumsum(copies) - copies
    weights = patient_weights(size, settings["resamples"], boot_seed)
    rows = []
    for day, found in parts.items():
        scored = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        times = copies[scored["patient"]]
        row = np.repeat(np.arange(len(times)), times)
        place = first[scored["patient"]][row] + np.arange(len(row)) - np.repeat(np.cumsum(times) - times, times)
        scored = {name: values[row] for name, values in scored.items()}
        rows.append({"day": float(day), "patients": size, "replicate": number, **_gain(scored, weights, place)})
    return rows


def _scored_fold(
    pool: Pool, patients: NDArray[np.object_], inside: NDArray[np.bool_], number: int
) -> Iterator[tuple[float, dict[str, NDArray[Any]]]]:
    """Risks of the held-out patients at risk on each day, with the assay and without, by models of the others."""
    settings, cohort = pool.settings, pool.cohort
    training = set(patients[inside])
    assays = {}
    for name, node in settings["modalities"].items():
        modality = build(node)
        if training & set(modality.placement(cohort)["patient_id"]):  # else nobody to learn from: it tells nothing
            assays[name] = Assay(modality, pool.tables[name])
    fit_assays(cohort, assays, sorted(training))
    pairs = [(assay.modality, assay.table) for assay in assays.values()]
    table = build_visit_table(cohort, pairs, list(patients), [settings["task"]], response=False)
    outcome = table.outcomes[settings["task"]]
    place = {patient: i for i, patient in enumerate(patients)}
    patient = np.array([place[each] for each in table.patient_ids], dtype=np.int64)
    modality_of = np.array(table.modality, dtype=np.str_)
    end = table.day + outcome.duration
    for day in settings["days"]:
        rows = np.flatnonzero(table.visit == 0) if day == 0 else last_rows(table, table.day, day)
        left = outcome.duration[rows] if day == 0 else end[rows] - day
        rows, left = rows[outcome.at_risk[rows] & (left > 0)], left[outcome.at_risk[rows] & (left > 0)]
        trains = inside[patient[rows]]
        test = rows[~trains]
        risks = {}
        for arm, columns in {"with": modality_of == modality_of, "without": modality_of != settings["assay"]}.items():
            risks[arm] = np.zeros(len(test))
            train = rows[trains]
            if outcome.event[train].any() and len(test):
                blocks = modality_of[columns].tolist()
                model = RidgeCox().fit(table.features[train][:, columns], blocks, left[trains], outcome.event[train])
                risks[arm] = model.log_hazard(table.features[test][:, columns])
        truth = {"duration": left[~trains], "event": outcome.event[test], "patient": patient[test]}
        yield day, {**risks, **truth, "fold": np.full(len(test), number, dtype=np.int64)}


def _gain(
    scored: Mapping[str, NDArray[Any]], weights: NDArray[np.int16], patients: NDArray[np.int64]
) -> dict[str, float]:
    """C-index within folds of both models, and the paired difference with its interval by bootstrap of patients."""
    event = scored["event"]

    def both(weights_WN: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        truth = (scored["duration"], event, event.astype(np.float64), scored["fold"])
        return {arm: concordance(weights_WN, scored[arm], *truth) for arm in ("with", "without")}

    values = under_weights(both, weights, patients)
    found = difference(values["with"], values["without"], int(event.sum()))
    low, gain, high = (np.nan if found[key] is None else float(found[key] or 0.0) for key in ("low", "value", "high"))
    return {
        "at_risk": len(event),
        "events": int(event.sum()),
        "without": float(values["without"][0]),
        "with": float(values["with"][0]),
        "difference": gain,
        "low": low,
        "high": high,
    }
