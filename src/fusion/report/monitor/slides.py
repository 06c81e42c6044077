"""Slides as the page draws them: places of patches on a grid, and what each adds, as whole numbers.

Dimension key: R patches of a slide.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import NDArray

Json = dict[str, Any]

#: Patches drawn of a slide; of more so many are taken, evenly.
MOST_PATCHES = 2500


def slides_of(patches: pd.DataFrame | None) -> dict[str, list[Json]]:
    """By patient: slides with `id`, `visit`, places `x` and `y`, `every` how many patches one is drawn, and `task`.

    `task` holds by task the contributions in hundredths of `limit`, the 99th hundredth of their sizes. A slide without
    places is left out; of several repeats the first is kept.
    """
    if patches is None or not len(patches):
        return {}
    rows = patches.assign(patient_id=patches["patient_id"].astype(str))
    if "repeat" in rows:
        rows = rows[rows["repeat"] == rows.groupby("patient_id")["repeat"].transform("min")]
    found: dict[str, list[Json]] = {}
    for (patient, visit, sample), mine in rows.groupby(["patient_id", "visit", "sample_id"], sort=True):
        tasks = {str(task): each for task, each in mine.groupby("task", sort=True)}
        places = next(iter(tasks.values()))[["x", "y"]].to_numpy(dtype=np.float64)
        if not np.isfinite(places).all():
            continue
        every = -(-len(places) // MOST_PATCHES)
        x, y = grid_places(places)[::every].T.tolist()
        said = {
            task: _in_hundredths(each["contribution"].to_numpy(np.float64)[::every]) for task, each in tasks.items()
        }
        slide = {"id": str(sample), "visit": int(visit), "x": x, "y": y, "every": every, "task": said}
        found.setdefault(str(patient), []).append(slide)
    return found


def grid_places(places: Float[np.ndarray, "R 2"]) -> NDArray[np.int64]:
    """Column and row of each patch, from the distance between neighbours.

    >>> grid_places(np.array([[512.0, 256.0], [768.0, 256.0], [1536.0, 512.0]])).tolist()
    [[0, 0], [1, 0], [4, 1]]
    """
    gaps = [gap for axis in places.T for gap in np.diff(np.unique(axis))]
    pitch = min(gaps, default=1.0)
    cells: NDArray[np.int64] = np.round((places - places.min(axis=0)) / pitch).astype(np.int64)
    return cells


def _in_hundredths(values: Float[np.ndarray, " R"]) -> Json:
    known = values[np.isfinite(values)]
    limit = max(float(np.quantile(np.abs(known), 0.99)), 1e-12) if len(known) else 1.0
    shares = np.clip(np.nan_to_num(values) / limit, -1.0, 1.0)
    return {"limit": float(f"{limit:.2g}"), "value": np.round(100 * shares).astype(int).tolist()}
