"""Builds `report/index.html` of a run: one file with everything in it, the same bytes for the same run folder."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from fusion.metrics.scorer import FUSION
from fusion.report import methods, summary, tables
from fusion.report.audit import audit_of
from fusion.report.availability import availability
from fusion.report.decision_figures import decision_plate
from fusion.report.dynamic_figures import dynamic_plates
from fusion.report.run_folder import RESPONSE, Run, read_run
from fusion.report.score_figures import auc_plate, landmark_plate, response_plate, slug, training_plates
from fusion.report.survival_figures import calibration_plate, kaplan_meier_plate
from fusion.report.template import TEMPLATES, fill
from fusion.report.tripod import count_answered, tripod
from fusion.report.words import ABOUT_MODELS, GLOSSARY, listed, model_name, protocol, short_name, task_name
from fusion.report.worth import optimism_tables, worth_table

#: Pages that other commands may have written beside the report.
BESIDE = (("Patients", "monitor.html"), ("Figures", "figures.html"))


def build_report(run: Path) -> Path:
    """Write the report of a finished run and return its path.

    Args:
        run: Run folder as `train.py` leaves it. Nothing outside it is read.

    Raises:
        ValueError: The run is not finished: it has no manifest or no predictions.
    """
    path = run / "report" / "index.html"
    page = render(read_run(run), [(name, file) for name, file in BESIDE if path.with_name(file).is_file()])
    path.parent.mkdir(exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def render(run: Run, beside: Sequence[tuple[str, str]] = ()) -> str:
    """The page as text; `beside` are names and files of other pages in the same folder."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    scored = [*run.endpoints, *([RESPONSE] if run.has_response else [])]
    models = dict.fromkeys(model for task in scored for model in run.models(task))
    items = tripod(run)
    plain = {model for task in scored for model in run.baseline_models(task)}
    return fill(
        "report.html.j2",
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        beside=beside,
        manifest=run.manifest,
        simulated=run.simulated,
        cohort=summary.cohort_name(run),
        patients=summary.num_patients(run),
        protocol=protocol(run.manifest),
        what_was_done=summary.what_was_done(run),
        answer=summary.answer(run),
        audit=audit_of(run),
        models=[(slug(model), model_name(model), model == FUSION) for model in models],
        about_baselines=[(model_name(m), ABOUT_MODELS.get(m, "a plain model")) for m in models if m in plain],
        scores=tables.score_table(run),
        differences=tables.difference_table(run),
        corrected=optimism_tables(run),
        worth=worth_table(run),
        subgroups=tables.subgroup_tables(run),
        details=[(task_name(task), tables.detail_table(run, task)) for task in scored],
        flow=summary.flow(run),
        endpoints=tables.endpoint_table(run),
        availability=availability(run),
        left_out=summary.left_out(run),
        cautions=[str(caution) for caution in run.qc.get("cautions") or []],
        survival=[kaplan_meier_plate(run, task) for task in run.endpoints],
        calibration=[
            *(calibration_plate(run, task) for task in run.endpoints),
            *([response_plate(run)] if run.has_response else []),
        ],
        auc=[auc_plate(run, task) for task in run.endpoints],
        landmarks=[
            plate for task in run.endpoints for plate in (landmark_plate(run, task), *dynamic_plates(run, task))
        ],
        visits=methods.visits(run),
        decisions=[decision_plate(run, task) for task in scored],
        training=training_plates(run),
        tripod=items,
        tripod_count=count_answered(items),
        sample_size=methods.sample_size_table(run),
        sample_parameters=methods.PARAMETERS,
        weights_sentence=methods.weights_sentence(run),
        model_card=methods.model_card(run),
        # The report's own time is written down after it: a page that named it would not come out the same again.
        seconds=[
            (stage, each) for stage, each in (run.manifest.get("wall_seconds") or {}).items() if stage != "report"
        ],
        tasks=listed([task_name(task) for task in scored]),
        survival_tasks=[(short_name(task), task_name(task)) for task in run.endpoints],
        has_response=run.has_response,
        has_landmarks=any(run.landmarks(task) for task in run.endpoints),
        modalities=listed([str(name) for name in run.manifest.get("modalities", [])] or ["those configured"]),
        glossary=GLOSSARY,
    )
