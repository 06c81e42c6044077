"""What an elastic-net Cox gains by the details of the assays: products, shares of kinds of patches, regrowth of ctDNA.

    python benchmarks/detail.py [preset=nonlinear] [patients=480] [seeds=0,1,2,3,4] [out=FILE]

The plain models inside the answer see these columns (`Modality.detail`), those that it is compared with do not; this
says how much of a difference they make by themselves. Overall survival at the first visit, day 42 and day 84, 5 folds.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from _runs import ROOT, markdown
from _timing import write

from fusion.baselines.base import elapsed_days
from fusion.baselines.elastic_net import ElasticNetCox
from fusion.baselines.landmark import last_rows
from fusion.data.dataset import fit_assays, load_assays
from fusion.data.modalities.clinical import Clinical
from fusion.data.modalities.expression import Expression
from fusion.data.modalities.histology import Histology
from fusion.data.modalities.labs import Labs
from fusion.data.modalities.methylation import Methylation
from fusion.data.modalities.plasma import Plasma
from fusion.data.modalities.variants import Variants
from fusion.data.read import read_cohort
from fusion.data.simulator import simulate_cohort
from fusion.data.splits import StratifiedKFold
from fusion.data.visit_table import build_visit_table
from fusion.metrics import concordance_index
from fusion.types import VisitTable

DAYS = (0.0, 42.0, 84.0)
SHARES, PRODUCTS = ("histology in detail",), ("expression in detail", "methylation in detail")
REGROWTH = ("plasma in detail",)
ARMS = {
    "summary": (),
    "and shares": SHARES,
    "and products": PRODUCTS,
    "and regrowth": REGROWTH,
    "and all": (*SHARES, *PRODUCTS, *REGROWTH),
}


def folds(folder: Path) -> Iterator[tuple[VisitTable, frozenset[str]]]:
    """The table of everybody as each fold learned to make it, and who is held out."""
    cohort = read_cohort(folder)
    for split in StratifiedKFold(folds=5, repeats=1, seed=0)(cohort):
        modalities = [
            *(Clinical(), Variants(keep_other_genes=False, max_genes=50), Expression(), Methylation(specimen="tissue")),
            *(Histology(), Plasma(), Labs()),
        ]
        assays = load_assays(cohort, {each.name: each for each in modalities})
        fit_assays(cohort, assays, [*split.train, *split.val])
        pairs = [(assay.modality, assay.table) for assay in assays.values()]
        yield build_visit_table(cohort, pairs, cohort.patient_ids, ["os"], detail=True), frozenset(split.test)


def scores(table: VisitTable, held_out: frozenset[str], day: float) -> dict[str, float]:
    """C-index of held-out patients who reached the day, by what the model is shown."""
    outcome, elapsed = table.outcomes["os"], elapsed_days(table)
    end = elapsed + outcome.duration
    rows = last_rows(table, elapsed, day)
    rows = rows[outcome.at_risk[rows] & (end[rows] > day)]
    out = np.isin(table.patient_ids[rows], list(held_out))
    found = {}
    for arm, shown in ARMS.items():
        columns = [i for i, block in enumerate(table.modality) if "in detail" not in block or block in shown]
        blocks = [table.modality[column] for column in columns]
        values, left, event = table.features[rows][:, columns], end[rows] - day, outcome.event[rows]
        model = ElasticNetCox(l1_ratio=0.5).fit(values[~out], blocks, left[~out], event[~out])
        found[arm] = concordance_index(model.log_hazard(values[out]), left[out], event[out])
    return found


def main(words: Sequence[str]) -> None:
    given = dict(word.split("=", 1) for word in words)
    preset, patients = given.get("preset", "nonlinear"), int(given.get("patients", "480"))
    found = []
    for seed in map(int, given.get("seeds", "0,1,2,3,4").split(",")):
        with tempfile.TemporaryDirectory() as place:
            simulate_cohort(out=Path(place) / "cohort", preset=preset, patients=patients, seed=seed)
            for table, held_out in folds(Path(place) / "cohort"):
                found += [{"seed": seed, "day": day, **scores(table, held_out, day)} for day in DAYS]
        print(f"seed {seed}", flush=True)
    by_seed = pd.DataFrame(found).groupby(["day", "seed"]).mean()
    rows = []
    for day, of_day in by_seed.groupby(level="day"):
        for arm in ARMS:
            away = of_day[arm] - of_day["summary"]
            error = f" ({away.std() / len(away) ** 0.5:.3f})" if len(away) > 1 else ""
            gain = "" if arm == "summary" else f"{away.mean():+.3f}{error}"
            rows.append({"day": f"{day:.0f}", "shown": arm, "C-index": f"{of_day[arm].mean():.3f}", "gain (SE)": gain})
    print(f"{preset}, {patients} patients, {by_seed.index.get_level_values('seed').nunique()} seeds\n{markdown(rows)}")
    out = Path(given.get("out", ROOT / "runs" / "bench" / f"detail_{preset}_{patients}.json"))
    write(out, rows=rows)


if __name__ == "__main__":
    main(sys.argv[1:])
