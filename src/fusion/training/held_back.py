"""What the model predicts when the later samples of one serial assay are kept from it: what they are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from fusion.data.cohort import Cohort
from fusion.data.modalities.base import Modality
from fusion.metrics.scorer import FUSION_WITHOUT_NEW
from fusion.training.fold import FittedFold


def held_back_predictions(
    fitted: FittedFold,
    cohort: Cohort,
    tables: Mapping[str, object],
    patient_ids: Sequence[str],
    times: Sequence[float],
) -> pd.DataFrame:
    """Predictions of later visits, once per serial assay with that assay held at each patient's first visit.

    Visits and all other assays stay as they are, so that the difference to the model's own predictions is what the
    later samples of this one assay added. The model is the same: nothing is fitted again.

    Returns:
        Rows as in predictions.parquet, with a `model` column of `fusion_without_new_<modality>`; empty for a cohort
        of single visits.
    """
    frames = []
    for name, modality in fitted.modalities.items():
        later = later_samples(cohort, modality)
        if later:
            held = replace(cohort, samples=cohort.samples.drop(index=later))
            rows = fitted.predict(held, tables, patient_ids, times)
            rows = rows.loc[rows["visit"] > 0, ~rows.columns.str.startswith(("lowest_", "highest_"))]  # scored alone
            frames.append(rows.assign(model=f"{FUSION_WITHOUT_NEW}{name}"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def later_samples(cohort: Cohort, modality: Modality) -> list[str]:
    """Samples of a modality at any visit but the first."""
    placement = modality.placement(cohort)
    return list(placement.loc[placement["visit"] > 0, "sample_id"])
