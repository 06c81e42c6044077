"""The one table of `make bench`: every script's JSON becomes lines of the same form."""

import json
from pathlib import Path
from types import ModuleType

import pytest


def test_lines_of_every_script(bench_table: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = {
        "step": {"a step": {"median": {"ours": 0.02, "bf16": 0.01, "floor": 0.01, "peer": 0.08}}},
        "reading": {"a bag": {"median": {"one preadv": 0.004, "ours": 0.005, "h5 as TRIDENT and CLAM write it": 0.1}}},
        "many_models": [
            {"name": "64", "auto": "batched", "median": {"one by one, AdamW": 0.6, "batched": 0.1}},
            {
                "name": "400",
                "auto": "too large",
                "median": {"one by one, AdamW": 0.6, "one by one, fused": 0.3, "batched": 0.9},
            },
        ],
        "scale": {"patients": {"100": {"seconds": {"pack": [0.1]}}}},
    }
    for name, found in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"machine": {}, "results": found}))
    (tmp_path / "quality.json").write_text(json.dumps({"machine": {}, "rows": []}))  # a study of quality beside them
    rows = {line.work: line.row() for line in bench_table.read(tmp_path)}
    assert list(rows) == ["64", "400", "a bag", "a step", "a step, bf16"]
    assert rows["a step"]["ours / floor"] == "2.00"
    assert rows["a step, bf16"]["peer / ours"] == "8.00"
    assert (rows["64"]["peer / ours"], rows["400"]["peer / ours"]) == ("6.00", "2.00")
    assert (rows["64"]["floor, ms"], rows["64"]["ours, ms"]) == ("-", "100")
    assert bench_table.main([f"from={tmp_path}", f"figure={tmp_path / 'bench.png'}"]) == 0
    assert "| step | a step, bf16 | 10.0 |" in capsys.readouterr().out
    assert (tmp_path / "bench.png").stat().st_size > 1000


def test_an_empty_folder_says_what_to_do(bench_table: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert bench_table.main([f"from={tmp_path}"]) == 1
    assert "make bench" in capsys.readouterr().err
