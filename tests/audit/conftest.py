"""One simulated cohort and one honest run on it, made once for all tests of the audit; no test changes them."""

from pathlib import Path

import pytest
from composed import called

from fusion.audit import Study
from fusion.data.simulator import simulate_cohort
from fusion.run.audit import open_study

OVERRIDES = (
    "data=cohort",
    "modality=[clinical,variants,plasma,labs,lesions]",
    "task=[os,pfs,progression,response]",
    "baselines=core",
    "split.folds=2",
    "split.repeats=1",
    "members=2",
    "workers=1",
    # one plain model beside the network: many would make every refit slow
    "anchor=none",
    "+anchor.models.one={_target_:fusion.training.anchor.AnchorModel,model:{_target_:fusion.baselines.cox.CoxAll},first:0.2,later:0.1}",
    "trainer=quiet",
    "trainer.lightning.max_epochs=12",
    "evaluation.resamples=50",
    "final_model=false",
    "evaluation.report=false",
)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort folder."""
    folder = tmp_path_factory.mktemp("audit") / "cohort"
    simulate_cohort(out=folder, preset="strong", patients=70, seed=3, patch_dim=8)
    return folder


@pytest.fixture(scope="session")
def honest_run(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    folder = tmp_path_factory.mktemp("audit") / "run"
    assert called("train", *OVERRIDES, f"data.path={simulated}", f"hydra.run.dir={folder}") == 0
    return folder


@pytest.fixture(scope="session")
def study(honest_run: Path) -> Study:
    """The honest run, opened."""
    return open_study(honest_run)
