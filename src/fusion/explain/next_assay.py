"""What a missing assay would be worth: how far the prediction would be expected to move if it were measured.

Nobody knows what would be found. So the assay is taken, one at a time, from training patients whom the model, not
looking at that assay, sees much alike, and the model says what it would say. How far these answers lie from the
present one, and from one another, is what may be expected of the assay. `reveal` checks this where the assay is there:
hidden first, foretold, then shown.

All at the first visit. Dimension key: B patients, D donors, J training patients who have the assay.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from fusion.explain.pool import HIDDEN, Part
from fusion.explain.score import Answer
from fusion.explain.view import FoldView

#: Fewer donors than this tell nothing.
FEWEST_DONORS = 5


@dataclass(frozen=True)
class Foretold:
    """Answers of some patients with the assay hidden, and with that of each of their donors, at the first visit.

    Attributes:
        score: Score without the assay, "B".
        chance: Chance without it, "B".
        donor_score: With each donor's, "B D".
        donor_chance: With each donor's, "B D".
    """

    score: Float[Tensor, " B"]
    chance: Float[Tensor, " B"]
    donor_score: Float[Tensor, "B D"]
    donor_chance: Float[Tensor, "B D"]


def nearest(score: Float[Tensor, " B"], others: Float[Tensor, " J"], count: int) -> Int[Tensor, "B D"]:
    """Places of the `count` others whose score is most alike.

    >>> nearest(torch.tensor([0.1]), torch.tensor([5.0, 0.0, 1.0]), 2)
    tensor([[1, 2]])
    """
    return (score[:, None] - others[None]).abs().argsort(dim=1, stable=True)[:, :count]


def _first_visit(recipient: Int[Tensor, " N"], source: Mapping[str, Int[Tensor, " N"]]) -> Part:
    return Part(recipient=recipient, source=source, visits=torch.ones_like(recipient))


def foretell(
    view: FoldView, name: str, patients: Int[Tensor, " B"], horizon: float, donors: int
) -> dict[str, Foretold]:
    """What the model would say of patients if one assay were measured, by task; empty where there are too few donors.

    Args:
        view: The fold.
        name: The assay.
        patients: Places of patients; what they have of the assay is not looked at.
        horizon: Days after the visit at which survival is read.
        donors: Training patients that each is given the assay of.
    """
    has = (view.pool.sample_of[name][:, 0] >= 0) & (torch.arange(view.batch.num_patients) >= len(view.held_out))
    pool_J = has.nonzero().squeeze(1)
    if len(pool_J) < FEWEST_DONORS or not len(patients):
        return {}
    num_donors = min(donors, len(pool_J))
    asked = torch.cat([patients, pool_J])
    without = view.pool.answers(_first_visit(asked, {name: torch.full_like(asked, HIDDEN)}), horizon)
    found = {}
    for task, answer in without.items():
        score, chance = answer.score[:, 0], answer.chance[:, 0]
        chosen_BD = pool_J[nearest(score[: len(patients)], score[len(patients) :], num_donors)]
        part = _first_visit(patients.repeat_interleave(num_donors), {name: chosen_BD.flatten()})
        given: Answer = view.pool.answers(part, horizon)[task]
        found[task] = Foretold(
            score=score[: len(patients)].double(),
            chance=chance[: len(patients)].double(),
            donor_score=given.score[:, 0].double().view(-1, num_donors),
            donor_chance=given.chance[:, 0].double().view(-1, num_donors),
        )
    return found


def next_assay(view: FoldView, horizon: float, donors: int) -> pd.DataFrame:
    """For every held-out patient and assay that is not there at the first visit, what it would be expected to do.

    Columns: `patient_id, task, modality`; `move`, the expected absolute change of the score; `move_chance`, that of
    the chance (survival at the horizon, or response); `low`, `high`, within which four of five donors put the chance;
    `sharpening`, by how much the expected squared error of the chance would fall (the variance of the donors'
    chances); `group_change`, the share of donors who move the patient to another risk group.
    """
    frames = []
    for name in view.pool.modalities:
        lacking = view.patients[view.pool.sample_of[name][view.patients, 0] < 0]
        for task, found in foretell(view, name, lacking, horizon, donors).items():
            frames.append(_table(view, name, task, lacking, found))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


#: Columns of the table of patients.
COLUMNS = (
    "patient_id", "task", "modality", "score", "chance", "move", "move_chance", "low", "high", "sharpening",
    "group_change",
)  # fmt: skip


def _table(view: FoldView, name: str, task: str, patients: Tensor, found: Foretold) -> pd.DataFrame:
    ids = [view.batch.patient_ids[i] for i in patients.tolist()]
    changed = _changed(view, task, found.score, found.donor_score).mean(dim=1)
    low, high = torch.quantile(found.donor_chance, torch.tensor([0.1, 0.9], dtype=torch.float64), dim=1)
    columns = {
        "score": found.score,
        "chance": found.chance,
        "move": (found.donor_score - found.score[:, None]).abs().mean(dim=1),
        "move_chance": (found.donor_chance - found.chance[:, None]).abs().mean(dim=1),
        "low": low,
        "high": high,
        "sharpening": found.donor_chance.var(dim=1, correction=0),
        "group_change": changed,
    }
    return pd.DataFrame(
        {"patient_id": ids, "task": task, "modality": name, **{k: v.numpy() for k, v in columns.items()}}
    )


def _changed(view: FoldView, task: str, score: Float[Tensor, " B"], other: Float[Tensor, "B D"]) -> Tensor:
    """1 where another score lies in another risk group, "B D"; blank for a task without groups."""
    cuts = torch.tensor(list(view.fitted.cuts.get(task, ())), dtype=torch.float64)
    if not len(cuts):
        return torch.full_like(other, torch.nan)
    return (torch.searchsorted(cuts, score)[:, None] != torch.searchsorted(cuts, other)).double()


def reveal(view: FoldView, horizon: float, donors: int) -> pd.DataFrame:
    """The check: for patients who have the assay, the movement foretold from donors beside that when it is shown.

    Columns: `patient_id, task, modality, expected, actual` (absolute changes of the score), `expected_chance`,
    `actual_chance`, and `expected_group`, `actual_group`: the share of donors who move the patient to another risk
    group, and whether the patient's own assay does.
    """
    own = view.pool.answers(_first_visit(view.patients, {}), horizon)
    frames = []
    for name in view.pool.modalities:
        has = view.patients[view.pool.sample_of[name][view.patients, 0] >= 0]
        for task, found in foretell(view, name, has, horizon, donors).items():
            shown = own[task]
            own_score = shown.score[has, 0].double()[:, None]
            frames.append(
                pd.DataFrame(
                    {
                        "patient_id": [view.batch.patient_ids[i] for i in has.tolist()],
                        "task": task,
                        "modality": name,
                        "expected": (found.donor_score - found.score[:, None]).abs().mean(dim=1).numpy(),
                        "actual": (shown.score[has, 0].double() - found.score).abs().numpy(),
                        "expected_chance": (found.donor_chance - found.chance[:, None]).abs().mean(dim=1).numpy(),
                        "actual_chance": (shown.chance[has, 0].double() - found.chance).abs().numpy(),
                        "expected_group": _changed(view, task, found.score, found.donor_score).mean(dim=1).numpy(),
                        "actual_group": _changed(view, task, found.score, own_score)[:, 0].numpy(),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def assay_table(lacking: pd.DataFrame, shown: pd.DataFrame) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Figures by task and assay: what it would do where it lacks, and how well that is foretold where it is there."""
    result: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for (task, name), rows in shown.groupby(["task", "modality"]) if len(shown) else ():
        mine = lacking[(lacking["task"] == task) & (lacking["modality"] == name)]
        means = {key: _mean(mine[key]) for key in ("move", "move_chance", "sharpening", "group_change")}
        result.setdefault(str(task), {})[str(name)] = {
            "patients_lacking": int(mine["patient_id"].nunique()),
            **means,
            "patients_revealed": int(rows["patient_id"].nunique()),
            "expected": _mean(rows["expected"]),
            "actual": _mean(rows["actual"]),
            "ratio": _mean(rows["actual"] / rows["expected"].mean()),
            "rank_correlation": _rank_correlation(rows["expected"], rows["actual"]),
            "rank_correlation_chance": _rank_correlation(rows["expected_chance"], rows["actual_chance"]),
            "expected_group": _mean(rows["expected_group"]),
            "actual_group": _mean(rows["actual_group"]),
            "group_auroc": _auroc(rows["actual_group"], rows["expected_group"]),
        }
    return result


def _mean(values: "pd.Series[float]") -> float | None:
    value = float(values.mean()) if len(values) else float("nan")
    return value if np.isfinite(value) else None


def _auroc(happened: "pd.Series[float]", foretold: "pd.Series[float]") -> float | None:
    """How well a forecast tells those whom it happened to from the others; ties count one half."""
    true = happened == 1
    if happened.isna().any() or not 0 < true.sum() < len(true):
        return None
    ranks, hits = foretold.rank(), int(true.sum())
    return float((ranks[true].sum() - hits * (hits + 1) / 2) / (hits * (len(true) - hits)))


def _rank_correlation(first: "pd.Series[float]", second: "pd.Series[float]") -> float | None:
    if len(first) < 3 or first.nunique() < 2 or second.nunique() < 2:
        return None
    return float(np.corrcoef(first.rank(), second.rank())[0, 1])
