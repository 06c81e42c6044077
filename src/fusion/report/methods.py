"""What the methods section computes: sample size by Riley, the visit process, and the facts of the model card."""

from dataclasses import dataclass

import numpy as np

from fusion.metrics.sample_size import SampleSize, binary_sample_size, survival_sample_size
from fusion.metrics.scorer import FUSION
from fusion.metrics.visits import Association, visit_process
from fusion.report.run_folder import RESPONSE, Run
from fusion.report.tables import Cell, Row, Table
from fusion.report.words import bounds, counted, digits, listed, p_sentence, task_name, when

#: A regression of this many candidate parameters serves as the yardstick.
PARAMETERS = 10
#: Horizon of the overall risk where none was scored.
YEAR = 365.0


def sample_sizes(run: Run) -> dict[str, SampleSize]:
    """The check of every task that has an event, or a response of both kinds."""
    found = {}
    for task in run.endpoints:
        rows = run.at_visit(task)
        horizons = run.horizons(task, FUSION)
        horizon = horizons[len(horizons) // 2] if horizons else YEAR
        if rows["event"].any():
            follow_up = float(rows["duration"].astype(np.float64).mean())
            found[task] = survival_sample_size(len(rows), int(rows["event"].sum()), follow_up, horizon, PARAMETERS)
    if run.has_response:
        label = run.at_visit(RESPONSE)["label"] == 1
        if label.any() and not label.all():
            found[RESPONSE] = binary_sample_size(len(label), int(label.sum()), PARAMETERS)
    return found


def sample_size_table(run: Run) -> Table | None:
    """Patients there are and patients each criterion asks for, by task."""
    rows = []
    for task, size in sample_sizes(run).items():
        numbers = (size.patients, size.events, size.shrinkage, size.optimism, size.risk, size.supported)
        cells = [Cell(f"{number:,}", order=float(number)) for number in numbers]
        cells.insert(2, Cell(digits(size.events_per_parameter, 1), order=size.events_per_parameter))
        rows.append(Row(name=task_name(task).capitalize(), cells=tuple(cells)))
    heads = (
        "Patients",
        "Events",
        f"Events per parameter, of {PARAMETERS}",
        "Needed: shrinkage .9",
        "Needed: optimism .05",
        "Needed: overall risk ± .05",
        "Parameters supported",
    )
    return Table(groups=(), heads=heads, rows=tuple(rows)) if rows else None


def weights_sentence(run: Run) -> str:
    """How large the network is beside the events."""
    if run.weights is None:
        return ""
    sizes = sample_sizes(run)
    events = next((size.events for task, size in sizes.items() if task != RESPONSE), 0)
    share = f", {events / run.weights:.2g} events for each" if events else ""
    return (
        f"One network has {run.weights:,} weights{share}: far from these rules, which were made for regression. "
        "Regularisation and early stopping hold it in check; held-out patients say whether that was enough."
    )


@dataclass(frozen=True)
class Visits:
    """Sentences on the visit process.

    Attributes:
        described: Visits per patient and gaps between them.
        warnings: Associations with later outcome that should make a reader careful.
        tested: What was tested, where nothing was found.
    """

    described: str
    warnings: tuple[str, ...]
    tested: str


def visits(run: Run) -> Visits | None:
    """The visit process, or None where patients have one visit."""
    landmarks = sorted({day for task in run.endpoints for day in run.landmarks(task)})
    found = visit_process(run.predictions, run.endpoints, landmarks)
    if found is None or found.gaps is None:
        return None
    low, middle, high = found.visits
    shortest, between, longest = found.gaps
    described = (
        f"Patients have {low:.0f} to {high:.0f} visits (median {middle:g}); between two visits lie {shortest:.0f} to "
        f"{longest:.0f} days (median {between:.0f})."
    )
    days = listed([when(day) for day in landmarks])
    tested = (
        f"Neither the number of visits nor the days since the last one, at {days}, went with later outcome (score "
        "tests, all p above 0.01)."
        if landmarks
        else ""
    )
    return Visits(described, tuple(_warning(each) for each in found.associations if each.alarming), tested)


def _warning(found: Association) -> str:
    trait = "Number of visits" if found.trait == "visits" else "Days since the last visit"
    way = (
        ("more visits" if found.trait == "visits" else "a longer gap")
        if found.z > 0
        else ("fewer visits" if found.trait == "visits" else "a shorter gap")
    )
    return (
        f"{trait} at {when(found.landmark)}, {task_name(found.task)}: {way} went with earlier events "
        f"({p_sentence(found.p)}; {counted(found.patients, 'patient')}, {counted(found.events, 'event')})."
    )


def model_card(run: Run) -> list[tuple[str, str]]:
    """Facts of the model card, each with its heading; empty ones are the author's."""
    manifest = run.manifest
    tasks = [*run.endpoints, *([RESPONSE] if run.has_response else [])]
    kinds = listed([str(each) for each in manifest.get("modalities", [])])
    commit = (manifest.get("git") or {}).get("commit")
    version = (manifest.get("versions") or {}).get("fusion-oncology")
    made = ", ".join([*([f"version {version}"] if version else []), *([f"commit {commit[:10]}"] if commit else [])])
    cohort = str(manifest.get("cohort", {}).get("name") or "not named")
    kind = "simulated patients" if run.simulated else "patients"
    patients = int(run.predictions["patient_id"].nunique())
    performance = []
    for task in tasks:
        name, word = ("auroc", "AUROC") if task == RESPONSE else ("c_index", "C-index")
        found = run.estimate(task, FUSION, name)
        slope = run.estimate(task, FUSION, "calibration_slope")
        if found is not None:
            interval = f" ({bounds(found)})" if bounds(found) else ""
            after = f", calibration slope {digits(slope.value, 2)}" if slope is not None else ""
            few = "; too few events" if found.note else ""
            performance.append(f"{task_name(task)}: {word} {digits(found.value)}{interval}{after}{few}")
    levels = {level for each in run.subgroups.values() for named in each.values() for level in named}
    return [
        (
            "Model",
            f"fusion{f', {made}' if made else ''}; multi-assay fusion with missing kinds of data and serial visits",
        ),
        ("Made for", "Research on prognosis and response from several assays over time."),
        ("Not made for", "Decisions on the treatment of a patient; patients unlike those below; causes of an outcome."),
        ("Input", f"{kinds[:1].upper()}{kinds[1:]}; any may be absent." if kinds else ""),
        ("Output", f"Risk and probabilities of {listed([task_name(task) for task in tasks])}, at every visit."),
        ("Trained on", f"{patients:,} {kind} of the cohort {cohort}. No patient outside of it was scored."),
        (
            "For new patients",
            "predict.py and final_model/, fitted on all of them in the same way; the figures are those of the folds.",
        ),
        ("Performance, held-out", ". ".join(each[:1].upper() + each[1:] for each in performance)),
        ("Subgroups", f"Scored in {counted(len(levels), 'subgroup')}; see Subgroups." if levels else ""),
        ("Known limits", " ".join(_limits(run))),
        ("Ethics and consent", "No real patient was involved." if run.simulated else ""),
        ("Contact and upkeep", ""),
    ]


def _limits(run: Run) -> list[str]:
    """What a reader should hold against the model, as far as the run folder tells."""
    limits = ["No other cohort was scored."]
    short = [task_name(task) for task, size in sample_sizes(run).items() if size.patients < size.needed]
    if short:
        limits.append(f"Too small for a regression of {PARAMETERS} parameters by Riley's criteria: {listed(short)}.")
    for task in run.endpoints:
        slope = run.estimate(task, FUSION, "calibration_slope")
        if slope is not None and slope.high is not None and slope.high < 1.0:
            limits.append(
                f"Predictions of {task_name(task)} are too extreme (calibration slope {digits(slope.value, 2)})."
            )
    seen = visits(run)
    if seen is not None and seen.warnings:
        limits.append("The timing of visits tells of the outcome; see Later visits.")
    return [*limits, *(f"{str(each).rstrip('.')}." for each in run.qc.get("cautions") or [])]
