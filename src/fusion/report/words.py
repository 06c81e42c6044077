"""The words of the page: how models, tasks and times are called, and what the terms mean to a clinician."""

import math
from collections.abc import Mapping
from typing import Any

from fusion.report.run_folder import Estimate

MODELS = {
    "fusion": "Fusion (ours)",
    "fusion_at_baseline": "Fusion, baseline visit only",
    "km": "No covariates (Kaplan-Meier)",
    "cox_stage": "Cox: stage",
    "cox_clinical": "Cox: clinical",
    "cox_all": "Cox: all features",
    "elastic_net": "Elastic-net Cox",
    "stacking": "Stacked Cox",
    "boosting": "Boosted trees",
    "forest": "Survival forest",
    "landmark_cox": "Landmark Cox: last values",
    "landmark_elastic_net": "Landmark Cox: few of last values",
    "landmark_mean": "Landmark Cox: mean values",
    "landmark_last": "Landmark Cox: values alone",
    "landmark_course": "Landmark Cox: nadir and slope",
    "landmark_visits": "Landmark Cox: visits alone",
    "logistic_clinical": "Logistic: clinical",
    "logistic_all": "Logistic: all features",
    "landmark_logistic": "Landmark logistic: last values",
}
ABOUT_MODELS = {
    "km": "the Kaplan-Meier curve of the training patients, the same for everybody",
    "cox_stage": "Cox regression on stage alone",
    "cox_clinical": "ridge Cox regression on the clinical covariates",
    "cox_all": "penalised Cox regression on all assays, each summarised",
    "elastic_net": "Cox regression on all assays in which few features count",
    "stacking": "late fusion: one Cox regression per assay, weighted by what each predicts in left-out patients",
    "boosting": "gradient-boosted survival trees on all assays, each summarised",
    "forest": "random survival forest on all assays, each summarised",
    "landmark_cox": "Cox regression fitted anew at every landmark on the last value of each assay",
    "landmark_elastic_net": "Cox regression fitted anew at every landmark in which few of the last values count",
    "landmark_mean": "Cox regression fitted anew at every landmark on the mean of the values so far",
    "landmark_last": "Cox regression fitted anew at every landmark on the last values, without their change",
    "landmark_course": "Cox regression fitted anew at every landmark on last value, nadir and slope",
    "landmark_visits": "landmark Cox regression on the number and spacing of visits, with no measured value",
    "logistic_clinical": "logistic regression on the clinical covariates",
    "logistic_all": "logistic regression on all assays, each summarised",
    "landmark_logistic": "logistic regression fitted anew at every landmark on the last value of each assay",
}
TASKS = {"os": "overall survival", "pfs": "progression-free survival", "response": "objective response"}
SHORT = {"os": "OS", "pfs": "PFS", "response": "Response"}

GLOSSARY = (
    (
        "AUC at a time",
        "Among one patient with the event by that time and one without, the chance that the first had the higher "
        "predicted risk. Weighted for patients lost to follow-up. 0.5 is chance, 1 is perfect.",
    ),
    (
        "AUROC",
        "The same for response: the chance that a responder was given a higher probability than a non-responder.",
    ),
    (
        "AUPRC",
        "Area under the precision-recall curve. Chance is the share of responders, not 0.5.",
    ),
    (
        "Baseline",
        "The visit before treatment, day 0 (C1D1). Also, with 'plain': a simple model to compare with.",
    ),
    (
        "Brier score, IBS",
        "Mean squared distance between predicted probability and what happened, at one time or averaged over "
        "time. Lower is better; it rewards ranking and calibration together.",
    ),
    (
        "C-index",
        "Of two patients, the chance that the one with the earlier event had the higher predicted risk. Harrell's "
        "form is shown first; Uno's corrects for the pattern of follow-up.",
    ),
    (
        "Calibration",
        "Whether predicted probabilities come true: of patients given 60 %, about 60 should be event-free. A "
        "slope of 1 is ideal; below 1 the predictions are too extreme, above 1 too timid.",
    ),
    (
        "Cross-validation",
        "The patients are split into folds; each fold is predicted by a model that never saw it. Every figure "
        "here comes from such held-out predictions.",
    ),
    (
        "D-calibration",
        "Whether predicted curves, read at each patient's own time, are spread evenly as they should be. A small p "
        "says that they are not.",
    ),
    (
        "Days lost",
        "Mean days free of the event that the low risk group has more than the high risk group, up to a day "
        "(restricted mean survival time).",
    ),
    (
        "ICI",
        "Integrated calibration index: mean distance of predicted probabilities from a smooth curve of what was "
        "observed. 0 is ideal. It has no interval: a distance is never negative, and resampling adds to it.",
    ),
    (
        "Interval (95 %)",
        "From resampling patients. It covers chance in who was enrolled, not differences between hospitals. Wide "
        "intervals mean: too few patients to tell.",
    ),
    (
        "Landmark",
        "A later time, such as week 6, at which patients still free of the event are predicted afresh from all "
        "that is known by then.",
    ),
    (
        "Log-rank p",
        "How surprising the difference between curves would be if the groups did not differ.",
    ),
    (
        "Modality",
        "A kind of assay or data: clinical, tumour variants, expression, methylation, histology, plasma, labs, "
        "lesions.",
    ),
    (
        "Net benefit",
        "True positives less false positives, per patient, these weighted by the odds of the probability at which "
        "one would act. Treating nobody is 0.",
    ),
    (
        "Observed / expected",
        "Events that happened for each one predicted. 1 is ideal; above 1 the model is too hopeful.",
    ),
    (
        "Oracle",
        "In simulated cohorts only: what a model could reach that knew the true state of every tumour.",
    ),
    (
        "Paired difference",
        "Two models scored on the same resampled patients, so that chance in the patients cancels.",
    ),
    (
        "Scaled Brier score",
        "Share of the Brier score of a Kaplan-Meier curve that the model takes away. 1 is perfect, 0 is no better "
        "than knowing nothing of the patient.",
    ),
    (
        "Risk group",
        "Low, middle or high by cuts at the thirds of the training patients, applied to held-out ones.",
    ),
    (
        "Sensitivity, specificity",
        "Share of responders, and of non-responders, that a cut finds: a probability of response at or above the "
        "share of responders among training patients counts as a predicted response.",
    ),
)


def model_name(model: str) -> str:
    """What the page calls a model."""
    return MODELS.get(model, model.replace("_", " "))


def chart_name(model: str) -> str:
    """What a line in a narrow drawing is called.

    >>> chart_name("fusion"), chart_name("landmark_cox"), chart_name("cox_all")
    ('Fusion', 'Landmark Cox', 'Cox, all')
    """
    if model == "fusion_at_baseline":
        return "Fusion, day 0"
    name = model_name(model).removesuffix(" (ours)").removesuffix(": last values")
    return name.removesuffix(" features").replace(": ", ", ")


def task_name(task: str) -> str:
    """What the page calls a task."""
    return TASKS.get(task, task.replace("_", " "))


def covariate_name(name: str) -> str:
    """What the page calls a covariate that defines subgroups.

    >>> covariate_name("age_group")
    'Age'
    """
    return name.removesuffix("_group").replace("_", " ").capitalize()


def short_name(task: str) -> str:
    """The letters for a task in a table."""
    return SHORT.get(task, task.upper())


def when(day: float | None) -> str:
    """Name of a landmark.

    >>> when(None), when(42.0), when(30.0)
    ('baseline', 'week 6', 'day 30')
    """
    if day is None or day == 0:
        return "baseline"
    return f"week {day / 7:g}" if day % 7 == 0 else f"day {day:g}"


def digits(value: float | None, places: int = 3) -> str:
    """A number with a fixed number of decimals, or a dash.

    >>> digits(0.71449), digits(None), digits(-0.0001)
    ('0.714', '–', '0.000')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{places}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def signed(value: float, places: int = 3) -> str:
    """A difference with its sign.

    >>> signed(0.0214), signed(-0.0214), signed(0.0001)
    ('+0.021', '−0.021', '0.000')
    """
    text = digits(value, places)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def bounds(estimate: Estimate | None, places: int = 3) -> str:
    """The interval of a figure, or nothing where it has none.

    >>> bounds(Estimate(0.7, 0.65, 0.75)), bounds(Estimate(0.0, -0.1, 0.1), 1), bounds(Estimate(0.7))
    ('0.650–0.750', '−0.1 to 0.1', '')
    """
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    joint = " to " if estimate.low < 0 else "–"
    return f"{digits(estimate.low, places)}{joint}{digits(estimate.high, places)}"


def p_value(p: float | None) -> str:
    """A p value as journals print it.

    >>> p_value(0.2), p_value(0.0312), p_value(0.00001), p_value(None)
    ('0.20', '0.031', '< 0.001', '–')
    """
    if p is None or not math.isfinite(p):
        return "–"
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_sentence(p: float | None) -> str:
    r"""A p value within a sentence, never broken across lines.

    >>> p_sentence(0.2), p_sentence(0.00001)
    ('p\xa0=\xa00.20', 'p\xa0<\xa00.001')
    """
    text = p_value(p).replace("< ", "<\xa0")
    return f"p\xa0{text}" if text.startswith("<") else f"p\xa0=\xa0{text}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    >>> counted(1, "visit"), counted(240, "patient")
    ('1 visit', '240 patients')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def protocol(manifest: Mapping[str, Any]) -> str:
    """How patients were held out, in words; empty where the manifest does not say.

    >>> protocol({"folds": 5, "repeats": 2}), protocol({"split": "Subsampling", "folds": 1, "repeats": 25})
    ('5-fold cross-validation, repeated 2 times', '25 subsamples of .632 of the patients, tested on the others')
    """
    folds, repeats = int(manifest.get("folds") or 0), int(manifest.get("repeats") or 1)
    again = f", repeated {repeats} times" if repeats > 1 else ""
    special = {
        "SiteHeldOut": f"leaving out one of {folds} sites at a time",
        "Temporal": "training on the patients enrolled first and testing on the last",
        "HoldOut": "one part of the patients held out",
        "UserSplits": f"{folds}-fold cross-validation in folds given with the cohort{again}",
        "Subsampling": f"{repeats} subsamples of .632 of the patients, tested on the others",
    }
    plain = f"{folds}-fold cross-validation{again}" if folds else ""
    return special.get(str(manifest.get("split")), plain)


def listed(items: list[str]) -> str:
    """Items in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
