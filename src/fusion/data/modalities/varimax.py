"""Turns principal components until each rests on few features: an axis then stands for one process, not for a mixture.

Dimension key: G features, K components.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fusion.data.modalities.components import Components

Floats = NDArray[np.float64]


def varimax_rotation(loadings_GK: Floats, sweeps: int = 50) -> Floats:
    """Rotation "K K" after which the squared loadings vary most within each column (Kaiser 1958), plane by plane.

    >>> mixed = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
    >>> np.abs(mixed @ varimax_rotation(mixed)).round(2)
    array([[1.41, 0.  ],
           [1.41, 0.  ],
           [0.  , 1.41],
           [0.  , 1.41]])
    """
    turned, rotation = loadings_GK.copy(), np.eye(loadings_GK.shape[1])
    planes = list(combinations(range(len(rotation)), 2))
    for _ in range(sweeps):
        largest = 0.0
        for plane in planes:
            angle = _best_angle(*turned[:, plane].T)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            turned[:, plane], rotation[:, plane] = turned[:, plane] @ turn, rotation[:, plane] @ turn
            largest = max(largest, abs(angle))
        if largest < 1e-7:
            break
    return rotation


def _best_angle(x_G: Floats, y_G: Floats) -> float:
    """Angle in a plane at which the criterion is greatest, in closed form."""
    u_G, v_G = x_G**2 - y_G**2, 2.0 * x_G * y_G
    u_G, v_G = u_G - u_G.mean(), v_G - v_G.mean()
    return float(np.arctan2(2.0 * (u_G @ v_G), u_G @ u_G - v_G @ v_G)) / 4.0


def rotated(components: Components) -> Components:
    """The same components turned by varimax; scores stay uncorrelated and of unit sd.

    What a linear model can say is the same before and after. What bends, a square or a curve per component, is not: it
    sees a process only where an axis lies along it.
    """
    variance_GK = components.loadings * components.scale
    rotation = varimax_rotation(variance_GK)
    weights, loadings = components.weights @ rotation, variance_GK @ rotation
    order = np.argsort(-np.square(loadings).sum(axis=0), kind="stable")
    weights, loadings = weights[:, order], loadings[:, order]
    strongest = np.abs(loadings).argmax(axis=0)
    weights = weights * np.where(loadings[strongest, np.arange(len(order))] < 0, -1.0, 1.0)
    norm = np.maximum(np.linalg.norm(weights, axis=0), 1e-300)
    return Components(loadings=weights / norm, scale=1.0 / norm)
