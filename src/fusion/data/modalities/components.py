"""Principal components learned in-fold: many correlated features become a few scores, and the loadings lead back.

Dimension key: S samples, G features, K components.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: A table with more samples and features than this is not decomposed in full: Lanczos steps find what is asked for.
MOST_DECOMPOSED = 2000


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

    def first(self, num: int) -> "Components":
        """The strongest `num` of them."""
        return Components(loadings=self.loadings[:, :num], scale=self.scale[:num])

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
    singular, directions = _right_singular(values_SG, num)
    varied = int((singular > 1e-6 * singular[0]).sum())  # directions without variance would be arbitrary
    num = min(num, max(varied, 1))
    loadings = directions[:, :num]
    strongest = np.abs(loadings).argmax(axis=0)
    loadings = loadings * np.where(loadings[strongest, np.arange(num)] < 0, -1.0, 1.0)
    scale = singular[:num] / np.sqrt(max(len(values_SG), 1))
    # With one sample, or constant features, nothing varies, and no other cohort may be divided by that nothing.
    return Components(loadings=loadings, scale=np.where(scale > 1e-6, scale, 1.0))


def _right_singular(values_SG: Floats, num: int) -> tuple[Floats, Floats]:
    """Singular values, decreasing, and the first `num` right singular vectors as columns.

    By the smaller of the two Gram matrices: serial assays have thousands of samples of a thousand features, where this
    is twenty times faster than an SVD. Of a large one all eigenvectors would be cubic work for a handful.
    """
    num_samples, num_features = values_SG.shape
    if min(values_SG.shape) > MOST_DECOMPOSED and 0 < num < MOST_DECOMPOSED // 10:
        from scipy.sparse.linalg import svds  # few tables are so large, and every command would wait for it

        start = np.random.default_rng(0).standard_normal(min(values_SG.shape))
        _, singular, directions = svds(values_SG, k=num, v0=start, solver="arpack")
        return singular[::-1], directions[::-1].T
    tall = num_samples >= num_features
    eigenvalues, vectors = np.linalg.eigh(values_SG.T @ values_SG if tall else values_SG @ values_SG.T)
    singular = np.sqrt(np.maximum(eigenvalues[::-1], 0.0))
    vectors = vectors[:, ::-1][:, :num]
    if tall:
        return singular, vectors
    directions = values_SG.T @ vectors
    return singular, directions / np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
