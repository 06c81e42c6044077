"""`figures`: the figures of a trial paper of a cohort, and of a run's predictions, as SVG and PNG."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.markup import escape

from fusion.build import plain
from fusion.data.cohort import Cohort
from fusion.data.gene_sets import read_gene_sets
from fusion.data.modalities.plasma import TUMOR_FRACTION, plasma_data
from fusion.data.modalities.variants import Variants
from fusion.data.qc import summarise_cohort
from fusion.data.tables import find_table, read_plasma
from fusion.metrics.subgroups import subgroup_table
from fusion.report.run_folder import Run
from fusion.report.run_folder import read_run as read_report_run
from fusion.report.summary import cohort_name
from fusion.report.trial import (
    Choices,
    Drawing,
    TrialTables,
    cohort_plans,
    draw_all,
    run_plans,
    write_captions,
    write_drawing,
)
from fusion.report.trial.page import write_figures
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of

#: Column of plasma.csv that is drawn, in order of choice, and what it is called.
MEASURES = ((TUMOR_FRACTION, "ctDNA tumour fraction"), ("mean_vaf", "ctDNA mean allele fraction"))
#: Beginnings of the names of figures that the report shows already.
IN_REPORT = ("kaplan_meier_", "calibration_", "auc_", "landmark_", "decision_")
#: Kinds of specimen that a blood sample is named.
BLOOD = ("plasma", "serum", "blood")


def figures(config: DictConfig) -> int:
    """Draw every figure that the data allow; print which were not drawn, and why."""
    wanted = plain(config)
    folder = Path(wanted["run"]) if wanted["run"] else None
    if folder is None and not wanted["data"]["path"]:
        raise ValueError("nothing to draw from: give run=DIR, data.path=DIR or both")
    run = read_report_run(folder) if folder else None
    cohort = _cohort_of(folder, wanted["data"]) if folder or wanted["data"]["path"] else None
    if run is not None and cohort is not None:
        _same_patients(run, cohort)
    base = folder or Path(wanted["data"]["path"])
    out = Path(wanted["out"]) if wanted["out"] else base / "figures"
    drawings = draw_all(_plans(run, cohort, _choices(wanted)), wanted["only"] or ())
    prefix, formats = str(wanted["prefix"] or ""), tuple(wanted["formats"])
    drawn = [each for each in drawings if each.figure is not None]
    written = [write_drawing(each, out, prefix=prefix, formats=formats) for each in drawn]
    for each in drawings:
        if each.figure is None:
            console.print(f"{escape(each.name)}: {escape(each.caption)}")
    if written and wanted["captions"]:
        note = "SIMULATED patients." if _simulated(run, cohort) else ""
        write_captions(drawings, out / "captions.md", note)
    console.print(f"wrote {len(written)} figures to {escape(str(out))}")
    return 0


def figures_page(folder: Path) -> Path:
    """Write `report/figures.html` of a finished run: what its report does not show already, and no patient ids.

    Figures of the cohort are left out where it has moved. A figure that fails is named with its fault: a picture is no
    reason to lose a run.
    """
    run = read_report_run(folder)
    cohort = _cohort_of(folder, {"path": None, "visit_window": None})
    plans = _plans(run, cohort, Choices(show_ids=False))
    drawings = [_drawn(name, draw) for name, draw in plans.items() if not name.startswith(IN_REPORT)]
    path = folder / "report" / "figures.html"
    return write_figures(drawings, path, cohort=cohort_name(run), simulated=_simulated(run, cohort))


def _drawn(name: str, draw: Callable[[], Drawing]) -> Drawing:
    try:
        return draw()
    except Exception as fault:  # whatever it is; `figures` shows it in full
        return Drawing(name, name.replace("_", " "), f"Not drawn: {type(fault).__name__}: {fault}")


def _choices(wanted: dict[str, Any]) -> Choices:
    genes = tuple(str(gene) for gene in wanted["genes"] or ())
    if wanted["gene_sets"]:
        genes = (*genes, *(gene for each in read_gene_sets(wanted["gene_sets"]).values() for gene in each))
    return Choices(genes, wanted["most_genes"], wanted["most_bars"], wanted["show_ids"])


def _plans(run: Run | None, cohort: Cohort | None, choices: Choices) -> dict[str, Callable[[], Drawing]]:
    plans: dict[str, Callable[[], Drawing]] = {}
    if cohort is not None:
        predictions = None if run is None else run.predictions
        plans |= cohort_plans(trial_tables(cohort), choices=choices, predictions=predictions)
    if run is not None:
        groups = None if cohort is None else subgroup_table(cohort.patients).set_index("patient_id")
        plans |= run_plans(run, groups)
    return plans


def _cohort_of(folder: Path | None, data: dict[str, Any]) -> Cohort | None:
    """The cohort named, or that of the run; None where the run's has moved."""
    settings = {"visit_window": data["visit_window"], "simulate_if_absent": False, "path": data["path"]}
    if folder is not None:
        of_run = config_of(folder)["data"]
        settings["path"] = data["path"] or of_run["path"]
        settings["visit_window"] = of_run["visit_window"]
        if not data["path"] and not Path(settings["path"]).is_dir():
            console.print(
                f"the cohort of the run is not at {escape(str(settings['path']))}: figures of the cohort are left out; "
                "name it with data.path=DIR"
            )
            return None
    return open_cohort(settings)


def _same_patients(run: Run, cohort: Cohort) -> None:
    strange = sorted(set(run.predictions["patient_id"].astype(str)) - set(cohort.patient_ids))
    if strange:
        raise ValueError(
            f"{cohort.folder} is not the cohort of the run: {len(strange)} of its patients are not there, such as "
            f"{strange[0]!r}; name the right one in data.path=DIR"
        )


def _simulated(run: Run | None, cohort: Cohort | None) -> bool:
    return bool((run is not None and run.simulated) or (cohort is not None and cohort.settings.get("simulated")))


def trial_tables(cohort: Cohort) -> TrialTables:
    """The tables of a cohort that the figures are drawn from."""
    summary = json.loads(json.dumps(dataclasses.asdict(summarise_cohort(cohort)), default=str))
    sequenced = cohort.samples_of("variants")
    ctdna, measure = _ctdna(cohort)
    blood = cohort.samples[cohort.samples["specimen"].isin(BLOOD) | cohort.samples["modality"].isin(("plasma", "labs"))]
    return TrialTables(
        outcomes=cohort.outcomes,
        endpoints=cohort.endpoints,
        patients=cohort.patients,
        qc=summary,
        lesions=cohort.lesions,
        draws=blood[["patient_id", "day"]].drop_duplicates(ignore_index=True) if len(blood) else None,
        ctdna=ctdna,
        variants=_variants(cohort, sequenced),
        sequenced=tuple(dict.fromkeys(sequenced["patient_id"])),
        groups=subgroup_table(cohort.patients).set_index("patient_id"),
        measure=measure,
    )


def _ctdna(cohort: Cohort) -> tuple[pd.DataFrame | None, str]:
    """Plasma values with their limit as the models read them: an undetected sample is one, whatever its number."""
    path, samples = find_table(cohort.folder, "plasma"), cohort.samples_of("plasma")
    if path is None or samples.empty:
        return None, ""
    table = read_plasma(path)
    name, measure = next((each for each in MEASURES if each[0] in table), (None, ""))
    if name is None:
        return None, ""
    limit = (cohort.settings.get("plasma") or {}).get("lod")
    data = plasma_data(table, samples["patient_id"], limit, path.name)
    nothing = pd.Series(float("nan"), index=data.values.index)
    draws = pd.DataFrame(
        {
            "patient_id": samples["patient_id"].reindex(data.values.index),
            "day": samples["day"].reindex(data.values.index),
            "fraction": data.values[name],
            "detected": data.detected.get(name, nothing),
            "lod": data.limits.get(name, nothing),
        }
    )
    return draws.reset_index(drop=True), measure


def _variants(cohort: Cohort, samples: pd.DataFrame) -> pd.DataFrame | None:
    """Variants that passed the filter, as the models read them, by patient."""
    if samples.empty or find_table(cohort.folder, "variants") is None:
        return None
    found, _ = Variants().load(cohort).of(_first_samples(samples))
    patient = samples["patient_id"].reindex(found.index)
    return pd.DataFrame(
        {
            "patient_id": patient.to_numpy(),
            "gene": found["gene"].to_numpy(),
            "consequence": found["consequence"].to_numpy(),
        }
    )


def _first_samples(samples: pd.DataFrame) -> Sequence[str]:
    """The first sample of every patient: an oncoprint is of one time."""
    return list(samples.sort_values("day", kind="stable").groupby("patient_id", sort=False).head(1).index)
