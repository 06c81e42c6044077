"""Ways to spoil a cohort folder, and the one question that is asked of every spoiled folder."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from fusion.data.read import check_cohort

Spoil = Callable[[Path], object]

#: What is spoiled, and what the report must name: file, row or column, and words of what was found or is to do.
Case = tuple[Spoil, str, str, str]

PATIENTS, OUTCOMES, SAMPLES, LESIONS, TREATMENTS, SPLITS = (
    f"{n}.csv" for n in ("patients", "outcomes", "samples", "lesions", "treatments", "splits")
)


def assert_named(folder: Path, case: Case) -> None:
    """Spoil a good cohort and ask that the fault is found, in its place, in these words, without drowning it."""
    spoil, file, place, words = case
    spoil(folder)
    problems = check_cohort(folder)
    named = [str(p) for p in problems if p.file == file and place in f"{p.where} {p.column}"]
    assert any(re.search(words, text) for text in named), [str(p) for p in problems]
    assert len(problems) < 40


def edit(name: str, change: Callable[[pd.DataFrame], object]) -> Spoil:
    """Change a CSV table in place; a frame that `change` returns replaces it."""

    def spoil(folder: Path) -> None:
        table = pd.read_csv(folder / name, dtype=object)
        changed = change(table)
        (changed if isinstance(changed, pd.DataFrame) else table).to_csv(folder / name, index=False)

    return spoil


def cell(name: str, column: str, value: object, row: int = 0) -> Spoil:
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object) if column in table else None
        table.loc[row, column] = value

    return edit(name, change)


def line(name: str, **values: object) -> Spoil:
    return edit(name, lambda table: pd.concat([table, pd.DataFrame([values])], ignore_index=True))


def without(name: str, column: str) -> Spoil:
    return edit(name, lambda table: table.drop(columns=column))


def text(name: str, content: str) -> Spoil:
    return lambda folder: (folder / name).write_text(content)


def replaced(name: str, old: str, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        content = (folder / name).read_text()
        assert old in content
        (folder / name).write_text(content.replace(old, new, 1))

    return spoil


def matrix(name: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / name
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep="\t")
        changed = change(table)
        table = table if changed is None else changed
        if path.suffix == ".parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path, sep="\t", index=False)

    return spoil


def put(row: int, column: int, value: float) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table[table.columns[column]] = table.iloc[:, column].astype(float)
        table.iloc[row, column] = value

    return change


def maf(change: Callable[[pd.DataFrame], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        table = pd.read_csv(folder / "variants.maf", sep="\t", comment="#")
        changed = change(table)
        table = changed if isinstance(changed, pd.DataFrame) else table
        table.to_csv(folder / "variants.maf", sep="\t", index=False)

    return spoil


def bag(sample: str = "P000-histology", **datasets: np.ndarray) -> Spoil:
    def spoil(folder: Path) -> None:
        with h5py.File(folder / "histology" / f"{sample}.h5", "w") as file:
            for name, values in datasets.items():
                file[name] = values

    return spoil


def removed(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def copied(name: str, other: str) -> Spoil:
    return lambda folder: shutil.copy(folder / name, folder / other)
