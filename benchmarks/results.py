"""The results tables of README.md and docs/results.md, and docs/img/demo.png, from run folders and nothing else.

    python benchmarks/results.py --run       makes the cohorts, runs every experiment (about half an hour on 2 cores),
                                             then writes
    python benchmarks/results.py             writes from the latest finished run of every experiment in runs/
    python benchmarks/results.py out=FILE    prints the tables, writes them as JSON, and leaves the pages alone

`--only NAME ...` limits it to some experiments; the others come from their latest runs. The real cohorts need the
public tables: FUSION_DATA=their parent folder (examples/README.md).
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusion.metrics.scorer import FUSION
from fusion.report import headline_figure
from fusion.report.run_folder import RESPONSE, Estimate, Run, read_run
from fusion.report.words import short_name
from fusion.report.worth import worth_name

ROOT = Path(__file__).parents[1]
TRAIN = "python scripts/train.py"


@dataclass(frozen=True)
class Experiment:
    """A row group of the table.

    Attributes:
        name: Folder below runs/.
        title: What the cohort is called.
        command: What makes the run.
        convert: The script that makes a real cohort.
        shown: Tasks that the README shows; the page of results shows all.
        published: A figure of the literature to hold ours against, and whose it is; by task and day (None: baseline).
    """

    name: str
    title: str
    command: str
    convert: str | None = None
    shown: tuple[str, ...] = ("os",)
    published: Mapping[tuple[str, float | None], str] = field(default_factory=dict)


EXPERIMENTS = (
    Experiment("demo", "simulated, strong signal", TRAIN),
    Experiment("realistic", "simulated, realistic signal", f"{TRAIN} name=realistic data.simulate.preset=realistic"),
    Experiment("no_signal", "simulated, no signal", f"{TRAIN} name=no_signal data.simulate.preset=null"),
    Experiment(
        "sclc_george2015",
        "SCLC, resected (George 2015)",
        f"{TRAIN} experiment=sclc_george2015",
        convert="examples/sclc_george2015.py",
        published={("os", None): ".721 clinical covariates, SEER, all stages"},
    ),
    Experiment(
        "inspire",
        "pembrolizumab, ctDNA (INSPIRE)",
        f"{TRAIN} experiment=inspire",
        convert="examples/inspire.py",
        shown=("os", "pfs", RESPONSE),
    ),
    Experiment("laml", "acute myeloid leukaemia (TCGA)", f"{TRAIN} experiment=laml", convert="examples/laml.py"),
    Experiment(
        "pbc2",
        "biliary cirrhosis (Mayo)",
        f"{TRAIN} experiment=pbc2",
        convert="examples/pbc2.py",
        published={("os", 365.0): "[joint model, over years](docs/pbc2.md)"},
    ),
)


@dataclass(frozen=True)
class Row:
    """One task of one cohort at one prediction time: every model, and ours against the best plain one."""

    experiment: Experiment
    task: str
    landmark: float | None
    patients: int
    events: int
    models: dict[str, Estimate]
    best: str | None
    difference: Estimate | None

    @property
    def score(self) -> str:
        return metric(self.task)

    @property
    def when(self) -> str:
        return "baseline" if self.landmark is None else f"day {self.landmark:g}"


def metric(task: str) -> str:
    """The score that ranks patients of a task."""
    return "auroc" if task == RESPONSE else "c_index"


def rows_of(experiment: Experiment, run: Run) -> list[Row]:
    """Rows of a finished run, baseline first, then its landmarks."""
    rows = []
    for task, scores in run.scores.items():
        for landmark in (None, *run.landmarks(task)):
            level = scores["model"] if landmark is None else scores["landmark"][f"{landmark:g}"]
            estimates = {name: run.estimate(task, name, metric(task), landmark) for name in run.models(task)}
            best = run.best_baseline(task, metric(task), landmark)
            rows.append(
                Row(
                    experiment=experiment,
                    task=task,
                    landmark=landmark,
                    patients=level[FUSION]["n"],
                    events=level[FUSION]["events"],
                    models={name: found for name, found in estimates.items() if found is not None},
                    best=best,
                    difference=run.gain(task, best, metric(task), landmark) if best else None,
                )
            )
    return rows


def reference(experiment: Experiment, run: Run, row: Row) -> str:
    """What could be reached or was reached by others: the simulator's truth, or a published figure."""
    at = f"week{row.landmark / 7:g}_ctdna" if row.landmark else "oracle"
    found = run.oracle(f"{row.task}_{at}_{metric(row.task)}")
    if found is not None:
        return f"{figure(Estimate(found))} truth known"
    return experiment.published.get((row.task, row.landmark), "")


def figure(found: Estimate | None, *, signed: bool = False) -> str:
    """A figure with its interval, `.712 [.650, .770]`."""

    def short(value: float) -> str:
        text = f"{value:+.3f}" if signed else f"{value:.3f}"
        return re.sub(r"^([+-]?)0\.", r"\1.", text)

    if found is None:
        return "-"
    return short(found.value) + (f" [{short(found.low)}, {short(found.high)}]" if found.low is not None else "")


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))


def overview(found: dict[str, tuple[Path, Run]], rows: Sequence[Row]) -> str:
    """The table of the README: chosen tasks at baseline and at the first landmark, and the command of each cohort."""
    shown, commands = [], []
    for experiment in EXPERIMENTS:
        if experiment.name not in found:
            continue
        for task in experiment.shown:
            mine = [row for row in rows if row.experiment == experiment and row.task == task][:2]
            for row in mine:
                first = row is mine[0] and task == experiment.shown[0]
                label = f"[{experiment.title}](docs/results.md#{experiment.name})" if first else ""
                counts = f"{row.patients} ({row.events})"
                plain = f"{figure(row.models.get(row.best or ''))} {row.best or ''}"
                ours = figure(row.models.get(FUSION))
                gain = figure(row.difference, signed=True)
                known = reference(experiment, found[experiment.name][1], row)
                shown.append([label, short_name(task), row.when, counts, ours, plain, gain, known])
        convert = f"python {experiment.convert} && " if experiment.convert else ""
        commands.append(f"{convert}{experiment.command}")
    header = [
        "cohort",
        "predicts",
        "at",
        "patients (events)",
        "fusion",
        "best plain model",
        "difference",
        "ceiling or published",
    ]
    return f"{table(header, shown)}\n\n```\n" + "\n".join(commands) + "\n```"


def page(found: dict[str, tuple[Path, Run]], rows: Sequence[Row]) -> str:
    """Every model, task and prediction time, cohort by cohort."""
    parts = []
    for experiment in EXPERIMENTS:
        if experiment.name not in found:
            continue
        _, run = found[experiment.name]
        mine = [row for row in rows if row.experiment == experiment]
        scores = dict.fromkeys(row.score for row in mine)
        convert = f"python {experiment.convert}\n" if experiment.convert else ""
        parts.append(
            f'<a id="{experiment.name}"></a>\n\n## {experiment.title[0].upper()}{experiment.title[1:]}\n\n'
            f"```\n{convert}{experiment.command}\n```\n\n{facts(run)}\n\n"
            + "\n\n".join(every_model([row for row in mine if row.score == score]) for score in scores)
            + worth(run, mine)
        )
    return "\n\n".join(parts)


def every_model(rows: Sequence[Row]) -> str:
    """A table of rows with the same score: a line per model, a column per task and prediction time."""
    names = dict.fromkeys(name for row in rows for name in row.models)
    models = sorted(names, key=lambda name: not name.startswith(FUSION))
    lines = [[name, *(figure(row.models.get(name)) for row in rows)] for name in models]
    best = [f"{figure(row.difference, signed=True)} {row.best or ''}" for row in rows]
    heads = [f"{short_name(row.task)}, {row.when}, {row.patients} ({row.events})" for row in rows]
    name = "AUROC" if rows[0].score == "auroc" else "C-index"
    return table([f"{name}; patients (events)", *heads], [*lines, ["fusion - best plain", *best]])


def worth(run: Run, rows: Sequence[Row]) -> str:
    """What later visits and assays added at every landmark; nothing for a cohort of single visits."""
    later = [row for row in rows if row.landmark is not None]
    names = dict.fromkeys(name for row in later for name in run.held_to_less(row.task))
    if not names:
        return ""
    lines = []
    for name in names:
        gains = [run.gain(row.task, name, row.score, row.landmark) for row in later]
        lines.append([worth_name(name), *(figure(gain, signed=True) for gain in gains)])
    heads = [f"{short_name(row.task)}, {row.when}" for row in later]
    return f"\n\nWhat they added to the same network:\n\n{table(['gain', *heads], lines)}"


def facts(run: Run) -> str:
    """Where the figures come from, in a sentence or two."""
    manifest = run.manifest
    seconds, commit = sum(manifest["wall_seconds"].values()), (manifest["git"]["commit"] or "unknown")[:7]
    dirty = ", with uncommitted changes" if manifest["git"]["dirty"] else ""
    text = (
        f"{manifest['cohort']['patients']} patients; {', '.join(manifest['modalities'])}; "
        f"{manifest['folds']} folds x {manifest['repeats']} repeats x {manifest['members']} members, "
        f"seed {manifest['seed']}; {duration(seconds)} on {manifest['device']}, {manifest['peak_memory_gb']:.1f} GB; "
        f"code `{commit}`{dirty}."
    )
    oracle = [
        f"{label} {run.oracle(name):.3f}"
        for label, name in (
            ("OS", "os_oracle_c_index"),
            ("OS from the noisy assays", "os_readouts_c_index"),
            ("PFS", "pfs_oracle_c_index"),
            ("response", "response_oracle_auroc"),
        )
        if run.oracle(name) is not None
    ]
    return f"{text} Known truth of the simulator (the ceiling at baseline): {', '.join(oracle)}." if oracle else text


def duration(seconds: float) -> str:
    """Seconds or minutes.

    >>> duration(45.2), duration(200.0)
    ('45 s', '3.3 min')
    """
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def between_markers(path: Path, content: str) -> None:
    """Replace what stands between the markers of a page."""
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- results:begin -->", "<!-- results:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path} needs one {begin} and one {end}: put them where the results belong")
    head, tail = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    path.write_text(f"{head}\n{content}\n{tail}", encoding="utf-8")


def note_in_config(experiment: Experiment, run: Run, rows: Sequence[Row]) -> None:
    """Bring the time and score of an experiment's opening comment up to date."""
    path = ROOT / "configs" / "experiment" / f"{experiment.name}.yaml"
    if not path.exists():
        return
    row = next(row for row in rows if row.experiment == experiment)
    seconds = sum(run.manifest["wall_seconds"].values())
    score = "AUROC" if row.task == RESPONSE else "C-index"
    note = (
        f"# {duration(seconds)}; {short_name(row.task)} {score} {figure(row.models.get(FUSION))}, "
        f"{row.best} {figure(row.models.get(row.best or ''))}"
    )
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not re.match(r"# [\d.]+ (s|min); ", line)
    ]
    last = next(i for i, line in enumerate(lines) if i and not line.startswith("#"))
    path.write_text("\n".join([*lines[:last], note, *lines[last:]]) + "\n", encoding="utf-8")


def latest_run(name: str) -> Path | None:
    """The latest finished run of an experiment."""
    return max((path.parent for path in (ROOT / "runs" / name).glob("*/metrics.json")), default=None)


def run_experiment(experiment: Experiment) -> None:
    """Make the cohort if need be, and train."""
    for command in filter(None, (experiment.convert and f"python {experiment.convert}", experiment.command)):
        print(f"\n$ {command}", flush=True)
        words = [sys.executable, *command.split()[1:], *(["trainer=quiet"] if "train.py" in command else [])]
        subprocess.run(words, cwd=ROOT, check=True)


def main() -> int:
    """Run what is asked for, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="store_true", help="run the experiments first")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in EXPERIMENTS], help="run these alone")
    parser.add_argument("out", nargs="?", help="out=FILE: print, write JSON, leave the pages alone")
    options = parser.parse_args()
    if options.run:
        for experiment in EXPERIMENTS:
            if options.only is None or experiment.name in options.only:
                run_experiment(experiment)
    folders = {each.name: folder for each in EXPERIMENTS if (folder := latest_run(each.name))}
    if not folders:
        print("no finished run in runs/; make them with --run", file=sys.stderr)
        return 0 if options.out else 1  # `make bench` goes on
    found = {name: (folder, read_run(folder)) for name, folder in folders.items()}
    rows = [row for each in EXPERIMENTS if each.name in found for row in rows_of(each, found[each.name][1])]
    print(overview(found, rows))
    if options.out:
        Path(options.out.removeprefix("out=")).write_text(json.dumps(as_json(found, rows), indent=1) + "\n")
        return 0
    between_markers(ROOT / "README.md", overview(found, rows))
    between_markers(ROOT / "docs" / "results.md", page(found, rows))
    for experiment in EXPERIMENTS:
        if experiment.name in found:
            note_in_config(experiment, found[experiment.name][1], rows)
    if "demo" in found:
        headline_figure(found["demo"][0], ROOT / "docs" / "img" / "demo.png")
    return 0


def as_json(found: dict[str, tuple[Path, Run]], rows: Sequence[Row]) -> dict[str, object]:
    """The tables as values, with the machine and the commit of each run."""
    keys = ("git", "versions", "host", "device", "seed", "wall_seconds", "peak_memory_gb")
    return {
        "runs": {name: {key: run.manifest[key] for key in keys} for name, (_, run) in found.items()},
        "rows": [
            {
                "cohort": row.experiment.name,
                "task": row.task,
                "landmark": row.landmark,
                "patients": row.patients,
                "events": row.events,
                "score": row.score,
                "models": {name: vars(estimate) for name, estimate in row.models.items()},
                "best_plain": row.best,
                "difference": vars(row.difference) if row.difference else None,
            }
            for row in rows
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
