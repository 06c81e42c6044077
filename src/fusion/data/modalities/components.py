"""Principal components learned in-fold: many correlated features become a few scores, and the loadings lead back.

Dimension key: S samples, G features, K components.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Directions of greatest variance of standardised training values.

    Attributes:
        loadings: Unit vectors, "G K"; the largest entry of each is positive, so that the sign is no matter of chance.
        scale: Sd of the training scores along each, "K"; decreasing.
    """

    loadings: Floats
    scale: Floats

    def scores(self, values_SG: Floats) -> Floats:
        """Scores "S K", each in units of its training sd.

        Equal units let a ridge or a network use a weak component: the strongest ones are mostly purity and batch.
        """
        return values_SG @ self.weights

    @property
    def weights(self) -> Floats:
        """What a standardised feature adds to each score, "G K"."""
        return self.loadings / self.scale


def fit_components(values_SG: Floats, num: int) -> Components:
    """The first `num` principal components, fewer where samples or features are fewer.

    Args:
        values_SG: Training values with column means of zero and no blanks.
        num: Components wanted.

    >>> line = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
    >>> fit_components(line, num=1).loadings.round(3)
    array([[0.707],
           [0.707]])
    """
    _, singular, rows_KG = np.linalg.svd(values_SG, full_matrices=False)
    varied = int((singular > 1e-6 * singular[0]).sum())  # directions without variance would be arbitrary
    num = min(num, max(varied, 1))
    loadings = rows_KG[:num].T
    strongest = np.abs(loadings).argmax(axis=0)
    loadings = loadings * np.where(loadings[strongest, np.arange(num)] < 0, -1.0, 1.0)
    scale = singular[:num] / np.sqrt(max(len(values_SG), 1))
    # With one sample, or constant features, nothing varies, and no other cohort may be divided by that nothing.
    return Components(loadings=loadings, scale=np.where(scale > 1e-6, scale, 1.0))
