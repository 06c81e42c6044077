"""Makes the scripts of benchmarks/ importable; one that is named like an example gets a name of its own."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def pbc2_table() -> ModuleType:
    """The script benchmarks/pbc2.py."""
    sys.path.insert(0, str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("pbc2_table", BENCHMARKS / "pbc2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pbc2_table"] = module
    spec.loader.exec_module(module)
    return module
