"""The plain baselines of a fold: same patients, same preprocessing, predictions in the same columns."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.baselines.base import ResponseBaseline, SurvivalBaseline
from fusion.data.cohort import Cohort
from fusion.data.dataset import RESPONSE, Assay
from fusion.data.splits import Split
from fusion.data.visit_table import build_visit_table
from fusion.training.predictions import response_rows, survival_rows, target_rows

FitBaselines = Callable[[Cohort, Mapping[str, Assay], Split, Sequence[float]], pd.DataFrame]
