"""Why a fitted model says what it says of held-out patients, and what a missing assay would be worth."""

from fusion.explain.importance import importance
from fusion.explain.integrated_gradients import feature_contributions
from fusion.explain.modality_values import modality_values
from fusion.explain.next_assay import next_assay, reveal
from fusion.explain.patches import patch_contributions
from fusion.explain.shapley import shapley_values
from fusion.explain.view import FoldView, open_view
from fusion.explain.visit_values import visit_values
from fusion.explain.words import reasons_in_words

__all__ = [
    "FoldView",
    "feature_contributions",
    "importance",
    "modality_values",
    "next_assay",
    "open_view",
    "patch_contributions",
    "reasons_in_words",
    "reveal",
    "shapley_values",
    "visit_values",
]
