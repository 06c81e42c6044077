"""What the converters share: find the public tables, write and check a cohort folder, say what was left out."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fusion.data.cohort import Cohort
from fusion.data.problems import CohortError
from fusion.data.read import read_cohort

DAYS_PER_MONTH = 365.25 / 12

#: Where times are whole months, 0 is "in the first month": half a month, so that an early death is not lost.
HALF_A_MONTH = 15.0

#: Beside a checkout the public tables lie here unless FUSION_DATA or --source say otherwise.
DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass
class Flow:
    """Counts what a converter leaves out or changes, in the words that its user reads."""

    lines: list[tuple[int, str]] = field(default_factory=list)

    def note(self, count: int, what: str) -> None:
        """Note something that was left out or changed, if there is any."""
        if count:
            self.lines.append((count, what))

    def without(self, table: pd.DataFrame, bad: "pd.Series[bool]", what: str) -> pd.DataFrame:
        """The rows that are not `bad`; the others are counted."""
        self.note(int(bad.sum()), what)
        return table[~bad]


@dataclass(frozen=True)
class Converter:
    """One public data set and the way to a cohort folder.

    Attributes:
        name: Name of the cohort and of its default folder, `data/<name>`.
        folder: Name of the folder with the public tables, under `FUSION_DATA`.
        files: The public tables.
        origin: Where a user finds them.
        settings: What cohort.yaml says beyond name and schema.
        convert: Reads the public tables and returns the tables of the cohort folder by file name.
    """

    name: str
    folder: str
    files: Sequence[str]
    origin: str
    settings: Mapping[str, Any]
    convert: Callable[[Path, Flow], Mapping[str, pd.DataFrame]]

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run from the command line; 0 when the cohort was written and is valid, else 1."""
        default = Path(os.environ.get("FUSION_DATA") or DEFAULT_DATA) / self.folder
        parser = argparse.ArgumentParser(description=f"Write the {self.name} cohort folder from its public tables.")
        parser.add_argument("--source", type=Path, default=default, help="folder with the public tables")
        parser.add_argument("--out", type=Path, default=Path("data") / self.name, help="cohort folder to write")
        chosen = parser.parse_args(arguments)
        missing = [name for name in self.files if not (chosen.source / name).is_file()]
        if missing:
            print(f"{chosen.source} lacks {', '.join(missing)}.\n{self.origin}", file=sys.stderr)
            print("Then give their folder as --source, or its parent as FUSION_DATA.", file=sys.stderr)
            return 1
        flow = Flow()
        try:
            cohort = self.write(chosen.source, chosen.out, flow)
        except CohortError as error:
            print(error, file=sys.stderr)
            return 1
        print(_summary(cohort, flow))
        return 0

    def write(self, source: Path, out: Path, flow: Flow) -> Cohort:
        """Convert, write the cohort folder and read it back through the same door as any cohort.

        Raises:
            CohortError: The cohort breaks the contract.
        """
        tables = self.convert(source, flow)
        out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_csv(out / name, index=False, sep="\t" if name.endswith(".maf") else ",", lineterminator="\n")
        settings = {"name": self.name, "schema": 1, **self.settings}
        (out / "cohort.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, width=100), encoding="utf-8")
        return read_cohort(out)


def samples_table(patients: "pd.Series[str]", modality: str, day: "pd.Series[float] | float" = 0.0) -> pd.DataFrame:
    """Rows of samples.csv, named after patient, modality and number within the patient."""
    table = pd.DataFrame({"patient_id": patients, "day": day}).sort_values(["patient_id", "day"], kind="stable")
    number = table.groupby("patient_id").cumcount().astype(str)
    table.insert(0, "sample_id", table["patient_id"] + f"-{modality}-" + number)
    return table.assign(modality=modality)


def _summary(cohort: Cohort, flow: Flow) -> str:
    lines = [f"{cohort.folder}: {cohort.num_patients} patients, {len(cohort.visits)} visits"]
    for endpoint in cohort.endpoints:
        known = cohort.outcomes[f"{endpoint}_event"].dropna()
        lines.append(f"  {endpoint}: {int(known.sum())} events in {len(known)} patients")
    if "response" in cohort.outcomes:
        response = cohort.outcomes["response"].value_counts().sort_index()
        lines.append("  response: " + ", ".join(f"{n} {name}" for name, n in response.items()))
    for assay, samples in cohort.samples.groupby("modality"):
        lines.append(f"  {assay}: {len(samples)} samples of {samples['patient_id'].nunique()} patients")
    lines.append("left out or changed:")
    lines += [f"  {count:6d}  {what}" for count, what in flow.lines]
    return "\n".join(lines)
