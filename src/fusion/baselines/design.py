"""From a table with gaps to a design matrix: median, missing indicators, standardised; fitted on the training part.

N rows, P columns of the table, D columns of the design.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Standardised values are clipped here, so that one outlying laboratory value does not steer a linear model.
CLIP = 4.0


class Design:
    """Imputes the median, adds one indicator per pattern of missingness, standardises, drops what is constant.

    Attributes:
        blocks: Name of the block of each design column: its modality, or `missing` for indicators, known after `fit`.
    """

    def fit(self, features: Floats, modality: Sequence[str]) -> "Design":
        """Learn from the rows of the training part; `modality` names the block of each column."""
        seen = np.isfinite(features)
        count = seen.sum(axis=0)
        self.measured = count > 0
        self.median = np.zeros(features.shape[1])
        if len(features):
            ordered = np.sort(np.where(seen, features, np.nan), axis=0)  # what is missing comes last
            middle = np.stack([np.maximum(count - 1, 0) // 2, count // 2]).clip(max=len(features) - 1)
            self.median[self.measured] = np.take_along_axis(ordered, middle, axis=0).mean(axis=0)[self.measured]
        first: dict[bytes, int] = {}
        for column, pattern in enumerate(np.packbits(seen, axis=0).T):
            first.setdefault(pattern.tobytes(), column)
        self.patterns = np.array([i for i in first.values() if 0 < count[i] < len(features)], dtype=np.int64)
        raw = self._raw(features)
        self.mean = raw.mean(axis=0) if len(raw) else np.zeros(raw.shape[1])
        scale = raw.std(axis=0) if len(raw) else np.zeros(raw.shape[1])
        self.kept = scale > 1e-9 * (1.0 + np.abs(self.mean))
        self.mean, self.scale = self.mean[self.kept], scale[self.kept]
        names = [*modality, *["missing"] * len(self.patterns)]
        self.blocks = [name for name, kept in zip(names, self.kept, strict=True) if kept]
        return self

    def transform(self, features: Floats) -> Floats:
        """Design matrix "N D" of any rows with the columns of the fit; no value is missing."""
        raw = self._raw(features)[:, self.kept]
        return np.clip((raw - self.mean) / self.scale, -CLIP, CLIP)

    def _raw(self, features: Floats) -> Floats:
        seen = np.isfinite(features)
        return np.concatenate([np.where(seen, features, self.median), ~seen[:, self.patterns]], axis=1)
