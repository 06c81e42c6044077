"""Training where every tensor says that it lies on a GPU: nothing is left behind on the CPU, and little is launched."""

from collections.abc import Callable

import pytest
import torch
from folds import recipe_for
from pretended import GPU, Pretended, moved, pretended_gpu
from torch import nn

from fusion.data.cohort import Cohort
from fusion.data.dataset import fit_assays, load_assays, pack_cohort, select_patients
from fusion.models.encoders.gated_attention import GatedAttentionEncoder
from fusion.models.encoders.latent_attention import LatentAttentionEncoder
from fusion.models.encoders.mil_transformer import MILTransformerEncoder
from fusion.models.patch_co_attention import PatchCoAttention
from fusion.training.module import EnsembleModule
from fusion.training.shares import share_out
from fusion.types import PatientBatch, Samples

ALL = "modality=[clinical,variants,expression,methylation,histology,plasma,labs]"


@pytest.fixture(scope="module")
def made(tiny_cohort: Cohort) -> tuple[Callable[[bool], EnsembleModule], PatientBatch]:
    recipe = recipe_for(tiny_cohort, ALL, "task=[os,response]", "members=5")
    assays = load_assays(tiny_cohort, recipe.make_modalities())
    fit_assays(tiny_cohort, assays, tiny_cohort.patient_ids)
    batch = pack_cohort(tiny_cohort, assays, tiny_cohort.patient_ids, ("os", "response"))

    def make(batched: bool) -> EnsembleModule:
        ensemble = recipe.make_ensemble({name: assay.modality for name, assay in assays.items()}, seed=0)
        ensemble.prepare(batch)
        inner = {patient: number % 5 for number, patient in enumerate(batch.patient_ids)}
        module = EnsembleModule(ensemble=ensemble, optimizer=recipe.optimizer, inner_fold=inner)
        module.batch_learners(batch, batched)
        return module.eval()  # without dropout, whose draws differ on a GPU

    return make, batch


def one_step(module: EnsembleModule, batch: PatientBatch, before: Callable[[], None] = lambda: None) -> torch.Tensor:
    """Two steps; returns the weights.

    Args:
        module: What is trained.
        batch: The patients.
        before: Called before the second step.
    """
    optimizer = module.configure_optimizers()
    module.training_step(batch, 0).backward()  # lays out what each member trains on
    optimizer.step()  # and what the optimizer remembers
    before()
    optimizer.zero_grad()
    module.training_step(batch, 0).backward()
    optimizer.step()
    return torch.cat([weight.detach().flatten() for weight in optimizer.param_groups[0]["params"]])


@pytest.mark.parametrize("batched", [True, False])
def test_a_step_leaves_nothing_on_the_cpu(
    batched: bool, made: tuple[Callable[[bool], EnsembleModule], PatientBatch]
) -> None:
    make, batch = made
    expected = one_step(make(batched), batch)
    module = make(batched)
    with pretended_gpu() as launches:
        near = batch.to("cuda")
        module._apply(lambda values: moved(values, GPU))
        found = one_step(module, near, launches.clear)
        number = launches.total()
        module.validate(near)
        some = select_patients(near, torch.tensor([3, 1, 7]))
        module.training_step(some, 0).backward()
    assert isinstance(found, Pretended)
    torch.testing.assert_close(found.inner, expected)
    assert number < (1_300 if batched else 4_300), launches.most_common(9)


def test_a_share_of_a_rank_is_picked_where_it_lies(
    made: tuple[Callable[[bool], EnsembleModule], PatientBatch],
) -> None:
    _, batch = made
    some = torch.tensor([3, 1, 7, 5])
    for share in share_out(batch, 2):
        expected = share.pick(some)
        with pretended_gpu():
            found = share.to("cuda").pick(some)
        assert found.mine.patient_ids == expected.mine.patient_ids
        assert torch.equal(found.place.inner, expected.place)  # type: ignore[attr-defined]


READERS: dict[str, Callable[[], nn.Module]] = {
    "co_attention": lambda: PatchCoAttention(num_features=12, dim=8),
    "latent_attention": lambda: LatentAttentionEncoder(num_features=12, dim=8),
    "gated_attention": lambda: GatedAttentionEncoder(num_features=12, dim=8),
    "mil_transformer": lambda: MILTransformerEncoder(num_features=12, dim=8),
}


@pytest.mark.parametrize("name", READERS)
def test_reading_bags_launches_as_much_for_many_as_for_few(name: str) -> None:
    """No loop over patients, and no more than the 200 launches a step that are the goal (two layers: some more)."""
    torch.manual_seed(0)
    reader, counts = READERS[name](), []
    for patients in (2, 32):
        offsets = 40 * torch.arange(patients + 1)
        samples = Samples(torch.randn(40 * patients, 12), offsets, torch.arange(patients))
        asked = (torch.randn(patients, 3, 8),) if name == "co_attention" else ()
        expected = reader.eval()(samples, *asked)
        with pretended_gpu() as launches:
            near = READERS[name]()
            near.load_state_dict(reader.state_dict())
            near._apply(lambda values: moved(values, GPU))
            optimizer = torch.optim.AdamW(near.parameters(), fused=True)
            given = [samples.to("cuda"), *(each.to("cuda") for each in asked)]
            found = near.eval()(*given)
            near.train()
            for _ in range(2):  # the first lays out what the optimizer remembers
                launches.clear()
                optimizer.zero_grad()
                near(*given).square().mean().backward()
                optimizer.step()
            counts.append(launches.total())
        torch.testing.assert_close(found.inner, expected, rtol=1e-4, atol=1e-5)
    assert counts[0] == counts[1] <= (240 if name == "mil_transformer" else 200), launches.most_common(9)
