"""The tables of training steps at tiny sizes: ours equals the plain reference, and every line has its ratios."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest


def test_every_line_is_checked_and_measured(step_table: ModuleType) -> None:
    results, printed = step_table.table(step_table.TINY, repetitions=1)
    assert printed.count("\n") == len(results) + 1 == 11
    for found in results.values():
        assert found["differs"] < 1e-5
        assert found["ratios"]["peer / ours"] > 0
        assert all(len(seconds) == 1 for seconds in found["cpu_seconds"].values())
    assert sum("ours / floor" in found["ratios"] for found in results.values()) == 5


def test_a_single_bag_tells_its_memory(step_table: ModuleType) -> None:
    sizes = replace(step_table.TINY, bags=((1, 30),))
    results, _ = step_table.table(sizes, repetitions=1, only="^co-attention")
    (found,) = results.values()
    assert found["goals"] == {"ours / floor": 1.6, "memory / bag": 1.9}


def test_what_does_not_agree_is_not_timed(step_table: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = step_table.Case("wrong", {}, 1e-3)
    monkeypatch.setattr(step_table, "cases", lambda sizes: [lambda: wrong])
    with pytest.raises(ArithmeticError, match="differs from the plain reference"):
        step_table.table(step_table.TINY)


def test_a_missed_goal_is_told(step_table: ModuleType) -> None:
    found = {"ratios": {"ours / floor": 2.0, "peer / ours": 4.0}, "median": {"ours": 1.0}, "differs": 0.0}
    line = step_table.row("work", {**found, "goals": {"ours / floor": 1.7, "peer / ours": 3.0}})
    assert line["ours / floor"] == "2.00 (goal <= 1.7)"
    assert line["peer / ours"] == "4.00"


def test_without_a_gpu_the_gpu_benchmark_says_so(
    gpu_table: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu_table.torch.cuda, "is_available", lambda: False)
    assert gpu_table.main([f"out={tmp_path / 'gpu.json'}"]) == 0
    assert "No CUDA device here" in capsys.readouterr().out
    results = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert set(results["steps"]) > {"floor", "co-attention"}
    assert all(step["share"] > 0 for step in results["steps"].values())
