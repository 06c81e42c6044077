"""The figures of a trial paper, from the tables of a cohort and from the held-out predictions of a run."""

from fusion.report.trial.cohort_flow import cohort_flow, flow_levels
from fusion.report.trial.drawing import Drawing, NothingToDraw, write_captions, write_drawing
from fusion.report.trial.forest import forest
from fusion.report.trial.hazard_ratios import Effect, covariate_effects, cox_ratios, subgroup_effects
from fusion.report.trial.heat_map import availability_heat_map
from fusion.report.trial.kinetics import ctdna_kinetics
from fusion.report.trial.of_run import run_plans
from fusion.report.trial.of_tables import Choices, TrialTables, cohort_plans
from fusion.report.trial.oncoprint import oncoprint
from fusion.report.trial.plans import draw_all
from fusion.report.trial.roc import roc_at, time_dependent_roc
from fusion.report.trial.swimmer import swimmer, swimmer_course
from fusion.report.trial.tumour_change import spider, waterfall

__all__ = [
    "Choices",
    "Drawing",
    "Effect",
    "NothingToDraw",
    "TrialTables",
    "availability_heat_map",
    "cohort_flow",
    "cohort_plans",
    "covariate_effects",
    "cox_ratios",
    "ctdna_kinetics",
    "draw_all",
    "flow_levels",
    "forest",
    "oncoprint",
    "roc_at",
    "run_plans",
    "spider",
    "subgroup_effects",
    "swimmer",
    "swimmer_course",
    "time_dependent_roc",
    "waterfall",
    "write_captions",
    "write_drawing",
]
