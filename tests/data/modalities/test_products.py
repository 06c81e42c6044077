"""Products of components: what a linear model can read off them, and what it could not before."""

import numpy as np

from fusion.data.modalities.products import CLIP, gated_products, product_names


def test_a_column_for_every_ordered_pair_and_every_size() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 4))
    columns = gated_products(scores)
    assert columns.shape == (5, 16)
    assert len(set(product_names(4))) == 16
    by_name = dict(zip(product_names(4), columns.T, strict=True))
    np.testing.assert_allclose(by_name["|t2|"], np.abs(scores[:, 1]))
    np.testing.assert_allclose(by_name["t3 by t1"], scores[:, 2] * np.tanh(scores[:, 0]))


def test_an_effect_that_turns_with_another_process_becomes_linear() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(4000, 3))
    effect = scores[:, 0] * np.sign(scores[:, 1])
    best = {
        name: abs(np.corrcoef(column, effect)[0, 1])
        for name, column in zip(product_names(3), gated_products(scores).T, strict=True)
    }
    assert max(abs(np.corrcoef(scores.T, effect)[:-1, -1])) < 0.05
    assert max(best, key=best.__getitem__) == "t1 by t2"
    assert best["t1 by t2"] > 0.85


def test_an_outlier_is_held() -> None:
    assert np.abs(gated_products(np.array([[1e6, -1e6]]))).max() <= CLIP


def test_no_component_gives_no_column_and_one_gives_its_size() -> None:
    assert gated_products(np.zeros((3, 0))).shape == (3, 0)
    assert product_names(0) == ()
    np.testing.assert_array_equal(gated_products(np.array([[-2.0]])), [[2.0]])
