"""Pretraining: whom a learner sees, what it leaves behind, and what it is good for."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from aids import WIDTHS, latent_state, make_batch, make_model, total_loss
from torch import Tensor, nn
from torch.nn import functional

from fusion.data.dataset import select_patients
from fusion.models.modality_outputs import pooled_tokens
from fusion.models.patient_model import PatientModel
from fusion.training.pretraining import base
from fusion.training.pretraining.alignment import Alignment, info_nce
from fusion.training.pretraining.base import NoPretraining, Pretraining, one_visit_each
from fusion.training.pretraining.reconstruction import Reconstruction, hide_one, mean_rows
from fusion.training.pretraining.single_modality import SingleModality
from fusion.types import Outcome, PatientBatch, Samples

every_kind = pytest.mark.parametrize("make", [SingleModality, Alignment, Reconstruction])


def pretrained(
    pretraining: Pretraining, batch: PatientBatch, seed: int = 5, learners: int = 2
) -> tuple[nn.ModuleList, list[list[float]]]:
    """Learners after pretraining, patient i in inner fold i mod 3: the patients of fold 2 no learner leaves out."""
    members = nn.ModuleList(make_model(member) for member in range(learners))
    inner_fold = torch.arange(batch.num_patients) % 3
    history = pretraining(members, batch, total_loss, inner_fold, seed=seed)
    return members, history


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def changed(batch: PatientBatch, patients: Tensor) -> PatientBatch:
    """The batch with other samples and outcomes of some patients."""
    samples = {}
    for name, s in batch.samples.items():
        mine = patients[s.slot // batch.num_visits][s.sample_of_row]
        samples[name] = replace(s, rows=torch.where(mine[:, None], 3.0 - 2.0 * s.rows, s.rows))
    target = batch.targets["os"]
    assert isinstance(target, Outcome)
    duration = torch.where(patients[:, None], target.duration.flip(0), target.duration)
    event = torch.where(patients[:, None], ~target.event, target.event)
    return replace(batch, samples=samples, targets={"os": replace(target, duration=duration, event=event)})


@every_kind
def test_a_learner_sees_nothing_of_the_patients_that_it_leaves_out(make: Callable[..., Pretraining]) -> None:
    batch = make_batch(30)
    before, _ = pretrained(make(epochs=3), batch)
    after, _ = pretrained(make(epochs=3), changed(batch, torch.arange(30) % 3 == 0))
    assert same(before[0], after[0])
    assert not same(before[1], after[1]), "else the test shows nothing"


@every_kind
def test_the_seed_alone_decides_and_the_generator_is_left_as_it_was(make: Callable[..., Pretraining]) -> None:
    batch = make_batch(20)
    first, history = pretrained(make(epochs=3), batch)
    torch.manual_seed(77)
    state = torch.get_rng_state()
    members = nn.ModuleList(make_model(member) for member in range(2))
    torch.set_rng_state(state)
    again = make(epochs=3)(members, batch, total_loss, torch.arange(20) % 3, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(first, members)
    assert again == history
    other, _ = pretrained(make(epochs=3), batch, seed=6)
    assert not same(first, other)


@every_kind
def test_learners_are_left_as_training_needs_them(make: Callable[..., Pretraining]) -> None:
    members, history = pretrained(make(epochs=2), make_batch(20))
    assert all(module.training for module in members.modules())
    assert all(p.grad is None for p in members.parameters())
    assert [len(losses) for losses in history] == [2, 2]
    assert all(torch.isfinite(p).all() for p in members.parameters())


@every_kind
def test_only_what_is_named_moves(make: Callable[..., Pretraining]) -> None:
    named = {SingleModality: {"encoders", "heads"}, Alignment: {"encoders"}}
    expected = named.get(make, {"encoders", "age", "fusion"})  # type: ignore[call-overload]
    members, _ = pretrained(make(epochs=3), make_batch(20))
    pairs = zip(make_model(0).named_parameters(), members[0].parameters(), strict=True)
    assert {name.partition(".")[0] for (name, fresh), now in pairs if not torch.equal(fresh, now)} == expected


def test_no_pretraining_leaves_the_learners_as_they_are_and_copies_no_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "select_patients", lambda *_: pytest.fail("patients were copied"))
    members, history = pretrained(NoPretraining(), make_batch(10))
    assert same(members[0], make_model(0))
    assert history == [[], []]


def test_what_assays_know_alike_does_not_count_several_times() -> None:
    batch, share = make_batch(150, complete=True), (torch.arange(150) % 3 != 0).float()
    members, _ = pretrained(SingleModality(), batch, learners=1)
    model = members[0].eval()
    with torch.no_grad():
        losses = [total_loss({"os": s * model(batch)["os"]}, batch, share) for s in (0.9, 1.0, 1.1)]
    assert min(losses) == losses[1]


@pytest.mark.parametrize("freeze", [True, False])
def test_frozen_encoders_do_not_move_in_a_step_of_training(freeze: bool) -> None:
    batch = make_batch(20)
    members, _ = pretrained(SingleModality(epochs=2, freeze=freeze), batch)
    before = copy.deepcopy(members)
    optimizer = torch.optim.AdamW(members.parameters(), lr=0.01, weight_decay=0.5)
    sum(total_loss(member(batch), batch, torch.ones(20)) for member in members).backward()
    optimizer.step()
    for old, new in zip(before, members, strict=True):
        assert same(old.encoders, new.encoders) == freeze
        assert not same(old.heads, new.heads)
        assert not same(old.fusion, new.fusion)


@pytest.mark.parametrize("lacking", [("c",), ("a", "b", "c")])
@every_kind
def test_assays_that_nobody_has_do_no_harm(make: Callable[..., Pretraining], lacking: tuple[str, ...]) -> None:
    members, _ = pretrained(make(epochs=2), make_batch(12, lacking=lacking))
    assert all(torch.isfinite(p).all() for p in members.parameters())


@pytest.mark.parametrize("make", [Alignment, Reconstruction])
def test_self_supervision_needs_no_outcome(make: Callable[..., Pretraining]) -> None:
    batch = make_batch(20)
    with_outcome, _ = pretrained(make(epochs=3), batch)
    without, _ = pretrained(make(epochs=3), replace(batch, targets={}))
    assert same(with_outcome, without)


def baseline_tokens(model: PatientModel, batch: PatientBatch) -> Tensor:
    """Pooled tokens of all modalities at baseline of patients who have all, "P N D"."""
    with torch.no_grad():
        pooled, seen = pooled_tokens(model.eval().place(batch), len(WIDTHS))
    first = batch.visit_mask.flatten().cumsum(0).view_as(batch.visit_mask)[:, 0] - 1
    return pooled[first][seen[first].all(dim=1)]


def test_each_encoder_alone_ranks_new_patients_after_single_modality_pretraining() -> None:
    members, history = pretrained(SingleModality(), make_batch(150), learners=1)
    assert history[0][-1] < history[0][0]
    new = make_batch(100, seed=1, complete=True)
    death = new.targets["os"].duration[:, 0].log()  # type: ignore[union-attr]

    def correlation(model: PatientModel, index: int) -> float:
        with torch.no_grad():
            risk_P = model.heads["os"](baseline_tokens(model, new)[:, index])[:, 0]
        return float(torch.corrcoef(torch.stack([risk_P, -death]))[0, 1])

    for index in range(len(WIDTHS)):
        assert correlation(members[0], index) > max(0.7, correlation(make_model(0), index)), index


def test_alignment_brings_the_assays_of_a_new_patient_together() -> None:
    def found(model: PatientModel) -> float:
        token_PND = functional.normalize(baseline_tokens(model, make_batch(60, seed=1, complete=True)), dim=-1)
        cosine = torch.einsum("pd,qd->pq", token_PND[:, 0], token_PND[:, 1])
        margin = cosine.diag().mean() - cosine.mean()
        return float(margin)

    members, history = pretrained(Alignment(), make_batch(120), learners=1)
    assert sum(history[0][-5:]) < 0.8 * sum(history[0][:5])
    assert found(members[0]) > found(make_model(0)) + 0.2


def test_reconstruction_turns_the_fused_visit_of_new_patients_to_what_assays_share() -> None:
    """Half of what an assay shows is shared by all, half is its own, which no other assay can predict."""
    new, state = make_batch(500, seed=1, private=1.0, complete=True), latent_state(500, seed=1)

    def shared(model: PatientModel) -> float:
        with torch.no_grad():
            fused_VD = model.eval().fusion(model.place(new))
        fused_PD = fused_VD[new.visit_mask.flatten().cumsum(0).view_as(new.visit_mask)[:, 0] - 1]
        fused_PD = fused_PD - fused_PD.mean(dim=0)
        explained_PD = state @ torch.linalg.lstsq(state, fused_PD).solution
        return float(explained_PD.square().sum() / fused_PD.square().sum())

    members, history = pretrained(Reconstruction(), make_batch(200, private=1.0), learners=1)
    assert history[0][0] == pytest.approx(1.0, abs=0.2), "at first nothing is known"
    assert sum(history[0][-5:]) < 0.8 * sum(history[0][:5])
    assert shared(members[0]) > shared(make_model(0)) + 0.15


def test_one_visit_each_is_a_real_one_of_every_patient() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, False], [False, False, False], [True, False, False], [True, True, True]])
    drawn = {tuple(one_visit_each(mask).tolist()) for _ in range(200)}
    assert drawn == {(a, 2, c) for a in (0, 1) for c in (3, 4, 5)}


def test_one_of_the_modalities_seen_is_hidden() -> None:
    torch.manual_seed(0)
    seen = torch.tensor([[True, True, False], [True, False, False], [True, True, True]])
    drawn = torch.stack([hide_one(seen) for _ in range(200)])
    assert set(drawn[:, 0].tolist()) == {0, 1}
    assert set(drawn[:, 1].tolist()) == {-1}
    assert set(drawn[:, 2].tolist()) == {0, 1, 2}


def test_mean_rows_of_sets_with_an_empty_sample_and_a_constant_column() -> None:
    rows = torch.tensor([[1.0, 5.0], [3.0, 5.0], [7.0, 5.0]])
    mean = mean_rows(Samples(rows, torch.tensor([0, 2, 2, 3]), torch.tensor([0, 1, 2])))
    raw = torch.tensor([2.0, 0.0, 7.0])
    torch.testing.assert_close(mean[:, 0], (raw - raw.mean()) / raw.std(correction=0))
    constant = mean_rows(Samples(rows, torch.arange(4), torch.arange(3)))[:, 1]
    assert torch.equal(constant, torch.zeros(3))
    assert mean_rows(Samples(rows[:0], torch.zeros(1, dtype=torch.long), torch.zeros(0, dtype=torch.long))).numel() == 0


def test_info_nce_as_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    cosine = [[float(functional.cosine_similarity(a, b, dim=0)) / 0.5 for b in second] for a in first]
    table = torch.tensor(cosine).exp()
    rows, columns = table.diag() / table.sum(dim=1), table.diag() / table.sum(dim=0)
    expected = -(rows.log().mean() + columns.log().mean()) / 2
    torch.testing.assert_close(info_nce(first, second, 0.5), expected)


def test_a_model_of_one_assay_has_nothing_to_align_or_reconstruct() -> None:
    batch = select_patients(make_batch(10), torch.arange(10))
    alone = make_model()
    alone.modalities = ("a",)
    before = copy.deepcopy(alone)
    for pretraining in (Alignment(), Reconstruction()):
        pretraining(nn.ModuleList([alone]), batch, total_loss, torch.ones(10, dtype=torch.long), seed=0)
    assert same(before, alone)
