"""Names that a reader knows: products of components are called by the genes that make the components."""

import numpy as np
import pytest

from fusion.data.modalities.expression import Expression
from fusion.data.modalities.matrix import MatrixTable
from fusion.data.tables import Matrix
from fusion.explain.feature_names import programme_name

#: Two programmes of three genes each, beside genes that do as they like.
ONE, OTHER = ("NE1", "NE2", "NE3"), ("IMM1", "IMM2", "IMM3")


@pytest.fixture(scope="module")
def fitted() -> Expression:
    rng = np.random.default_rng(0)
    programme, noise = rng.normal(size=(2, 80)), rng.normal(size=(80, 10))
    log = np.concatenate(
        [3 * programme[0, :, None] + noise[:, :3], 3 * programme[1, :, None] + noise[:, 3:6], noise], axis=1
    )
    genes = (*ONE, *OTHER, *(f"X{i}" for i in range(10)))
    ids = tuple(f"s{i}" for i in range(80))
    matrix = Matrix(values=np.exp(log).astype(np.float32), sample_ids=ids, features=genes)
    modality = Expression(num_genes=16, components=2)
    modality.fit(MatrixTable(matrix=matrix, coverage=None, batch={}, unit="tpm", source="x.csv"), list(ids))
    return modality


def test_an_interplay_is_called_by_the_loudest_genes_in_whichever_order(fitted: Expression) -> None:
    name = programme_name(fitted, "t1 by t2")
    assert name == programme_name(fitted, "t2 by t1")
    first, second = (set(part.split("/")) for part in name.removeprefix("interplay of ").split(" and "))
    assert {frozenset(first) <= set(ONE), frozenset(first) <= set(OTHER)} == {True, False}
    assert {frozenset(second) <= set(ONE), frozenset(second) <= set(OTHER)} == {True, False}
    assert not first & second


def test_an_end_is_called_by_its_genes_and_a_column_of_its_own_stays(fitted: Expression) -> None:
    assert programme_name(fitted, "|t1|").endswith(", high or low")
    assert programme_name(fitted, "pc1") == "pc1"
