"""`predict`: apply a run to another cohort."""

import json
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from fusion.build import build_recipe, fold_recipe, plain
from fusion.data.dataset import load_tables
from fusion.run.cohorts import open_cohort
from fusion.run.console import console
from fusion.run.folder import config_of
from fusion.run.locked_model import read_card
from fusion.run.predict_json import as_json
from fusion.training.checkpoint import write_json
from fusion.training.fold import load_fold


def predict(config: DictConfig) -> int:
    """Apply the final model of a run, or the mean of its folds, to another cohort; says what that cohort lacks."""
    wanted = plain(config)
    folder, out = Path(wanted["run"]), Path(wanted["out"])
    values = config_of(folder)
    places = _fitted_models(folder, of_folds=wanted["folds"])
    card = read_card(folder / "final_model") if places[0].name == "final_model" else None
    recipe = build_recipe(values)
    cohort = open_cohort({**values["data"], "path": wanted["data"]["path"], "simulate_if_absent": False})
    tables = load_tables(cohort, recipe.make_modalities())
    if all(table is None for table in tables.values()):
        raise ValueError(f"{cohort.folder} has no sample of any modality of the run: {', '.join(tables)}")
    frames = []
    missing: dict[str, set[str]] = {name: set() for name in tables}
    for place in places:
        fitted = load_fold(place, fold_recipe(values, place))
        for name, modality in fitted.modalities.items():
            if tables[name] is not None:
                missing[name].update(modality.missing_features(tables[name]))
        frames.append(fitted.predict(cohort, tables, cohort.patient_ids, recipe.times))
    for name, features in missing.items():
        if tables[name] is None:
            console.print(f"modality {name}: no sample in this cohort; predicted without it")
        elif features:
            shown = f"{', '.join(sorted(features)[:5])}{', ...' if len(features) > 5 else ''}"
            console.print(f"modality {name}: {len(features)} features not in this cohort, left neutral: {shown}")
    rows = _averaged(frames)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".json":
        commit = (json.loads((folder / "manifest.json").read_text(encoding="utf-8")).get("git") or {}).get("commit")
        facts = {"run": values["name"], "commit": commit, "files_sha256": card["files_sha256"] if card else None}
        write_json(out, as_json(rows, facts))
    else:
        rows.to_parquet(out, index=False)
    which = f"{len(places)} folds" if len(places) > 1 else places[0].name
    console.print(f"wrote {out}: {cohort.num_patients} patients, {which} of {values['members']} models")
    if wanted.get("pages"):
        from fusion.run.monitor import monitor_new  # matplotlib takes a second to import

        console.print(f"patients: {monitor_new(folder, cohort, rows, Path(wanted['pages']))}", markup=False)
    return 0


def _fitted_models(folder: Path, *, of_folds: bool) -> list[Path]:
    """The final model, or every fold where that was asked for or there is no final model."""
    final = folder / "final_model"
    if not of_folds and (final / "model.safetensors").is_file():
        return [final]
    folds = sorted(path.parent for path in folder.glob("fold_*/model.safetensors"))
    if not folds:
        raise ValueError(f"{folder} holds no fitted model (final_model/ or fold_*/model.safetensors)")
    return folds


def _averaged(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean risk, curve and probability over folds, whose models saw different patients; risk group by majority.

    Of what members say at the least and at the most, the least and the most over folds.
    """
    first = frames[0].copy()
    for column in first:
        if column == "risk_group":
            first[column] = pd.concat([frame[column] for frame in frames], axis=1).median(axis=1).round()
        elif column == "risk" or column.startswith(("survival_", "prob_", "incidence_")):
            first[column] = pd.concat([frame[column] for frame in frames], axis=1).mean(axis=1)
        elif column.startswith(("lowest_", "highest_")):
            values = pd.concat([frame[column] for frame in frames], axis=1)
            first[column] = values.min(axis=1) if column.startswith("lowest_") else values.max(axis=1)
    return first
