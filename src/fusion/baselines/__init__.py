"""Plain statistical models behind one small contract: what the fused model is measured against."""

from fusion.baselines.base import Baseline, BaselinePrediction, ResponseEstimate, SurvivalEstimate
from fusion.baselines.boosting import Boosting
from fusion.baselines.cox import CoxAll, CoxClinical, CoxStage, KaplanMeier
from fusion.baselines.elastic_net import ElasticNet
from fusion.baselines.forest import Forest
from fusion.baselines.landmark import LandmarkCox
from fusion.baselines.landmark_course import LandmarkCourse
from fusion.baselines.landmark_elastic_net import LandmarkElasticNet
from fusion.baselines.landmark_last import LandmarkLast
from fusion.baselines.landmark_logistic import LandmarkLogistic
from fusion.baselines.landmark_mean import LandmarkMean
from fusion.baselines.landmark_visits import LandmarkVisits
from fusion.baselines.logistic import LogisticAll, LogisticClinical
from fusion.baselines.newton import fit_ridge_cox
from fusion.baselines.stacking import Stacking

__all__ = [
    "Baseline",
    "BaselinePrediction",
    "Boosting",
    "CoxAll",
    "CoxClinical",
    "CoxStage",
    "ElasticNet",
    "Forest",
    "KaplanMeier",
    "LandmarkCourse",
    "LandmarkCox",
    "LandmarkElasticNet",
    "LandmarkLast",
    "LandmarkLogistic",
    "LandmarkMean",
    "LandmarkVisits",
    "LogisticAll",
    "LogisticClinical",
    "ResponseEstimate",
    "Stacking",
    "SurvivalEstimate",
    "default_baselines",
    "fit_ridge_cox",
]


def default_baselines() -> list[Baseline]:
    """One of each; those that need scikit-survival step aside where it is not installed."""
    return [
        KaplanMeier(),
        CoxStage(),
        CoxClinical(),
        CoxAll(),
        ElasticNet(),
        Stacking(),
        Boosting(),
        Forest(),
        LandmarkLast(),
        LandmarkCox(),
        LandmarkElasticNet(),
        LandmarkCourse(),
        LandmarkMean(),
        LandmarkVisits(),
        LogisticClinical(),
        LogisticAll(),
        LandmarkLogistic(),
    ]
