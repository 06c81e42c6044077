"""Makes the scripts of benchmarks/ importable, under names of their own: some are named like an example or a folder."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name: str, fixture: str | None = None) -> Any:
    """A fixture that gives a script of benchmarks/ as a module, `NAME_table` unless it is called otherwise."""
    called = fixture or f"{name}_table"

    @pytest.fixture(scope="session", name=called)
    def module() -> ModuleType:
        if str(BENCHMARKS) not in sys.path:
            sys.path.append(str(BENCHMARKS))  # they share `_runs`
        spec = importlib.util.spec_from_file_location(called, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[called] = made
        spec.loader.exec_module(made)
        return made

    return module


pbc2_table = script("pbc2")
quality_table = script("quality")
coverage_table = script("coverage")
alerts_table = script("alerts")
models_table = script("models")
scale_table = script("scale")
bench_table = script("table", fixture="bench_table")
step_table = script("step")
gpu_table = script("gpu")
