"""Products of components: a table in which a linear model sees that one process turns what another means.

Dimension key: S samples, K components, P = K K columns.
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Scores beyond are held here, so that a product of two outliers does not rule the column.
CLIP = 4.0


def gated_products(scores_SK: Floats) -> Floats:
    """Every component by the saturated value of every other one, and the size of each, "S P".

    `a tanh(b)` is a product where b is near its mean and the sign of b times a far from it: an immune signal that helps
    one subtype and harms the other. `|a|` is for what is bad at both ends. Few of these columns mean anything, so that
    they are for a model that chooses, such as an elastic net; ridge alone shrinks all of them alike.

    >>> gated_products(np.array([[2.0, -3.0]])).round(2)
    array([[ 2.  ,  3.  , -1.99, -2.89]])
    """
    held_SK = np.clip(scores_SK, -CLIP, CLIP)
    gate_SK = np.tanh(held_SK)
    pairs = list(permutations(range(held_SK.shape[1]), 2))
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return np.concatenate([np.abs(held_SK), held_SK[:, first] * gate_SK[:, second]], axis=1)


def product_names(num: int) -> tuple[str, ...]:
    """Name of every column of `gated_products` of so many components.

    >>> product_names(2)
    ('|t1|', '|t2|', 't1 by t2', 't2 by t1')
    """
    pairs = permutations(range(1, num + 1), 2)
    return (*(f"|t{k}|" for k in range(1, num + 1)), *(f"t{a} by t{b}" for a, b in pairs))
