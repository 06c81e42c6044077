"""Morphotypes of patches without labels: a Gaussian mixture of rows, which encoder and plain models share.

Dimension key: R rows, F features of a row, P principal components, K prototypes, S samples.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Rows of each sample that a mixture is learned from, and of all samples together.
ROWS_PER_SAMPLE, MOST_ROWS = 64, 16384

#: No variance of a prototype is below this share of the mean variance of the components.
LEAST_VARIANCE = 0.01

#: Fits from different starts, of which the likeliest stays: a single one may join a rare kind to another.
STARTS = 3

#: Logarithm of the weight of a prototype that is not there.
ABSENT = -1e4


@dataclass(frozen=True)
class Prototypes:
    """Gaussians with diagonal covariance in the space of principal components.

    With `z = (row - centre) @ directions`, the logarithm of weight times density of every prototype is
    `z**2 @ quadratic + z @ linear + constant`, up to a constant of the row; its softmax says to whom a row belongs.

    Attributes:
        centre: Mean row, "F".
        directions: Principal directions, "F P".
        quadratic: -1 / (2 variance), "P K".
        linear: Mean / variance, "P K".
        constant: What does not depend on the row, "K".
    """

    centre: Floats
    directions: Floats
    quadratic: Floats
    linear: Floats
    constant: Floats

    @property
    def means(self) -> Floats:
        """Mean of each prototype in the components, "P K"."""
        return -0.5 * self.linear / self.quadratic

    def membership(self, rows_RF: Floats) -> Floats:
        """Probability of each prototype for every row, "R K"."""
        z_RP = (rows_RF - self.centre) @ self.directions
        score_RK = z_RP**2 @ self.quadratic + z_RP @ self.linear + self.constant
        weight_RK = np.exp(score_RK - score_RK.max(axis=1, keepdims=True))
        return weight_RK / weight_RK.sum(axis=1, keepdims=True)


def fit_prototypes(rows: Floats, num: int, components: int) -> Prototypes:
    """A mixture of `num` Gaussians in the first `components` principal components of the rows.

    The components are not whitened: strong directions are where cells and tissues differ, weak ones are mostly noise.
    Where rows or features are fewer than asked for, the surplus prototypes get no weight and the surplus directions
    are zero, so that the shapes depend on the arguments alone.

    Args:
        rows: Training rows "R F", standardised.
        num: Prototypes, K.
        components: Principal components, P.

    >>> rows = np.array([[-1.0, 0.0], [-1.1, 0.0], [1.0, 0.0], [1.1, 0.0]])
    >>> fit_prototypes(rows, num=2, components=1).membership(rows).argmax(axis=1)[[0, 3]].tolist() in ([0, 1], [1, 0])
    True
    """
    width = rows.shape[1]
    centre, directions = np.zeros(width), np.zeros((width, components))
    quadratic, linear = np.full((components, num), -0.5), np.zeros((components, num))
    constant = np.full(num, ABSENT)
    constant[0] = 0.0
    if len(rows):
        centre = rows.mean(axis=0)
        kept = min(components, width)
        directions[:, :kept] = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(width, width))[1][:, ::-1][:, :kept]
    z_RP = (rows - centre) @ directions
    floor = LEAST_VARIANCE * z_RP.var() if len(rows) else 0.0
    found = min(num, len(np.unique(z_RP, axis=0)))
    if found >= 2:  # one row repeated has nothing to divide
        from sklearn.exceptions import ConvergenceWarning  # a second of start-up that predicting can spare
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            found,
            covariance_type="diag",
            reg_covar=max(floor, 1e-6),
            n_init=STARTS,
            max_iter=50,
            tol=1e-2,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # any stage of the fit is a fair set of prototypes
            mixture.fit(z_RP)
        mean_PK, precision_PK = mixture.means_.T, 1.0 / mixture.covariances_.T
        quadratic[:, :found], linear[:, :found] = -0.5 * precision_PK, mean_PK * precision_PK
        constant[:found] = np.log(mixture.weights_) - 0.5 * (mean_PK**2 * precision_PK - np.log(precision_PK)).sum(0)
    return Prototypes(centre=centre, directions=directions, quadratic=quadratic, linear=linear, constant=constant)


def rows_to_fit(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that prototypes are learned from: the same number of every sample, drawn by a fixed seed; increasing.

    >>> rows_to_fit(np.array([0, 2, 2, 3]))
    array([0, 1, 2])
    """
    count_S = np.diff(offsets)
    most = max(1, min(ROWS_PER_SAMPLE, MOST_ROWS // max(len(count_S), 1)))
    sample_R = np.repeat(np.arange(len(count_S)), count_S)
    shuffled = np.lexsort((np.random.default_rng(0).random(len(sample_R)), sample_R))
    rank_R = np.arange(len(sample_R)) - offsets[:-1][sample_R]
    return np.sort(shuffled[rank_R < most])
