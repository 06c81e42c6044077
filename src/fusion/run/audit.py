"""`evaluate audit=true`: the honesty checks of finished runs."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fusion.audit import Finding, Study, run_checks
from fusion.build import build_baselines, build_recipe, build_splitter, fold_recipe
from fusion.data.splits import SiteHeldOut, read_splits
from fusion.report import build_report
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of, read_run
from fusion.training.checkpoint import write_json
from fusion.training.manifest import hash_inputs

STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "not applicable": "dim"}


def audit_runs(config: DictConfig) -> int:
    """Check every run for leakage, write the findings into its folder and report; 1 if any check fails."""
    failed = []
    for name in config.runs:
        folder = Path(name)
        study = open_study(folder, config.data.path)
        console.print(f"audit of {escape(str(folder))}")
        with console.status("reading") as status:
            findings = run_checks(study, config.audit_refits, status.update)
        write_json(folder / "audit.json", as_json(findings))
        _print(findings)
        console.print(f"report: {build_report(folder)}")
        failed += [f"{folder}: {each.rule}" for each in findings if each.verdict == "fail"]
    if failed:
        raise ValueError("failed: " + "; ".join(failed))
    return 0


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """The content of `audit.json`."""
    counts = Counter(str(each.verdict) for each in findings)
    return {"verdicts": {verdict: counts[verdict] for verdict in STYLES}, "findings": [vars(each) for each in findings]}


def open_study(folder: Path, data: str | None = None) -> Study:
    """A finished run, and the cohort that it was made on.

    Args:
        folder: The run folder.
        data: Where the cohort lies now; where the run found it by default.

    Raises:
        ValueError: The run is not finished, or the cohort is another.
    """
    values = config_of(folder)
    tables = read_run(folder)
    cohort = open_cohort({**values["data"], "simulate_if_absent": False, **({"path": data} if data else {})})
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if (found := hash_inputs(cohort.folder)) != manifest["inputs"]:
        changed = [name for name in {**found, **manifest["inputs"]} if found.get(name) != manifest["inputs"].get(name)]
        raise ValueError(
            f"{cohort.folder} is not the cohort of {folder} (other: {', '.join(changed)}); name that one: data.path=DIR"
        )
    splitter = build_splitter(values)
    return Study(
        folder=folder,
        cohort=cohort,
        splits=tuple(read_splits(folder / "splits.csv")),
        predictions=tables.predictions,
        metrics=json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
        manifest=manifest,
        recipe=build_recipe(values),
        recipe_of=lambda fold: fold_recipe(values, fold),
        fit_baselines=build_baselines(values),
        site_column=splitter.column if isinstance(splitter, SiteHeldOut) else None,
    )


def _print(findings: list[Finding]) -> None:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("rule, what was found, and what to do", overflow="fold")
    for each in findings:
        lines = [f"[bold]{escape(each.rule)}[/]", escape(each.found)]
        lines += [f"[italic]to do: {escape(each.remedy)}[/]"] if each.verdict in ("warn", "fail") else []
        table.add_row(f"[{STYLES[each.verdict]}]{each.verdict}[/]", "\n".join(lines), end_section=True)
    console.print(table)
