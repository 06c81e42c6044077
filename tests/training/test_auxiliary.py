"""The loss of each modality alone: where it is asked, whom it reaches, and what for."""

import pytest
import torch
from aids import make_batch, make_model, total_loss
from torch.nn import functional

from fusion.training.asked import ask_only
from fusion.training.auxiliary import auxiliary_loss
from fusion.types import Outcome, PatientBatch, Response


def test_without_auxiliary_heads_there_are_none_and_the_model_says_so() -> None:
    with pytest.raises(ValueError, match="auxiliary_heads=True"):
        make_model().modality_outputs(make_batch(4))


def test_the_loss_is_the_mean_over_modalities_of_that_at_visits_which_have_seen_them() -> None:
    model, batch = make_model(auxiliary_heads=True).eval(), make_batch(30)
    everyone = torch.ones(30)
    alone = model.modality_outputs(batch)
    losses = []
    for name in model.modalities:
        target = batch.targets["os"]
        seen = Outcome(target.duration, target.event, target.at_risk & alone.seen[name])  # type: ignore[union-attr]
        restricted = PatientBatch(batch.patient_ids, batch.day, batch.visit_mask, {}, {"os": seen})
        losses.append(total_loss(alone.outputs[name], restricted, everyone))
    torch.testing.assert_close(auxiliary_loss(total_loss, alone, batch, everyone), torch.stack(losses).mean())


def test_tokens_at_hand_are_not_made_anew() -> None:
    model, batch = make_model(auxiliary_heads=True).eval(), make_batch(6)
    tokens = model.place(batch)
    assert torch.equal(model(batch, tokens=tokens)["os"], model(batch)["os"])
    again, alone = model.modality_outputs(batch), model.modality_outputs(batch, tokens=tokens)
    assert all(torch.equal(alone.outputs[name]["os"], again.outputs[name]["os"]) for name in model.modalities)


def test_it_reaches_every_encoder_and_nothing_of_fusion() -> None:
    model, batch = make_model(auxiliary_heads=True), make_batch(30)
    auxiliary_loss(total_loss, model.modality_outputs(batch), batch, torch.ones(30)).backward()
    for name in model.modalities:
        assert any(p.grad is not None and p.grad.any() for p in model.encoders[name].parameters()), name
        assert all(p.grad is not None for p in model.modality_heads[name].parameters()), name  # type: ignore[union-attr]
    untouched = [*model.fusion.parameters(), *model.temporal.parameters(), *model.heads.parameters()]
    assert all(p.grad is None for p in untouched)


def test_a_modality_that_nobody_has_adds_a_zero_and_no_bad_gradient() -> None:
    model, batch = make_model(auxiliary_heads=True), make_batch(10, lacking=("c",))
    alone = model.modality_outputs(batch)
    assert not alone.seen["c"].any()
    loss = auxiliary_loss(total_loss, alone, batch, torch.ones(10))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_it_keeps_a_slow_modality_learning_beside_a_fast_one() -> None:
    """Modality c tells what a does, on a scale a tenth as large: trained on the sum alone its encoder stays behind."""
    batch = make_batch(120, noise=0.05, scale={"c": 0.1}, complete=True)
    target = batch.targets["os"].duration[:, 0].log()  # type: ignore[union-attr]
    target = (target - target.mean()) / target.std()

    def squared(outputs, batch, share):  # type: ignore[no-untyped-def]
        return ((outputs["os"][:, 0, 0] - target) * share).square().mean()

    spread = {}
    for weight in (0.0, 1.0):
        model = make_model(auxiliary_heads=True)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(60):
            optimizer.zero_grad()
            tokens = model.place(batch)
            loss = squared(model(batch, tokens=tokens), batch, torch.ones(120))
            alone = model.modality_outputs(batch, tokens=tokens)
            (loss + weight * auxiliary_loss(squared, alone, batch, torch.ones(120))).backward()
            optimizer.step()
        with torch.no_grad():
            spread[weight] = float(model.eval().encoders["c"](batch.samples["c"])[:, 0].std(dim=0).norm())
    assert spread[1.0] > 1.3 * spread[0.0]


def test_asking_less_leaves_the_possible_classes_open() -> None:
    possible = functional.one_hot(torch.tensor([[0, 1]]), 4).bool()
    response = Response(torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), possible)
    batch = PatientBatch(("a",), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), {}, {"response": response})
    only = ask_only(batch, torch.tensor([[True, False]])).targets["response"]
    assert isinstance(only, Response)
    assert only.asked.tolist() == [[True, False]]
