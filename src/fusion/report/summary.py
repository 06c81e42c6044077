"""The first sentences of the page: what was done, the one answer, and how the patients flowed through it."""

from dataclasses import dataclass

import pandas as pd

from fusion.metrics.scorer import FUSION
from fusion.report.run_folder import RESPONSE, Estimate, Run
from fusion.report.words import (
    bounds,
    counted,
    digits,
    listed,
    model_name,
    p_sentence,
    protocol,
    short_name,
    signed,
    task_name,
    when,
)


@dataclass(frozen=True)
class Answer:
    """The answer for the first task: two or three figures and what they mean together.

    Attributes:
        figures: Label, value, interval and comparison of each number to print large.
        sentence: What they say.
    """

    figures: tuple[tuple[str, str, str, str], ...]
    sentence: str


@dataclass(frozen=True)
class Step:
    """One step of the cohort flow."""

    label: str
    count: str
    note: str = ""


def cohort_name(run: Run) -> str:
    """Name of the cohort, or of the run where it has none."""
    return str(run.manifest.get("cohort", {}).get("name") or run.manifest.get("name") or "unnamed")


def num_patients(run: Run) -> int:
    """Patients whose predictions are in the run."""
    return int(run.predictions["patient_id"].nunique())


def what_was_done(run: Run) -> str:
    """One sentence: data, model, how it was tested."""
    manifest = run.manifest
    modalities = list(manifest.get("modalities", []))
    visits = int(run.predictions["visit"].max()) + 1 if len(run.predictions) else 0
    fused = f"fuses {counted(len(modalities), 'kind')} of data" if modalities else "fuses the available data"
    over = f" over up to {visits} visits" if visits > 1 else " at one visit"
    tested = protocol(manifest) or "cross-validation"
    kind = "simulated patients" if run.simulated else "patients"
    tasks = listed([*(task_name(task) for task in run.endpoints), *([task_name(RESPONSE)] if run.has_response else [])])
    return (
        f"A model that {fused}{over} predicted {tasks} in {num_patients(run):,} {kind} by {tested}; every figure below "
        "comes from patients that the model at hand had not seen."
    )


def answer(run: Run) -> Answer | None:
    """The figures of the first task that was scored, and whether the model beats the best plain baseline."""
    scored = [(task, "auroc" if task == RESPONSE else "c_index") for task in (*run.endpoints, RESPONSE)]
    for task, metric in scored:
        if (ours := run.estimate(task, FUSION, metric)) is not None:
            return Answer(figures=_figures(run, task, metric), sentence=_verdict(run, task, metric, ours))
    return None


def _figures(run: Run, task: str, metric: str) -> tuple[tuple[str, str, str, str], ...]:
    figures = []
    shown = [(task, metric, day) for day in (None, *run.landmarks(task)[:2])]
    if task != RESPONSE and run.has_response and len(shown) < 3:
        shown.append((RESPONSE, "auroc", None))
    for name, kind, day in shown:
        if (found := run.estimate(name, FUSION, kind, day)) is None:
            continue
        rival = run.best_baseline(name, kind, day)
        theirs = run.estimate(name, rival, kind, day) if rival else None
        beside = f"best baseline {digits(theirs.value, 2)}" if theirs else "no baseline fitted"
        label = f"{short_name(name)} {'AUROC' if kind == 'auroc' else 'C-index'}, {when(day)}"
        figures.append((label, digits(found.value, 2), bounds(found, 2), beside))
    return tuple(figures)


def _verdict(run: Run, task: str, metric: str, ours: Estimate) -> str:
    measure = "an AUROC" if metric == "auroc" else "a C-index"
    start = f"At baseline the fused model ranks {task_name(task)} with {measure} of {digits(ours.value, 2)}"
    start += f" (95 % interval {bounds(ours, 2)})" if bounds(ours) else ""
    if ours.note:
        return f"{start}, but with {ours.note}: nothing can be concluded from it."
    if not run.baseline_models(task):
        return f"{start}. No baseline was fitted in this run, so nothing says whether a plain model would do as well."
    sentence = f"{start}; {_against_best(run, task, metric, None)}"
    last = run.landmarks(task)[-1:]
    if last and (later := run.estimate(task, FUSION, metric, last[0])) is not None:
        sentence += (
            f" At {when(last[0])} it reaches {digits(later.value, 2)}; {_against_best(run, task, metric, last[0])}"
        )
    return sentence


def _against_best(run: Run, task: str, metric: str, day: float | None) -> str:
    """The best plain baseline at a prediction time and what the paired difference to it means."""
    rival = run.best_baseline(task, metric, day)
    theirs = run.estimate(task, rival, metric, day) if rival else None
    if rival is None or theirs is None:
        return "no plain baseline was scored then."
    start = f"the best plain baseline ({model_name(rival)}) reaches {digits(theirs.value, 2)}"
    gain = run.gain(task, rival, metric, day)
    if gain is None or gain.low is None or gain.high is None:
        return f"{start}. Their paired difference was not computed."
    meaning = "no difference can be shown between the two"
    if gain.low > 0:
        meaning = "the fused model is better"
    elif gain.high < 0:
        meaning = "the fused model is worse"
    test = f", {p_sentence(gain.p)}" if gain.p is not None else ""
    return f"{start}: {meaning} (paired difference {signed(gain.value)}, {bounds(gain)}{test})."


def flow(run: Run) -> list[Step]:
    """How many patients each step of the analysis rests on."""
    steps = []
    total = run.manifest.get("cohort", {}).get("patients")
    if isinstance(total, int):
        steps.append(Step("In the cohort", counted(total, "patient")))
    predicted = num_patients(run)
    gone = total - predicted if isinstance(total, int) else 0
    note = f"{counted(gone, 'patient')} without any outcome to score" if gone > 0 else ""
    steps.append(Step("Held out and predicted", counted(predicted, "patient"), note))
    for task in run.endpoints:
        rows = run.at_visit(task)
        events = counted(int(rows["event"].sum()), "event")
        steps.append(Step(f"{short_name(task)} at baseline", counted(len(rows), "patient"), events))
        for day in run.landmarks(task):
            left, ended = (run.estimate(task, FUSION, name, day) for name in ("n", "events"))
            if left is not None:
                events = counted(int(ended.value), "event") if ended else ""
                label = f"{short_name(task)}, still at risk at {when(day)}"
                steps.append(Step(label, counted(int(left.value), "patient"), events))
    if run.has_response:
        rows = run.at_visit(RESPONSE)
        responders = counted(int(rows["label"].sum()), "responder") if "label" in rows else ""
        steps.append(Step("Response assessed after baseline", counted(len(rows), "patient"), responders))
        for day in run.landmarks(RESPONSE):
            left, responded = (run.estimate(RESPONSE, FUSION, name, day) for name in ("n", "events"))
            if left is not None:
                responders = counted(int(responded.value), "responder") if responded else ""
                steps.append(
                    Step(f"Response assessed after {when(day)}", counted(int(left.value), "patient"), responders)
                )
    return steps


def left_out(run: Run) -> list[tuple[str, str, int]]:
    """File, reason and number of what was left out; items themselves are not named in a page made to be shared."""
    table = pd.DataFrame(run.qc.get("left_out") or [], columns=["file", "item", "reason", "count"])
    counts = table.groupby(["file", "reason"], sort=True)["count"].sum()
    return [(str(file), str(reason), int(count)) for (file, reason), count in counts.items()]
