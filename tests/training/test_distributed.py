"""Several processes that share the patients of a fit end where one process does."""

import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from folds import fit, recipe_for
from test_resume import FirstEpoch, Stop

from fusion.data.cohort import Cohort
from fusion.data.dataset import load_assays, pack_cohort
from fusion.data.modalities.base import Modality
from fusion.models.patient_model import PatientModel
from fusion.training.fold import Recipe
from fusion.training.shares import deal_patients, share_out

WORDS = ("modality=[clinical,plasma,histology]", "task=[os,pfs,response]", "loss@tasks.pfs.loss=logistic_hazard")

OFTEN = ("trainer.checkpoint_seconds=0", "trainer.lightning.check_val_every_n_epoch=2")


def still(recipe: Recipe) -> Recipe:
    """The recipe without dropout, whose draws are of each rank, and with steps that are as close as their gradients."""

    def make_member(modalities: Mapping[str, Modality], num_outputs: Mapping[str, int]) -> PatientModel:
        member = recipe.make_member(modalities, num_outputs)
        for layer in member.modules():
            for rate in ("p", "share", "dropout", "feature_dropout", "patch_dropout"):
                if isinstance(getattr(layer, rate, None), float):
                    setattr(layer, rate, 0.0)
        return member

    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.5)
    return replace(recipe, make_member=make_member, optimizer=optimizer)


def recipe_of(cohort: Cohort, *words: str) -> Recipe:
    return still(recipe_for(cohort, *WORDS, "model.modality_dropout.rate=0", *words))


def assert_alike(one: Path, other: Path) -> None:
    """Weights of the learners, their averages, the best epochs and what was logged agree to 1e-5."""
    for name in ("best.ckpt", "last.ckpt"):
        mine, theirs = (torch.load(folder / name, weights_only=True)["state_dict"] for folder in (one, other))
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    epochs, others = pd.read_csv(one / "metrics.csv"), pd.read_csv(other / "metrics.csv")
    pd.testing.assert_frame_equal(epochs, others, check_like=True, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def plain(tiny_cohort: Cohort) -> Recipe:
    """Cox, discrete hazards and response over all patients at once."""
    return recipe_of(tiny_cohort, *OFTEN)


@pytest.fixture(scope="module")
def straight(plain: Recipe, tiny_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fold as one process fits it."""
    folder = tmp_path_factory.mktemp("straight")
    fit(tiny_cohort, folder, plain)
    return folder


def test_two_ranks_take_the_steps_of_one_process(straight: Path, tiny_cohort: Cohort, tmp_path: Path):
    fit(tiny_cohort, tmp_path, recipe_of(tiny_cohort, "trainer=ddp", *OFTEN))
    assert_alike(straight, tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {path.name for path in straight.iterdir()}, "the other rank leaves nothing behind"


def test_in_batches_with_weights_of_tasks_and_losses_of_modalities(tiny_cohort: Cohort, tmp_path: Path):
    words = [
        "trainer.batch_size=5",
        "task_weights=uncertainty",
        "model.auxiliary=0.5",
    ]  # batches that a rank has none of
    recipe = recipe_of(tiny_cohort, *words, "trainer.lightning.max_epochs=2")
    fit(tiny_cohort, tmp_path / "one", recipe)
    fit(tiny_cohort, tmp_path / "two", replace(recipe, ranks=2))
    assert_alike(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_fit_is_taken_up_by_more_or_fewer_ranks(
    first: int, then: int, plain: Recipe, straight: Path, tiny_cohort: Cohort, tmp_path: Path
):
    with pytest.raises(RuntimeError, match="power cut"):
        fit(tiny_cohort, tmp_path, replace(plain, ranks=first), callbacks=[Stop(3, RuntimeError("power cut"))])
    began = FirstEpoch()
    fit(tiny_cohort, tmp_path, replace(plain, ranks=then), callbacks=[began])
    assert began.epoch == 2, "from the checkpoint, not from the start"
    assert_alike(straight, tmp_path)


def broken_in_others(make_trainer: Callable[..., pl.Trainer], **given: object) -> pl.Trainer:
    if multiprocessing.parent_process() is not None:
        raise OSError("no trainer here")
    return make_trainer(**given)


def test_a_rank_that_fails_is_named(tiny_cohort: Cohort, tmp_path: Path):
    recipe = recipe_of(tiny_cohort)
    recipe = replace(recipe, ranks=2, make_trainer=partial(broken_in_others, recipe.make_trainer))
    with pytest.raises(RuntimeError, match="rank 1 of the training failed"):
        fit(tiny_cohort, tmp_path, recipe)


def test_what_several_ranks_cannot_do_is_refused(tiny_cohort: Cohort, tmp_path: Path):
    with pytest.raises(ValueError, match=r"model.mixup=0"):
        fit(tiny_cohort, tmp_path, replace(recipe_of(tiny_cohort, "model.mixup=0.2"), ranks=2))
    words = ["trainer.lightning.accelerator=cpu", "trainer.lightning.devices=2"]
    with pytest.raises(ValueError, match=r"trainer=ddp trainer.ranks=2"):
        fit(tiny_cohort, tmp_path, recipe_of(tiny_cohort, *words))


@pytest.mark.parametrize("ranks", [2, 3, 30])
def test_every_patient_has_one_rank_and_ranks_have_alike_many_rows(ranks: int, tiny_cohort: Cohort):
    assays = load_assays(tiny_cohort, recipe_of(tiny_cohort).make_modalities())
    for assay in assays.values():
        assay.modality.fit(assay.table, list(assay.modality.placement(tiny_cohort)["sample_id"]))
    batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, ("os",))
    shares = share_out(batch, ranks)
    held = [patient for share in shares for patient in share.mine.patient_ids]
    assert sorted(held) == sorted(batch.patient_ids)
    assert all(share.mine.patient_ids == tuple(batch.patient_ids[i] for i in share.place) for share in shares)
    rows = [sum(len(samples.rows) for samples in share.mine.samples.values()) for share in shares]
    if ranks < 4:
        assert max(rows) < 1.2 * min(rows)
    assert torch.equal(deal_patients(batch, 1), torch.zeros(batch.num_patients, dtype=torch.long))
    some = torch.tensor([7, 3, 20])
    picked = [share.pick(some) for share in shares]
    assert all(share.everyone.patient_ids == tuple(batch.patient_ids[i] for i in some) for share in picked)
    assert sorted(p for share in picked for p in share.mine.patient_ids) == sorted(picked[0].everyone.patient_ids)
