"""Which kind of data was there at which visit: the heat map of availability."""

from dataclasses import dataclass

from fusion.report.run_folder import Run

#: Later visits are few and alike: the first ones are shown.
MOST_VISITS = 12


@dataclass(frozen=True)
class Availability:
    """Patients with each kind of data at each visit.

    Attributes:
        visits: Name of each visit and the patients who have it.
        rows: Kind of data, and for every visit the number of patients and their share of those who have the visit.
        hidden: Visits beyond those shown.
    """

    visits: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]
    hidden: int


def availability(run: Run) -> Availability | None:
    """Counts of `qc.json`, or None where it has none."""
    patients = {int(visit): int(n) for visit, n in (run.qc.get("patients_by_visit") or {}).items()}
    counts = run.qc.get("availability")
    if not patients or not counts:
        return None
    shown = sorted(patients)[:MOST_VISITS]
    rows = []
    for name, by_visit in counts.items():
        numbers = [int(by_visit.get(str(visit), 0)) for visit in shown]
        cells = tuple((n, n / patients[visit]) for n, visit in zip(numbers, shown, strict=True))
        rows.append((str(name), cells))
    visits = tuple(("Baseline" if visit == 0 else f"Visit {visit}", patients[visit]) for visit in shown)
    return Availability(visits=visits, rows=tuple(rows), hidden=len(patients) - len(shown))
