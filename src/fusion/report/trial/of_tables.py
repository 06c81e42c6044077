"""The figures that the tables of a cohort allow, in the order of a paper, each with a caption or why it is missing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fusion.data.recist import assess_lesions, best_response
from fusion.report.availability import Availability, availability
from fusion.report.run_folder import Run
from fusion.report.trial.cohort_flow import cohort_flow, flow_levels
from fusion.report.trial.drawing import Drawing, count, known_response, shares
from fusion.report.trial.forest import forest
from fusion.report.trial.hazard_ratios import covariate_effects
from fusion.report.trial.heat_map import availability_heat_map
from fusion.report.trial.kinetics import ctdna_kinetics
from fusion.report.trial.oncoprint import MOST_GENES, oncoprint
from fusion.report.trial.plans import Plan, missing, plan
from fusion.report.trial.swimmer import MOST_BARS, swimmer, swimmer_course
from fusion.report.trial.tumour_change import spider, waterfall
from fusion.report.words import short_name, task_name

_EMPTY = pd.DataFrame()


@dataclass(frozen=True)
class TrialTables:
    """What the figures of a cohort are drawn from; None where the cohort has no such table.

    Attributes:
        outcomes: Indexed by `patient_id`; `<E>_days`, `<E>_event`, optionally `response`.
        endpoints: Names of the endpoints.
        patients: Baseline covariates, same index.
        qc: What a run keeps as `qc.json`.
        lesions: As `lesions.csv`.
        draws: Blood samples: `patient_id`, `day`.
        ctdna: Plasma values: `patient_id`, `day`, `fraction`, `detected`, `lod`.
        variants: `patient_id`, `gene`, `consequence`.
        sequenced: Patients with a variants sample.
        groups: Covariates that define subgroups, as text, by `patient_id`.
        measure: What `fraction` of `ctdna` is.
    """

    outcomes: pd.DataFrame
    endpoints: tuple[str, ...]
    patients: pd.DataFrame
    qc: Mapping[str, Any]
    lesions: pd.DataFrame | None = None
    draws: pd.DataFrame | None = None
    ctdna: pd.DataFrame | None = None
    variants: pd.DataFrame | None = None
    sequenced: tuple[str, ...] = ()
    groups: pd.DataFrame = field(default_factory=lambda: _EMPTY)
    measure: str = "ctDNA tumour fraction"


@dataclass(frozen=True)
class Choices:
    """What the user may choose of the figures.

    Attributes:
        genes: Genes of the oncoprint; none: the most often altered.
        most_genes: Its height.
        most_bars: Bars of the swimmer figure.
        show_ids: Whether patient ids stand in the swimmer figure.
    """

    genes: tuple[str, ...] = ()
    most_genes: int = MOST_GENES
    most_bars: int = MOST_BARS
    show_ids: bool = True


def overall_responses(tables: TrialTables, assessments: pd.DataFrame | None) -> tuple[pd.Series, str]:
    """Best overall response by patient, and where it comes from: the outcomes table, else the lesions."""
    told = tables.outcomes.get("response")
    if told is not None and told.notna().any():
        return told.dropna().astype(str), "response as recorded in outcomes.csv"
    if assessments is not None:
        return best_response(assessments)["response"], "best response by RECIST 1.1 from lesions.csv, not confirmed"
    return pd.Series(dtype=object), "response not known"


def cohort_plans(
    tables: TrialTables, *, choices: Choices | None = None, predictions: pd.DataFrame | None = None
) -> dict[str, Callable[[], Drawing]]:
    """All figures that need no model, by name; `predictions` of a run add their boxes to the cohort flow."""
    chosen = choices or Choices()
    assessments = None if tables.lesions is None or tables.lesions.empty else assess_lesions(tables.lesions)
    response, source = overall_responses(tables, assessments)
    levels = flow_levels(tables.qc, predictions) if tables.qc else []
    plans = [
        plan(
            "cohort_flow",
            "Cohort flow",
            "From the patients in the folder to those whose predictions are scored. Assays: patients with a sample at "
            "the baseline visit; nobody is left out for lacking one.",
            lambda: cohort_flow(levels),
        ),
        plan(
            "availability",
            "Availability of data by visit",
            "Patients with each assay at each visit, shaded by their share of those who have that visit (in brackets).",
            lambda: availability_heat_map(_availability(tables.qc)),
        ),
        *_tumour_plans(assessments, response, source),
        plan(
            "swimmer",
            "Swimmer",
            f"One bar per patient, from start of treatment to last follow-up; colour: {source}.",
            lambda: swimmer(
                swimmer_course(tables.outcomes),
                response,
                assessments,
                tables.draws,
                most=chosen.most_bars,
                show_ids=chosen.show_ids,
            ),
        ),
        _kinetics(tables, response, source),
        _oncoprint(tables, response, chosen),
    ]
    return dict([*plans, *_forests(tables)])


def _availability(qc: Mapping[str, Any]) -> Availability | None:
    return availability(_only_qc(qc))


def _only_qc(qc: Mapping[str, Any]) -> Run:
    """A run of which nothing but the quality report is known: what the count of the report asks for."""
    return Run(
        manifest={},
        qc=qc,
        scores={},
        predictions=_EMPTY,
        baselines=_EMPTY,
        splits=_EMPTY,
        curves=_EMPTY,
        drawn={},
        subgroups={},
        corrected={},
        weights=None,
    )


def _tumour_plans(assessments: pd.DataFrame | None, response: pd.Series, source: str) -> list[Plan]:
    titles = (("waterfall", "Waterfall: best change of tumour size"), ("spider", "Spider: tumour size over time"))
    if assessments is None:
        return [missing(*each, "the cohort has no lesions.csv") for each in titles]
    told = shares(count(known_response(value) for value in response))
    return [
        plan(
            *titles[0],
            "Best change of the sum of target-lesion diameters from baseline, up to progression, largest growth first. "
            f"Dashed: +20 % and −30 %. Progression by RECIST counts from the smallest sum, so a bar below +20 % may be "
            f"orange; a star marks a new lesion. Colour: {source} ({told}).",
            lambda: waterfall(assessments, response),
        ),
        plan(
            *titles[1],
            "Change of the sum of target-lesion diameters from baseline at every scan up to progression. A dot ends "
            f"each line; a star marks a scan with a new lesion. Colour: {source}.",
            lambda: spider(assessments, response),
        ),
    ]


def _kinetics(tables: TrialTables, response: pd.Series, source: str) -> Plan:
    name, title = "ctdna_kinetics", "ctDNA over time by response"
    if tables.ctdna is None:
        return missing(name, title, "the cohort has no plasma.csv with tumor_fraction or mean_vaf")
    caption = (
        f"Above: {tables.measure} on a logarithmic scale. Below: what is left of each patient's value at baseline; "
        "dashed: molecular response (half, and a tenth); the bottom strip: cleared. Thick: median of each patient's "
        "last value up to days 0, 21, 42, 84 and every 42 days from there, where at least five have one; later medians "
        f"are of those still sampled. Groups: {source}."
    )
    found = tables.ctdna
    return plan(name, title, caption, lambda: ctdna_kinetics(found, response, measure=tables.measure))


def _oncoprint(tables: TrialTables, response: pd.Series, chosen: Choices) -> Plan:
    name, title = "oncoprint", "Oncoprint"
    if tables.variants is None or not tables.sequenced:
        return missing(name, title, "the cohort has no variants.maf with samples that passed QC")
    found, ids = tables.variants, list(tables.sequenced)
    clinical = pd.DataFrame({"response": response.reindex(ids)}, index=ids).join(tables.groups)
    which = "the genes asked for" if chosen.genes else f"the up to {chosen.most_genes} most often altered genes"
    caption = (
        f"Variants that change the protein, in {which}; silent and non-coding ones are left out. Right: share of the "
        "sequenced patients. Long genes are hit often by chance; how often says nothing about what drives a tumour."
    )
    return plan(
        name, title, caption, lambda: oncoprint(found, ids, clinical, genes=chosen.genes, most=chosen.most_genes)
    )


def _forests(tables: TrialTables) -> list[Plan]:
    plans = []
    for task in tables.endpoints:
        days, event = tables.outcomes[f"{task}_days"], tables.outcomes[f"{task}_event"]
        for adjusted in (False, True):
            stem = f"forest_{task}" + ("_adjusted" if adjusted else "")
            words = "all covariates in one Cox model" if adjusted else "one Cox model per covariate"
            caption = (
                f"Hazard ratio of each baseline covariate for {task_name(task)}, {words}; above 1: the event comes "
                "sooner. Bars: 95 % interval. A comparison of groups, not an effect of treatment."
            )
            title = f"{short_name(task)}: hazard ratios" + (", adjusted" if adjusted else "")
            draw = _covariate_forest(tables.patients, days, event, adjusted)
            plans.append(plan(stem, title, caption, draw))
    return plans


def _covariate_forest(
    patients: pd.DataFrame, days: pd.Series, event: pd.Series, adjusted: bool
) -> Callable[[], Figure]:
    return lambda: forest(
        covariate_effects(patients, days, event, adjusted=adjusted), sides=("event later", "event sooner")
    )
