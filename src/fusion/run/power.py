"""`power`: how many patients, followed until which visit, until an assay shows what it adds; answered by simulation.

Studies of every size are drawn from a large pool. In each, a plain model with the assay and one without it are
cross-validated (`fusion.run.power_study`); `fusion.metrics.power` reads the answer from the gains of all studies.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from threadpoolctl import threadpool_limits

from fusion.build import plain
from fusion.data.simulator import simulate_cohort
from fusion.metrics.power import Crossing, Needed, needed_patients, power_table
from fusion.report.power_figure import power_figure
from fusion.report.trial.drawing import Drawing, write_drawing
from fusion.run.console import console
from fusion.run.power_study import EVERYONE, Pool, one_study, open_pool
from fusion.training.checkpoint import whole, write_json

#: What may change when a folder is gone on with; everything else decides what a replicate is.
FREE = ("out", "sizes", "replicates", "add", "power", "workers", "debug")
#: Fewest patients of a study: each of five folds then tests four.
FEWEST = 20


def power(config: DictConfig) -> int:
    """Draw studies, fit both models to each, and write and print from which size on the assay shows."""
    settings = settings_of(config)
    _refuse(settings)
    out = Path(settings["out"])
    _begin(out, settings)
    _simulate_pool(out, settings)
    pool = open_pool(out, settings)
    if not pool.own and max(settings["sizes"]) > settings["pool"] / 3:
        console.print("note: studies of the largest size share many patients; a larger pool= makes them more different")
    replicates = _all_replicates(out, pool)
    table = power_table(replicates[replicates["replicate"] != EVERYONE], settings["add"])
    needed = needed_patients(table, settings["power"], settings["add"])
    everyone = replicates[replicates["replicate"] == EVERYONE].set_index("day")
    _write(out, settings, table, needed, everyone)
    _print(settings, table)
    for each in needed:
        console.print(in_words(each, settings, table, everyone.loc[each.day]), highlight=False)
    console.print(f"wrote {escape(str(out))}")
    return 0


def settings_of(config: DictConfig) -> dict[str, Any]:
    """The config as plain values, with the name of the task in place of how a network would learn it."""
    settings = plain(config)
    del settings["model"]
    tasks = settings.pop("tasks")
    if len(tasks) != 1:
        raise ValueError(f"one task at a time, not {', '.join(tasks)}; give task=os")
    return {**settings, "task": next(iter(tasks))}


def _refuse(settings: Mapping[str, Any]) -> None:
    if settings["assay"] not in settings["modalities"]:
        raise ValueError(
            f"assay={settings['assay']} is none of the modalities {', '.join(settings['modalities'])}; choose one of "
            f"these, or add it: 'modality=[...,{settings['assay']}]'"
        )
    if len(settings["modalities"]) < 2:
        raise ValueError("an assay alone adds to nothing; name what it is to add to: 'modality=[clinical,...]'")
    sizes = settings["sizes"]
    if not sizes or min(sizes) < FEWEST or len(set(sizes)) < len(sizes):
        raise ValueError(f"sizes={sizes}: give different sizes of {FEWEST} patients or more")
    if not settings["days"] or min(settings["days"]) < 0:
        raise ValueError(f"days={settings['days']}: give days of prediction, 0 or later")
    if settings["replicates"] < 1 or settings["folds"] < 2 or settings["resamples"] < 100:
        raise ValueError("replicates must be 1 or more, folds 2 or more, resamples 100 or more")
    if not 0 < settings["power"] < 1:
        raise ValueError(f"power={settings['power']:g}: choose a share between 0 and 1, such as 0.8")
    if not settings["data"]["path"] and max(sizes) > settings["pool"]:
        raise ValueError(
            f"sizes hold {max(sizes)}, more than the {settings['pool']} patients of the pool; raise pool= (three times "
            "the largest size or more) in another out="
        )


def _begin(out: Path, settings: Mapping[str, Any]) -> None:
    """Write down what the replicates are made with, or see that a folder was begun with the same."""
    mine = {key: value for key, value in settings.items() if key not in FREE}
    if mine["data"]["path"]:
        mine["data"] = {**mine["data"], "path": str(Path(mine["data"]["path"]).resolve())}
    mine = json.loads(json.dumps(mine))
    path = out / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        for key in mine:
            if mine[key] != before.get(key):
                raise ValueError(f"{out} was begun with {key}={before.get(key)}, not {mine[key]}; name another out=")
        return
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, mine)


def _simulate_pool(out: Path, settings: Mapping[str, Any]) -> None:
    if settings["data"]["path"] or (out / "pool" / "truth" / "manifest.json").is_file():
        return
    with console.status(f"simulating {settings['pool']} patients"):
        preset = settings["preset"] or "null"  # YAML reads the word as nothing
        simulate_cohort(out=out / "pool", preset=preset, patients=settings["pool"], seed=settings["seed"])


_pool: Pool  # of a worker


def _start_worker(out: Path, settings: Mapping[str, Any]) -> None:
    global _pool
    threadpool_limits(1)
    _pool = open_pool(out, settings)


def _in_worker(size: int, number: int) -> list[dict[str, float]]:
    return one_study(_pool, size, number)


def _all_replicates(out: Path, pool: Pool) -> pd.DataFrame:
    """Those of the folder and those that are still missing, written down one by one; of the asked sizes, sorted."""
    settings, path = pool.settings, out / "replicates.csv"
    done = pd.read_csv(path, float_precision="round_trip") if path.is_file() else pd.DataFrame()
    there = set(zip(done["patients"], done["replicate"], strict=True)) if len(done) else set()
    everyone = (pool.cohort.num_patients, EVERYONE)
    sizes = sorted(settings["sizes"], reverse=True)  # the longest first, so that workers end together
    asked = [everyone, *((size, number) for size in sizes for number in range(settings["replicates"]))]
    jobs = [job for job in asked if job not in there]
    workers = min(settings["workers"] or len(os.sched_getaffinity(0)), max(len(jobs), 1))
    with console.status("drawing studies") as status:
        for number, rows in enumerate(_studies(out, pool, jobs, workers), start=1):
            done = pd.concat([done, pd.DataFrame(rows)], ignore_index=True)
            with whole(path) as temporary:
                done.to_csv(temporary, index=False)
            status.update(f"{number} of {len(jobs)} studies")
    done = done.sort_values(["day", "patients", "replicate"], ignore_index=True)
    with whole(path) as temporary:
        done.to_csv(temporary, index=False)
    wanted = [job in set(asked) for job in zip(done["patients"], done["replicate"], strict=True)]
    return done[wanted].reset_index(drop=True)


def _studies(out: Path, pool: Pool, jobs: Sequence[tuple[int, int]], workers: int) -> Iterator[list[dict[str, float]]]:
    """Rows of each study as it is finished; each in one thread, so that their number changes no digit."""
    if workers <= 1:
        with threadpool_limits(1):
            yield from (one_study(pool, *job) for job in jobs)
        return
    spawn = multiprocessing.get_context("spawn")  # torch is loaded here: its threads do not survive a fork
    with ProcessPoolExecutor(workers, spawn, initializer=_start_worker, initargs=(out, pool.settings)) as executor:
        waiting = [executor.submit(_in_worker, *job) for job in jobs]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _write(
    out: Path, settings: Mapping[str, Any], table: pd.DataFrame, needed: Sequence[Needed], everyone: pd.DataFrame
) -> None:
    """The table as CSV, all of it with the answers as JSON, and the figure."""
    table.to_csv(out / "power.csv", index=False)
    content = {
        "schema": 1,
        "settings": {key: value for key, value in settings.items() if key not in ("workers", "debug", "out")},
        "table": _records(table),
        "everyone": _records(everyone.reset_index().drop(columns="replicate")),
        "needed": [asdict(each) for each in needed],
    }
    write_json(out / "power.json", content)
    figure = power_figure(table, needed, assay=settings["assay"], target=settings["power"], add=settings["add"])
    write_drawing(Drawing("power", f"Power of {settings['assay']}", "", figure), out)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON; what is undefined is null."""
    return [{key: None if pd.isna(value) else value for key, value in row.items()} for row in table.to_dict("records")]


def _print(settings: Mapping[str, Any], table: pd.DataFrame) -> None:
    title = f"what {settings['assay']} adds to the C-index of {settings['task']}"
    shown = Table(title=escape(title), box=SIMPLE_HEAD, show_edge=False)
    wanted = f">= {settings['add']:g}"
    for name in ("day", "patients", "events", "without", "with", "gain", wanted, "power (95 %)"):
        shown.add_column(name, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        low, power, high = (100 * row[name] for name in ("power_low", "power", "power_high"))
        shown.add_row(
            f"{row['day']:g}",
            f"{row['patients']}",
            f"{row['events']:.0f}",
            *(f"{row[name]:.3f}" for name in ("without", "with")),
            f"{row['difference']:+.3f}",
            f"{100 * row['share_add']:.0f} %",
            f"{power:.0f} % ({low:.0f} to {high:.0f})",
        )
    console.print(shown)


def in_words(needed: Needed, settings: Mapping[str, Any], table: pd.DataFrame, everyone: pd.Series) -> str:
    """The answer for one day, as two sentences: when the assay shows, and whether it adds what is wanted."""
    mine = table[table["day"] == needed.day]
    target, add, assay = f"{100 * settings['power']:g} %", f"{settings['add']:g}", settings["assay"]
    largest = mine.iloc[-1]
    if needed.power.patients is None:
        shows = f"{target} power is beyond {largest['patients']:.0f} patients ({100 * largest['power']:.0f} % there)"
    else:
        band = f"{_size(needed.low, largest)} to {_size(needed.high, largest)}"
        shows = f"{target} power {_at(needed.power)} patients (95 % {band})"
    gain = f"{everyone['difference']:+.3f} (95 % {everyone['low']:+.3f} to {everyone['high']:+.3f})"
    if needed.gain.patients is not None:
        last = f"{largest['difference']:+.3f} at {largest['patients']:.0f}"
        adds = f"the mean gain reaches {add} {_at(needed.gain)} patients and is {last}"
    else:
        adds = f"the mean gain reaches {add} at no size"
    ever = f"with all {everyone['patients']:.0f} of the pool it is {gain}"
    if everyone["high"] < settings["add"]:
        ever += f", so that no number of patients makes it {add} for this model"
    both = needed.both.patients
    answer = f"; both from {both} patients on" if both is not None else ""
    return f"day {needed.day:g}, {assay}: {shows}; {adds}{answer}; {ever}"


def _at(crossing: Crossing) -> str:
    return f"at {crossing.patients} (the smallest tried)" if crossing.where == "smallest" else f"at {crossing.patients}"


def _size(crossing: Crossing, largest: pd.Series) -> str:
    if crossing.where == "reached":
        return str(crossing.patients)
    return f"below {crossing.patients}" if crossing.where == "smallest" else f"beyond {largest['patients']:.0f}"
