"""The loss of mixed patients: what it is by hand, and whose outcome it may not know."""

from dataclasses import replace

import torch
from aids import make_batch, make_model, total_loss

from fusion.models.mixup import Mix
from fusion.training.mixup import mixed_loss, partners_of

EVERYONE = torch.ones(8)


def test_a_share_of_one_is_no_mixup_to_the_bit() -> None:
    model, batch = make_model().eval(), make_batch(8)
    mix = Mix(partner=torch.arange(8).roll(1), share=torch.tensor(1.0))
    outputs, mixed = model(batch), model(batch, mix=mix)
    assert all(torch.equal(outputs[task], mixed[task]) for task in outputs)
    assert torch.equal(mixed_loss(total_loss, mixed, batch, mix, EVERYONE), total_loss(outputs, batch, EVERYONE))


def test_the_loss_is_the_mean_of_two_patients_losses_as_computed_one_by_one() -> None:
    model, batch = make_model().eval(), make_batch(8)
    mix = Mix(partner=torch.arange(8).roll(1), share=torch.tensor(0.6))
    outputs = model(batch, mix=mix)

    def squared(outputs, batch, share):  # type: ignore[no-untyped-def]
        target = batch.targets["os"]
        error = (outputs["os"][..., 0] - target.duration / 100.0).square() * target.at_risk
        return (error * share[:, None]).sum()

    expected = 0.0
    target = batch.targets["os"]
    for i in range(8):
        j = int(mix.partner[i])
        for visit in range(batch.num_visits):
            output = outputs["os"][i, visit, 0]
            if target.at_risk[i, visit]:
                expected += 0.6 * (output - target.duration[i, visit] / 100.0) ** 2
            if target.at_risk[j, visit] and batch.visit_mask[i, visit]:
                expected += 0.4 * (output - target.duration[j, visit] / 100.0) ** 2
    torch.testing.assert_close(mixed_loss(squared, outputs, batch, mix, EVERYONE), expected)


def test_who_is_left_out_enters_through_no_partner() -> None:
    """Even if a mix names them: outcomes of those left out changed, the loss stays the same to the bit."""
    model, batch = make_model().eval(), make_batch(8)
    share = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    mix = Mix(partner=torch.arange(8).roll(1), share=torch.tensor(0.6))
    target = batch.targets["os"]
    duration = torch.where(share[:, None] > 0, target.duration, 7.0)
    event = torch.where(share[:, None] > 0, target.event, ~target.event)
    other = replace(batch, targets={"os": replace(target, duration=duration, event=event)})
    outputs = model(batch, mix=mix)
    before = mixed_loss(total_loss, outputs, batch, mix, share)
    assert torch.equal(mixed_loss(total_loss, outputs, other, mix, share), before)


def test_partners_are_asked_at_mixed_visits_alone() -> None:
    batch = make_batch(8)
    mix = Mix(partner=torch.arange(8).roll(1), share=torch.tensor(0.6))
    asked = partners_of(batch, mix).targets["os"].at_risk  # type: ignore[union-attr]
    assert torch.equal(asked, batch.targets["os"].at_risk[mix.partner] & batch.visit_mask)  # type: ignore[union-attr]
    assert not torch.equal(asked, batch.targets["os"].at_risk[mix.partner]), "else the test shows nothing"  # type: ignore[union-attr]
