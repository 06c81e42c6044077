"""What the commands do with a finished run: read it, score it, print its scores, report it.

Scores are imported where they are made: they bring scipy, and who predicts makes none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fusion.run.console import console
from fusion.training.checkpoint import write_json


def config_of(folder: Path) -> dict[str, Any]:
    """The config of a run."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no run folder (no config.json)")
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values


@dataclass(frozen=True)
class RunTables:
    """The tables of a finished run that scores are made from."""

    predictions: pd.DataFrame
    baselines: pd.DataFrame | None
    splits: pd.DataFrame
    subgroups: pd.DataFrame | None
    held_back: pd.DataFrame | None
    apparent: pd.DataFrame | None


def read_run(folder: Path) -> RunTables:
    """Read the tables of a finished run."""
    if not (folder / "predictions.parquet").exists():
        raise ValueError(f"{folder} is no finished run (no predictions.parquet); give run folders as runs=[A,B]")

    def optional(name: str) -> pd.DataFrame | None:
        return pd.read_parquet(folder / name) if (folder / name).exists() else None

    subgroups = folder / "subgroups.csv"
    return RunTables(
        predictions=pd.read_parquet(folder / "predictions.parquet"),
        baselines=optional("baselines.parquet"),
        held_back=optional("held_back.parquet"),
        splits=pd.read_csv(folder / "splits.csv", dtype={"patient_id": str}),
        subgroups=pd.read_csv(subgroups, dtype=str, keep_default_na=False) if subgroups.exists() else None,
        apparent=_apparent(folder),
    )


def _apparent(folder: Path) -> pd.DataFrame | None:
    """What the final models predict of their own patients: of use where the splits are subsamples, else None."""
    final = folder / "final_model"
    subsampled = config_of(folder)["split"]["_target_"].endswith(".Subsampling")
    if not subsampled or not (final / "predictions.parquet").exists():
        return None
    from fusion.metrics import FUSION

    frames = [pd.read_parquet(final / "predictions.parquet").assign(model=FUSION)]
    if (final / "baselines.parquet").exists():
        frames.append(pd.read_parquet(final / "baselines.parquet"))
    return pd.concat(frames, ignore_index=True)


def score_folder(folder: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Score the predictions of a run folder and write its metrics.json."""
    from fusion.metrics import score_run

    tables = read_run(folder)
    metrics = score_run(
        **vars(tables),
        horizons=tuple(evaluation["horizons"]),
        landmarks=tuple(evaluation["landmarks"]),
        resamples=evaluation["resamples"],
    )
    write_json(folder / "metrics.json", metrics)
    return metrics


def print_scores(metrics: Mapping[str, Any], title: str) -> None:
    """Print a row per model: C-index or AUROC with interval, at baseline and at the first landmark."""
    from fusion.metrics import summary_table

    landmarks = metrics["settings"]["landmarks"]
    rows = summary_table(dict(metrics), landmark=landmarks[0] if landmarks else 0.0)
    table = Table(
        title=escape(title), box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    for column in rows[0] if rows else []:
        if any(row[column] for row in rows):  # a cohort of single visits has no later figures
            table.add_column(column, no_wrap=column != "model", overflow="fold")
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        cells = [escape(row[str(column.header)]) for column in table.columns]
        table.add_row(*cells, end_section=after is not None and after["score"] != row["score"])
    console.print(table)


def report(config: DictConfig) -> int:
    """Build the report of a run again."""
    say_pages(write_pages(Path(config.run)))
    return 0


def write_pages(folder: Path) -> dict[str, Path]:
    """Write all pages of a finished run, by what they are: its report, that of the patients, the figures."""
    from fusion.report import build_report  # matplotlib takes a second to import, and few commands draw
    from fusion.run.figures import figures_page
    from fusion.run.monitor import monitor_run

    patients, figures = monitor_run(folder), figures_page(folder)
    return {"patients": patients, "figures": figures, "report": build_report(folder)}  # last: it links to the others


def say_pages(pages: Mapping[str, Path]) -> None:
    """Print where the pages are."""
    for name, path in pages.items():
        console.print(f"{name}: {path}", markup=False, soft_wrap=True)
