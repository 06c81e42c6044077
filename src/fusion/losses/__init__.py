"""One file per way to model an outcome: its training loss and its decoding to risk and curve live together."""

from fusion.losses.base import ResponseLoss, SurvivalLoss
from fusion.losses.cox import Cox, cox_nll
from fusion.losses.discrete import LogisticHazard, logistic_hazard_nll
from fusion.losses.response import BinaryResponse, binary_nll
from fusion.losses.weights import visit_weights

__all__ = [
    "BinaryResponse",
    "Cox",
    "LogisticHazard",
    "ResponseLoss",
    "SurvivalLoss",
    "binary_nll",
    "cox_nll",
    "logistic_hazard_nll",
    "visit_weights",
]
