"""The mixture of patches: rare kinds found, shapes fixed, few or equal rows survived, the same rows of every sample."""

import numpy as np
import pytest

from fusion.prototypes import MOST_ROWS, ROWS_PER_SAMPLE, fit_prototypes, rows_to_fit


def test_a_kind_of_three_in_a_hundred_is_found() -> None:
    rng = np.random.default_rng(0)
    kind = rng.choice(4, size=3000, p=[0.5, 0.3, 0.17, 0.03])
    rows = (5 * np.eye(4, 10))[kind] + rng.normal(size=(3000, 10))
    member = fit_prototypes(rows, num=8, components=6).membership(rows)
    np.testing.assert_allclose(member.sum(axis=1), 1.0)
    rare = member[kind == 3].mean(axis=0).argmax()
    assert member[kind == 3, rare].mean() > 0.9
    assert member[kind != 3, rare].mean() < 0.01


@pytest.mark.parametrize("num_rows", [0, 1, 2, 5])
@pytest.mark.parametrize("width", [1, 3])
def test_shapes_depend_on_the_arguments_alone(num_rows: int, width: int) -> None:
    rows = np.random.default_rng(0).normal(size=(num_rows, width))
    for some in (rows, np.zeros_like(rows)):
        fitted = fit_prototypes(some, num=4, components=2)
        assert fitted.directions.shape == (width, 2)
        assert fitted.means.shape == fitted.quadratic.shape == (2, 4)
        member = fitted.membership(np.random.default_rng(1).normal(size=(6, width)))
        assert np.isfinite(member).all()
        np.testing.assert_allclose(member.sum(axis=1), 1.0)
        assert (member[:, max(num_rows, 1) :] == 0).all()  # surplus prototypes take nothing


def test_every_sample_lends_as_many_rows() -> None:
    offsets = np.array([0, 5, 5, 500, 1000])
    rows = rows_to_fit(offsets)
    counts = np.histogram(rows, bins=[0, 5, 500, 1000])[0]
    np.testing.assert_array_equal(counts, [5, ROWS_PER_SAMPLE, ROWS_PER_SAMPLE])
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, rows_to_fit(offsets))
    assert len(rows_to_fit(np.arange(1001) * 100)) <= MOST_ROWS
    assert len(rows_to_fit(np.zeros(1, dtype=np.int64))) == 0
