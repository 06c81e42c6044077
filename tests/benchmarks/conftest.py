"""Makes the scripts of benchmarks/ importable, under names of their own: some are named like an example or a folder."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name: str) -> ModuleType:
    """A script of benchmarks/ as a module `NAME_table`."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))  # they share `_runs`
    spec = importlib.util.spec_from_file_location(f"{name}_table", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[f"{name}_table"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pbc2_table() -> ModuleType:
    """The script benchmarks/pbc2.py."""
    return script("pbc2")


@pytest.fixture(scope="session")
def quality_table() -> ModuleType:
    """The script benchmarks/quality.py."""
    return script("quality")


@pytest.fixture(scope="session")
def coverage_table() -> ModuleType:
    """The script benchmarks/coverage.py."""
    return script("coverage")


@pytest.fixture(scope="session")
def alerts_table() -> ModuleType:
    """The script benchmarks/alerts.py."""
    return script("alerts")


@pytest.fixture(scope="session")
def models_table() -> ModuleType:
    """The script benchmarks/models.py."""
    return script("models")


@pytest.fixture(scope="session")
def scale_table() -> ModuleType:
    """The script benchmarks/scale.py."""
    return script("scale")


@pytest.fixture(scope="session")
def bench_table() -> ModuleType:
    """The script benchmarks/table.py."""
    return script("table")


@pytest.fixture(scope="session")
def step_table() -> ModuleType:
    """The script benchmarks/step.py."""
    return script("step")


@pytest.fixture(scope="session")
def gpu_table() -> ModuleType:
    """The script benchmarks/gpu.py."""
    return script("gpu")
