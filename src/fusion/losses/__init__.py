"""One file per way to model an outcome: its training loss and its decoding to risk and curve live together."""

from fusion.losses.base import ResponseLoss, SurvivalLoss
from fusion.losses.cox import Cox, cox_nll
from fusion.losses.cox_stratified import CoxStratified
from fusion.losses.deephit import DeepHit
from fusion.losses.discrete import LogisticHazard, logistic_hazard_nll
from fusion.losses.incidence import incidence_nll
from fusion.losses.interval_hazard import IntervalHazard, interval_nll
from fusion.losses.lognormal_aft import LogNormalAFT, lognormal_aft_nll
from fusion.losses.mtlr import MTLR
from fusion.losses.ordinal import OrdinalResponse, ordinal_nll
from fusion.losses.pc_hazard import PCHazard, pc_hazard_nll
from fusion.losses.rank import PairwiseRank, pairwise_nll
from fusion.losses.response import BinaryResponse, binary_nll
from fusion.losses.task_weights import FixedWeights, UncertaintyWeights
from fusion.losses.weibull_aft import WeibullAFT, weibull_aft_nll
from fusion.losses.weights import visit_weights

__all__ = [
    "MTLR",
    "BinaryResponse",
    "Cox",
    "CoxStratified",
    "DeepHit",
    "FixedWeights",
    "IntervalHazard",
    "LogNormalAFT",
    "LogisticHazard",
    "OrdinalResponse",
    "PCHazard",
    "PairwiseRank",
    "ResponseLoss",
    "SurvivalLoss",
    "UncertaintyWeights",
    "WeibullAFT",
    "binary_nll",
    "cox_nll",
    "incidence_nll",
    "interval_nll",
    "logistic_hazard_nll",
    "lognormal_aft_nll",
    "ordinal_nll",
    "pairwise_nll",
    "pc_hazard_nll",
    "visit_weights",
    "weibull_aft_nll",
]
