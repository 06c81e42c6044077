"""The guides keep their word: the code and the tables that they show work as they stand."""

import json
import re
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny import write_tiny_cohort

from fusion.data.modalities.base import FittedState
from fusion.data.read import read_cohort

HOWTO = Path(__file__).parents[1] / "docs" / "howto"


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of a guide in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (HOWTO / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def test_cohort_of_the_guide_is_valid(tmp_path: Path):
    (settings,) = blocks("your_cohort.md", "yaml")
    (tmp_path / "cohort.yaml").write_text(settings)
    starts = {"patients": "patient_id,site", "outcomes": "patient_id,os_days", "samples": "sample_id,patient_id"}
    for stem, start in starts.items():
        (text,) = [block for block in blocks("your_cohort.md", "csv") if block.startswith(start)]
        (tmp_path / f"{stem}.csv").write_text(text)
    maf = "Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\nTP53\tMissense_Mutation\tP001_maf\n"
    (tmp_path / "variants.maf").write_text(maf)
    (tmp_path / "expression.tsv").write_text("gene\tP001_rna\nASCL1\t7\nYAP1\t2\n")
    (tmp_path / "plasma.csv").write_text("sample_id,tumor_fraction\nP001_pl0,.2\nP001_pl1,.05\n")
    cohort = read_cohort(tmp_path)
    assert cohort.endpoints == ("os", "pfs")
    assert cohort.samples["visit"].to_dict() == {"P001_pl0": 0, "P001_maf": 0, "P001_rna": 1, "P001_pl1": 2}
    assert cohort.visits.query("patient_id == 'P001'")["day"].tolist() == [5.0, 9.0, 25.0]


@pytest.fixture
def tcr() -> types.ModuleType:
    (source,) = blocks("add_modality.md", "python")
    module = types.ModuleType("tcr")
    exec(source, module.__dict__)
    return module


def test_modality_of_the_guide_keeps_the_contract(tmp_path: Path, tcr: types.ModuleType):
    cohort_folder = write_tiny_cohort(tmp_path, patients=6)
    clones = pd.DataFrame(
        {"sample_id": ["a", "a", "b", "c", "c", "c"], "cdr3": list("UVWXYZ"), "count": [9, 1, 5, 1, 1, 1]}
    )
    clones.to_csv(cohort_folder / "tcr.csv", index=False)
    modality = tcr.TcrRepertoire()
    table = modality.load(types.SimpleNamespace(folder=cohort_folder))
    assert table.loc["b"].tolist() == [0.0, 1.0, 1.0]
    np.testing.assert_allclose(table.loc["c"], [np.log(3), 0.0, 1 / 3], atol=1e-12)

    modality.fit(table, ["a", "b"])
    state = modality.state()
    stored = FittedState(values=json.loads(json.dumps(state.values)), arrays=state.arrays)
    changed = table.copy()
    changed.loc["c"] = 99.0
    modality.fit(changed, ["b", "a"])
    assert all(np.array_equal(modality.state().arrays[key], array) for key, array in state.arrays.items())

    other = tcr.TcrRepertoire()
    other.restore(stored)
    rows = other.transform(table, ["c", "a"]).rows
    np.testing.assert_array_equal(rows, modality.transform(table, ["a", "c"]).rows[::-1])
    assert rows.shape == (2, modality.num_features)
    assert np.isfinite(rows).all()


def test_yaml_of_the_guide_names_the_class_of_the_guide(tcr: types.ModuleType):
    (text,) = blocks("add_modality.md", "yaml")
    target = yaml.safe_load(text)["modalities"]["tcr"]["_target_"]
    assert hasattr(tcr, target.rpartition(".")[2])
