"""A design matrix has no gaps, and knows the training part only."""

import numpy as np

from fusion.baselines.design import CLIP, Design

NAN = np.nan
FEATURES = np.array([[1.0, NAN, 5.0, NAN], [2.0, 4.0, 5.0, NAN], [6.0, 8.0, 5.0, NAN], [3.0, NAN, 5.0, NAN]])
MODALITY = ["clinical", "expression", "expression", "histology"]


def test_constant_and_never_measured_columns_are_dropped_and_gaps_get_one_indicator():
    design = Design().fit(FEATURES, MODALITY)
    assert design.blocks == ["clinical", "expression", "missing"]
    columns = design.transform(FEATURES)
    np.testing.assert_allclose(columns.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(columns.std(axis=0), 1, atol=1e-12)


def test_columns_with_the_same_gaps_share_an_indicator():
    features = np.random.default_rng(0).normal(size=(20, 10))
    features[:5, 2:] = NAN
    assert Design().fit(features, ["clinical"] * 10).blocks.count("missing") == 1


def test_other_rows_are_imputed_and_clipped_with_what_training_knew():
    design = Design().fit(FEATURES, MODALITY)
    other = design.transform(np.array([[1e9, NAN, NAN, 7.0]]))
    assert other[0, 0] == CLIP
    assert np.isfinite(other).all()
    median = design.transform(np.array([[1.0, 6.0, 5.0, NAN]]))
    assert other[0, 1] == median[0, 1]


def test_gaps_take_the_median_of_what_was_seen():
    rng = np.random.default_rng(0)
    for rows in (1, 2, 9, 10):
        features = np.where(rng.random((rows, 40)) < 0.4, NAN, rng.normal(size=(rows, 40)))
        design = Design().fit(features, ["clinical"] * 40)
        seen = np.isfinite(features).any(axis=0)
        np.testing.assert_allclose(design.median[seen], np.nanmedian(features[:, seen], axis=0))
        assert not design.median[~seen].any()


def test_no_row_and_no_column_are_defined():
    assert Design().fit(FEATURES[:0], MODALITY).transform(FEATURES).shape == (4, 0)
    assert Design().fit(FEATURES[:, :0], []).transform(FEATURES[:, :0]).shape == (4, 0)
