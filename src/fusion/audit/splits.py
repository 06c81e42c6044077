"""Who was trained on and who was held out: parts are disjoint, sites are whole, inner folds lie inside."""

from collections.abc import Mapping

import pandas as pd

from fusion.audit.finding import Finding, judged

KEYS = ["repeat", "fold"]


def parts_are_disjoint(splits: pd.DataFrame, predictions: pd.DataFrame) -> Finding:
    """No patient in two parts of a fold, none held out twice in a repeat, none predicted but held-out ones.

    Args:
        splits: `splits.csv` of the run.
        predictions: `predictions.parquet` of the run.
    """
    faults = []
    parts = splits.groupby([*KEYS, "patient_id"])["part"].nunique()
    for (repeat, fold), twice in parts[parts > 1].groupby(level=KEYS):
        faults.append(f"repeat {repeat}, fold {fold}: {len(twice)} patients are in two parts")
    test = splits.loc[splits["part"] == "test", [*KEYS, "patient_id"]].drop_duplicates()
    held_out = test.groupby(["repeat", "patient_id"]).size()
    for repeat, often in held_out[held_out > 1].groupby(level="repeat"):
        faults.append(f"repeat {repeat}: {len(often)} patients are held out by more than one fold")
    predicted = predictions[[*KEYS, "patient_id"]].drop_duplicates()
    joined = predicted.merge(test.assign(held_out=True), how="left", on=[*KEYS, "patient_id"])
    for (repeat, fold), strangers in joined[joined["held_out"].isna()].groupby(KEYS):
        faults.append(f"repeat {repeat}, fold {fold}: {len(strangers)} predicted patients are not of its test part")
    folds, patients = len(splits[KEYS].drop_duplicates()), splits["patient_id"].nunique()
    return judged(
        "Train, validation and test part share no patient",
        faults,
        f"{patients} patients in {folds} folds; each is held out at most once per repeat",
        "split by patient again and train anew: a model has seen patients that it is scored on",
    )


def sites_are_whole(splits: pd.DataFrame, site: Mapping[str, str] | None) -> Finding:
    """Rule 12: under the site-held-out protocol no site is on both sides.

    Args:
        splits: `splits.csv` of the run.
        site: Site by patient where sites were to be held out; None under any other protocol.
    """
    rule = "Rule 12: no site is both trained on and held out"
    if site is None:
        return Finding(rule, "not applicable", "the run does not hold out sites")
    sites = splits.assign(site=splits["patient_id"].map(site), held_out=splits["part"] == "test")
    sides = sites.groupby([*KEYS, "site"])["held_out"].nunique()
    both = sides[sides > 1].reset_index()
    return judged(
        rule,
        [f"repeat {row.repeat}, fold {row.fold}: site {row.site} is on both sides" for row in both.itertuples()],
        f"{sites['site'].nunique()} sites, each on one side of every fold",
        "use split=site, or correct the sites of patients.csv, and train anew",
    )


def inner_folds_lie_inside(splits: pd.DataFrame, inner: Mapping[tuple[int, int], Mapping[str, int]]) -> Finding:
    """Rule 9, first half: those who chose the epoch, the scale and the cuts are training patients.

    Args:
        splits: `splits.csv` of the run.
        inner: Inner fold of each patient, by repeat and fold, as the folds were saved.
    """
    faults = []
    for (repeat, fold), rows in splits.groupby(KEYS):
        test = set(rows.loc[rows["part"] == "test", "patient_id"])
        inside = test & set(inner.get((int(repeat), int(fold)), {}))
        if inside:
            faults.append(f"repeat {repeat}, fold {fold}: {len(inside)} test patients are in inner folds")
    chosen = sum(len(patients) for patients in inner.values())
    return judged(
        "Rule 9: inner folds hold training patients only",
        faults,
        f"{chosen} patients in the inner folds of {len(inner)} folds, none of them of the test part",
        "deal inner folds from the training part alone and train anew",
    )
