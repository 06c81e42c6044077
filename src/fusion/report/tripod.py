"""The TRIPOD+AI checklist (Collins and others, BMJ 2024): filled in where the software knows, else the author's.

Item texts are short descriptions of ours; the checklist itself has the full wording.
"""

from dataclasses import dataclass

from fusion.metrics.scorer import FUSION
from fusion.report.run_folder import RESPONSE, Run
from fusion.report.words import counted, listed, model_name, protocol, task_name, when


@dataclass(frozen=True)
class Item:
    """One item of the checklist.

    Attributes:
        number: As in the checklist.
        topic: What it asks for.
        answer: What this run says; empty where only the author can.
    """

    number: str
    topic: str
    answer: str = ""

    @property
    def by_author(self) -> bool:
        """Whether the author has to write it."""
        return not self.answer


def tripod(run: Run) -> list[Item]:
    """Every item, in order."""
    return [*_background(run), *_methods(run), *_open_science(run), *_results(run), *_discussion()]


def count_answered(items: list[Item]) -> str:
    """How much of the checklist the software has filled in."""
    answered = sum(not item.by_author for item in items)
    return f"{answered} of {len(items)} items are filled in from this run; {len(items) - answered} are for the author."


def _background(run: Run) -> list[Item]:
    outcomes = listed([task_name(task) for task in _tasks(run)])
    return [
        Item("1", "Title: development or evaluation, population, outcome"),
        Item("2", "Abstract"),
        Item("3a", "Health context and rationale, existing models"),
        Item("3b", "Target population, intended purpose and users"),
        Item("3c", "Known health inequalities"),
        Item("4", "Objectives", f"Develop a model of {outcomes} and evaluate it internally, beside plain models."),
    ]


def _methods(run: Run) -> list[Item]:
    manifest, qc = run.manifest, run.qc
    name = str(manifest.get("cohort", {}).get("name") or "")
    hashed = (
        f"; {counted(len(manifest['inputs']), 'input file')}, hashed under Provenance" if manifest.get("inputs") else ""
    )
    source = "Simulated; no real patient." if run.simulated else ""
    sites = len(qc.get("categorical", {}).get("site", {}))
    failed = sum(int(row.get("count") or 0) for row in qc.get("left_out") or [])
    kinds = listed([str(each) for each in manifest.get("modalities", [])])
    landmarks = sorted({day for task in _tasks(run) for day in run.landmarks(task)})
    later = f" and at {listed([when(day) for day in landmarks])}" if landmarks else ""
    split = f"{protocol(manifest)}; a patient's visits stay together" if protocol(manifest) else ""
    plain = listed([model_name(each) for each in dict.fromkeys(m for t in _tasks(run) for m in run.baseline_models(t))])
    members = manifest.get("members") or 1
    ensemble = f"Mean of {members} networks a fold: " if members > 1 else "One network a fold: "
    return [
        Item("5a", "Source of data and how representative it is", source and f"{source} Cohort {name}{hashed}."),
        Item("5b", "Dates of accrual and follow-up", "Simulated." if run.simulated else ""),
        Item("6a", "Setting and number of centres", f"{counted(sites, 'site')} in the data." if sites else ""),
        Item("6b", "Eligibility criteria"),
        Item("6c", "Treatments received"),
        Item(
            "7",
            "Preparation and quality of data",
            f"Every file was checked before training. Left out: {counted(failed, 'entry', 'entries')}; reasons are "
            "under Patients and data."
            if qc
            else "",
        ),
        Item("8a", "Outcome and time horizon", _outcome(run)),
        Item("8b", "Assessors of the outcome"),
        Item("8c", "Blinding of the assessment"),
        Item(
            "9a",
            "Choice of predictors",
            f"All of {kinds}; features are chosen inside the training part of each fold." if kinds else "",
        ),
        Item(
            "9b",
            "Definition and timing of predictors",
            "A prediction reads only what was available by its day; availability by visit is under Patients and data. "
            "Laboratory methods are for the author.",
        ),
        Item("9c", "Assessors of predictors"),
        Item("10", "Sample size", "See the check of sample size in this section."),
        Item(
            "11",
            "Missing data",
            "Absent samples are masked, not imputed; a kind of data that a patient lacks is left out of the fusion.",
        ),
        Item(
            "12a",
            "Use of the data",
            f"{split[:1].upper()}{split[1:]}; the split is hashed under Provenance." if split else "",
        ),
        Item(
            "12b",
            "Handling of predictors",
            "Scaled and encoded by rules fitted on the training part; saved with each fold.",
        ),
        Item(
            "12c",
            "Type of model and its building",
            f"{ensemble}an encoder for each kind of data, fusion of those that are there, a causal module over "
            "visits. Training stops by patients of the training part that a network has left out.",
        ),
        Item("12d", "Heterogeneity across clusters", "Figures by site are under Subgroups." if _by_site(run) else ""),
        Item(
            "12e",
            "Measures of performance",
            "C-index (Harrell, Uno), AUC over time, Brier and scaled Brier score, calibration, net benefit; 95 % "
            f"intervals by patient-level bootstrap{f'; beside {plain}' if plain else ''}.",
        ),
        Item("12f", "Updating of the model", "None in this run."),
        Item(
            "12g",
            "How predictions were computed",
            "By the networks of the fold that held the patient out; predict.py gives others to the final model.",
        ),
        Item(
            "13", "Class imbalance", "No resampling of classes; probabilities are checked for calibration as they are."
        ),
        Item("14", "Fairness", "Figures by subgroup are printed; no other step was taken." if run.subgroups else ""),
        Item(
            "15",
            "Output of the model",
            f"Probabilities over time and a risk for each of {listed([task_name(task) for task in _tasks(run)])} at "
            f"baseline{later}. Groups are cut at thirds of the training risks.",
        ),
        Item("16", "Training and evaluation data", "Folds of one cohort: no other setting was tried."),
        Item("17", "Ethical approval", "Not applicable: simulated." if run.simulated else ""),
    ]


def _open_science(run: Run) -> list[Item]:
    commit = (run.manifest.get("git") or {}).get("commit")
    return [
        Item("18a", "Funding"),
        Item("18b", "Conflicts of interest"),
        Item("18c", "Protocol"),
        Item("18d", "Registration"),
        Item(
            "18e",
            "Availability of data",
            "Drawn anew by the simulator from the config of the run." if run.simulated else "",
        ),
        Item(
            "18f",
            "Availability of code",
            f"fusion, Apache-2.0, commit {commit[:10]}." if commit else "fusion, Apache-2.0.",
        ),
        Item("19", "Patient and public involvement"),
    ]


def _results(run: Run) -> list[Item]:
    scored = any(run.estimate(task, FUSION, name) for task in _tasks(run) for name in ("c_index", "auroc"))
    counts = []
    for task in run.endpoints:
        rows = run.at_visit(task)
        counts.append(
            f"{task_name(task)}: {counted(len(rows), 'patient')}, {counted(int(rows['event'].sum()), 'event')}"
        )
    return [
        Item(
            "20a",
            "Flow of participants, follow-up",
            "Patients per step, events and median follow-up are under Patients and data.",
        ),
        Item("20b", "Characteristics of participants"),
        Item(
            "20c",
            "Comparison of training and evaluation data",
            "Not applicable: one cohort, split by patient." if run.manifest.get("folds") else "",
        ),
        Item("21", "Participants and events of each analysis", f"{'; '.join(counts)}." if counts else ""),
        Item(
            "22",
            "Specification of the full model",
            "Weights and preprocessing of every fold and of the final model are in the run folder.",
        ),
        Item(
            "23a",
            "Performance with intervals, in subgroups",
            ("Under Scores, Later visits, Calibration" + (" and Subgroups." if run.subgroups else "."))
            if scored
            else "",
        ),
        Item("23b", "Heterogeneity of performance", "Figures by site are under Subgroups." if _by_site(run) else ""),
        Item("24", "Results of updating", "Not applicable: no updating."),
    ]


def _discussion() -> list[Item]:
    return [
        Item("25", "Interpretation, fairness, earlier studies"),
        Item("26", "Limitations"),
        Item(
            "27a",
            "Poor or absent input at use",
            "A sample that is absent is masked; a file that breaks the schema is refused with the reason.",
        ),
        Item("27b", "Interaction and expertise that users need"),
        Item("27c", "Next steps: research, generalisation"),
    ]


def _tasks(run: Run) -> list[str]:
    return [*run.endpoints, *([RESPONSE] if run.has_response else [])]


def _by_site(run: Run) -> bool:
    return any("site" in covariates for covariates in run.subgroups.values())


def _outcome(run: Run) -> str:
    horizons = next((run.horizons(task, FUSION) for task in run.endpoints if run.horizons(task, FUSION)), ())
    days = f", scored at days {listed([f'{day:g}' for day in horizons])}" if horizons else ""
    named = listed([task_name(task) for task in _tasks(run)]).capitalize()
    return f"{named}{days}. How it was assessed is for the author."
