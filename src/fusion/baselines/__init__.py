"""Plain statistical models behind one small contract: what the fused model is measured against."""

from fusion.baselines.base import Baseline, BaselinePrediction, ResponseEstimate, SurvivalEstimate
from fusion.baselines.cox import CoxAll, CoxClinical, CoxStage, KaplanMeier
from fusion.baselines.landmark import LandmarkCox
from fusion.baselines.logistic import LogisticAll, LogisticClinical
from fusion.baselines.newton import fit_ridge_cox

__all__ = [
    "Baseline",
    "BaselinePrediction",
    "CoxAll",
    "CoxClinical",
    "CoxStage",
    "KaplanMeier",
    "LandmarkCox",
    "LogisticAll",
    "LogisticClinical",
    "ResponseEstimate",
    "SurvivalEstimate",
    "default_baselines",
    "fit_ridge_cox",
]


def default_baselines() -> list[Baseline]:
    """One of each that the core can run."""
    return [KaplanMeier(), CoxStage(), CoxClinical(), CoxAll(), LandmarkCox(), LogisticClinical(), LogisticAll()]
