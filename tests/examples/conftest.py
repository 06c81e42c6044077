"""Makes the converters importable, and finds the public tables where a machine has them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))


@pytest.fixture
def public_tables() -> Callable[[str], Path]:
    """The folder of a public data set; the test is skipped where it is absent."""

    def find(folder: str) -> Path:
        place = Path(os.environ.get("FUSION_DATA") or EXAMPLES.parents[1] / "shared" / "data") / folder
        if not place.is_dir():
            pytest.skip(f"{folder} is not on this machine")
        return place

    return find
