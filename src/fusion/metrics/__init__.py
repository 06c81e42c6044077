"""Right figures with intervals, from saved predictions: discrimination, probability, use, at baseline and landmarks."""

from fusion.metrics.bootstrap_632 import score_632_plus
from fusion.metrics.calibration import calibration_curve, d_calibration, net_benefit, response_calibration_curve
from fusion.metrics.curves import score_curves
from fusion.metrics.dynamic import ModelTable
from fusion.metrics.functional import (
    brier_score,
    concordance_index,
    concordance_index_uno,
    cumulative_dynamic_auc,
    integrated_brier_score,
    scaled_brier,
)
from fusion.metrics.response import auprc, auroc, threshold_metrics
from fusion.metrics.score import compare_runs, pool_runs, score_models, score_run, summary_table
from fusion.metrics.scorer import FUSION
from fusion.metrics.subgroups import score_subgroups, subgroup_table

__all__ = [
    "FUSION",
    "ModelTable",
    "auprc",
    "auroc",
    "brier_score",
    "calibration_curve",
    "compare_runs",
    "concordance_index",
    "concordance_index_uno",
    "cumulative_dynamic_auc",
    "d_calibration",
    "integrated_brier_score",
    "net_benefit",
    "pool_runs",
    "response_calibration_curve",
    "scaled_brier",
    "score_632_plus",
    "score_curves",
    "score_models",
    "score_run",
    "score_subgroups",
    "subgroup_table",
    "summary_table",
    "threshold_metrics",
]
