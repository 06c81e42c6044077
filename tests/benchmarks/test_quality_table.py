"""The table of quality: the best plain model in the mean over seeds; the worst seed is held against its own best."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from fusion.report.ablation import VariantScore
from fusion.report.run_folder import Estimate


def write_scores(folder: Path, **c_index: float) -> Path:
    folder.mkdir()
    figures = {name: {"c_index": {"value": value}} for name, value in c_index.items()}
    figures["fusion"] |= {
        "calibration_slope": {"value": 2 * c_index["fusion"]},
        "scaled_ibs": {"value": 0.5 * c_index["fusion"]},
    }
    task = {"model": figures, "landmark": {"42": {**figures, "compare": {}}, "84": {**figures, "compare": {}}}}
    (folder / "metrics.json").write_text(json.dumps({"task": {"os": task}}))
    return folder


def test_differences_by_hand(quality_table: ModuleType, tmp_path: Path) -> None:
    folders = [
        write_scores(tmp_path / "0", fusion=0.70, cox_all=0.72, forest=0.60, fusion_at_baseline=0.9),
        write_scores(tmp_path / "1", fusion=0.80, cox_all=0.74, forest=0.79),
    ]
    rows = quality_table.row_of("strong, 240", folders)
    assert [row["at"] for row in rows] == ["baseline", "day 42", "day 84"]
    assert rows[0]["fusion"] == "0.750"
    assert rows[0]["best plain model in the mean"] == "0.730 cox_all"
    assert rows[0]["difference (SE over seeds)"] == "+0.020 (0.040)"
    assert rows[0]["worst seed, against its best"] == "-0.020"
    assert rows[0]["calibration slope"] == "1.50 (1.40 to 1.60)"


def test_every_option_of_the_models_table_has_a_folder_of_its_own(models_table: ModuleType) -> None:
    names = [f"{group}: {name}" for group, options in models_table.OPTIONS.items() for name in options]
    folders = ["".join(c if c.isalnum() else "_" for c in name) for name in names]
    assert len(set(folders)) == len(names)


def test_rows_of_the_models_table(models_table: ModuleType) -> None:
    """Of two cohorts the mean difference, with an interval that is narrower by the root of two."""

    def score(variant: str, value: float, away: float | None) -> VariantScore:
        difference = None if away is None else Estimate(value=away, low=away - 0.1, high=away + 0.1)
        estimate = Estimate(value=value, low=0.6, high=0.8)
        facts = {"task": "os", "score": "C-index", "day": 0.0, "patients": 9}
        return VariantScore(variant=variant, value=estimate, difference=difference, **facts)

    two = [*(score("reference", v, None) for v in (0.6, 0.7)), *(score("fusion: gated", 0.7, d) for d in (0.01, 0.03))]
    reference, gated = models_table.rows_of({"strong": two}, {"fusion: gated": 12.0, "reference": 10.0})
    assert reference == {"option": "reference", "strong, baseline": "C-index 0.650", "seconds": "10"}
    assert gated == {"option": "fusion: gated", "strong, baseline": "+0.020 [−0.051 to 0.091]", "seconds": "12"}


def test_curves_of_losses_are_means_over_cohorts(models_table: ModuleType, tmp_path: Path) -> None:
    folders = [write_scores(tmp_path / name, fusion=value) for name, value in (("0", 0.7), ("1", 0.8))]
    shown = models_table.curves(
        {"reference": folders, "fusion: late": folders, "loss: mtlr": folders[:1], "loss: rank": []}
    )
    assert [row["option"] for row in shown] == ["reference", "loss: mtlr"]
    assert shown[0]["slope: baseline, week 6, week 12"] == "1.50, 1.50, 1.50"
    assert shown[1]["scaled integrated Brier score: baseline, week 6, week 12"] == "0.35, 0.35, 0.35"


def test_without_runs_it_says_so(
    quality_table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality_table, "ROOT", tmp_path)
    quality_table.main([])
    assert "run=true" in capsys.readouterr().out
