"""Figures as files: the same bytes each time, text as it stands, and every figure of a cohort and a run in one go."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import write_tiny_cohort

from fusion.report.run_folder import read_run
from fusion.report.trial import (
    Drawing,
    TrialTables,
    cohort_flow,
    cohort_plans,
    draw_all,
    flow_levels,
    forest,
    oncoprint,
    run_plans,
    swimmer,
    swimmer_course,
    write_drawing,
)
from fusion.report.trial.hazard_ratios import Effect

HOSTILE = ("<b>&amp;</b>", "$x_1^2$", "$\\frac{a", "a_b", "\\alpha", "tab\there", "<script>")


def texts(svg: Path) -> str:
    return "\n".join(each.text or "" for each in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text"))


def test_ids_and_genes_are_drawn_letter_by_letter(tmp_path: Path):
    ids = list(HOSTILE)
    course = swimmer_course(pd.DataFrame({"os_days": np.arange(1.0, len(ids) + 1), "os_event": 1}, index=ids))
    variants = pd.DataFrame({"patient_id": ids, "gene": ids, "consequence": "missense"})
    clinical = pd.DataFrame({"stage": ids[:2] * 3 + ids[:1]}, index=ids)
    figures = {
        "swimmer": swimmer(course, pd.Series(dtype=object)),
        "oncoprint": oncoprint(variants, ids, clinical),
        "forest": forest([Effect(each, 9, 3, 1.5, 1.0, 2.0, each) for each in ids]),
        "flow": cohort_flow(
            flow_levels({"name": ids[0], "patients": 2, "availability": {each: {"0": 1} for each in ids}})
        ),
    }
    for name, figure in figures.items():
        svg, png = write_drawing(Drawing(name, "Title <&", "", figure), tmp_path)
        found = texts(svg)
        for each in ids:
            assert (name == "flow" and each == ids[1]) or each.replace("\t", " ") in found, (name, each)
        assert "<script>" not in svg.read_text()
        assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_same_tables_give_the_same_bytes(tmp_path: Path):
    def draw(folder: Path) -> list[bytes]:
        effects = [Effect("a", 9, 3, 1.5, 1.0, 2.0), Effect("b", 9, 3, 0.5, 0.1, 2.0)]
        variants = pd.DataFrame({"patient_id": ["a", "b"], "gene": ["TP53", "RB1"], "consequence": "missense"})
        paths = [
            *write_drawing(Drawing("forest", "", "", forest(effects)), folder),
            *write_drawing(Drawing("oncoprint", "", "", oncoprint(variants, ["a", "b"])), folder),
        ]
        return [path.read_bytes() for path in paths]

    first = draw(tmp_path / "one")
    assert first == draw(tmp_path / "two")
    text = first[0].decode()
    assert not re.search(r"20\d\d-\d\d-\d\d", text)
    assert not re.search(r'(href|src)="(?!#)', text)
    assert "DejaVu Sans', Verdana, sans-serif" in text


def test_what_was_not_drawn_cannot_be_written(tmp_path: Path):
    with pytest.raises(ValueError, match="was not drawn"):
        write_drawing(Drawing("x", "", "Not drawn: no lesions"), tmp_path)


def test_flow_counts_patients_events_and_assays(complete_run: Path):
    run = read_run(complete_run)
    qc = {
        "name": "c",
        "patients": 70,
        "endpoints": {"os": {"known": 66, "events": 41}},
        "response": {"CR": 1, "PR": 2, "PD": 4, "NE": 5},
        "availability": {"plasma": {"0": 35, "1": 9}, "late": {"1": 3}},
        "left_out": [{"file": "samples.csv", "item": i, "reason": "failed QC", "count": 1} for i in "ab"],
    }
    levels = flow_levels(qc, run.predictions)
    lines = [line for level in levels for box in level.boxes for line in box.lines]
    for wanted in (
        "70 patients",
        "OS: 66 patients, 41 events",
        "Response: 7 patients, 3 responders",
        "35 (50 %)",
        "0 (0 %)",
    ):
        assert wanted in lines
    assert levels[1].lost is not None
    assert levels[1].lost.lines == ("samples.csv: failed QC: 2",)
    held_out = run.predictions["patient_id"].nunique()
    assert f"{held_out} patients" in lines
    first = run.at_visit("os")
    assert f"{int(first['event'].sum())} events" in levels[-1].boxes[0].lines
    assert levels[-2].lost is not None
    assert f"{70 - held_out} patients" in levels[-2].lost.lines[0]
    assert cohort_flow(levels).axes


def test_every_figure_of_a_run_is_drawn_or_says_why(complete_run: Path, tmp_path: Path):
    run = read_run(complete_run)
    groups = pd.read_csv(complete_run / "subgroups.csv", dtype=str).set_index("patient_id")
    drawings = draw_all(run_plans(run, groups))
    names = [each.name for each in drawings if each.figure is not None]
    for wanted in ("kaplan_meier_os", "calibration_os", "roc_os", "auc_os", "decision_os", "forest_risk_os"):
        assert wanted in names
    assert all(each.caption for each in drawings)
    write_drawing(drawings[0], tmp_path)
    counts = [text for text in texts(tmp_path / "kaplan_meier_os.svg").split("\n") if text.isdigit()]
    for size in run.at_visit("os").groupby("risk_group").size():
        assert str(size) in counts  # at risk at the start


def test_a_cohort_of_nothing_says_what_is_missing():
    outcomes = pd.DataFrame({"os_days": [np.nan], "os_event": [np.nan]}, index=["a"])
    drawings = draw_all(cohort_plans(TrialTables(outcomes, ("os",), pd.DataFrame(index=["a"]), {})))
    assert all(each.figure is None for each in drawings)
    said = {each.name: each.caption for each in drawings}
    assert "no lesions.csv" in said["waterfall"]
    assert "no variants.maf" in said["oncoprint"]
    assert "end of follow-up" in said["swimmer"]


def test_the_command_draws_a_cohort_and_a_run(tmp_path: Path, complete_run: Path):
    from hydra import compose, initialize_config_dir

    from fusion.cli import CONFIGS
    from fusion.run.figures import figures

    folder = write_tiny_cohort(tmp_path / "cohort", patients=12)
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        config = compose(
            "figures", [f"data.path={folder}", f"out={tmp_path / 'out'}", "only=[oncoprint,swimmer,spider]"]
        )
        assert figures(config) == 0
        written = {path.name for path in (tmp_path / "out").iterdir()}
        assert {"oncoprint.svg", "oncoprint.png", "swimmer.svg", "captions.md"} <= written
        with pytest.raises(ValueError, match="there is no figure nonsense"):
            figures(compose("figures", [f"data.path={folder}", "only=[nonsense]"]))
        with pytest.raises(ValueError, match="give run=DIR"):
            figures(compose("figures", []))
        run = tmp_path / "run"
        shutil.copytree(complete_run, run)
        (run / "config.json").write_text('{"data": {"path": "gone", "visit_window": 7.0}}')
        with pytest.raises(ValueError, match="is not the cohort of the run"):
            figures(compose("figures", [f"run={run}", f"data.path={folder}"]))
        assert figures(compose("figures", [f"run={run}", "only=[roc_os]"])) == 0
        assert (run / "figures" / "roc_os.png").is_file()


def test_oncoprint_reads_the_variants_as_the_models_do(tmp_path: Path):
    from fusion.data.read import read_cohort
    from fusion.run.figures import trial_tables

    folder = write_tiny_cohort(tmp_path, patients=12)
    tables = trial_tables(read_cohort(folder))
    maf = pd.read_csv(folder / "variants.maf", sep="\t", comment="#")
    kept = maf[maf["FILTER"].isna() | (maf["FILTER"] == "PASS")] if "FILTER" in maf else maf
    kept = kept[~kept["Variant_Classification"].isin(["Silent"])]
    assert tables.variants is not None
    assert sorted(tables.variants["gene"]) == sorted(kept["Hugo_Symbol"])
    assert set(tables.variants["patient_id"]) <= set(tables.sequenced)
