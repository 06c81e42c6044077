"""Changes of the fused visit: what a first visit, the calendar and a step down and up do to it."""

import torch

from fusion.models.temporal.change_from_baseline import ChangeFromBaseline, changes


def trained() -> ChangeFromBaseline:
    torch.manual_seed(0)
    module = ChangeFromBaseline(dim=3)
    torch.nn.init.normal_(module.out.weight)
    return module.eval()


def test_agrees_with_a_loop() -> None:
    visits = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    for b in range(2):
        for t in range(6):
            seen = visits[b, : t + 1]
            past = (seen[0], seen[max(t - 1, 0)], seen.amin(dim=0), seen.amax(dim=0))
            assert torch.equal(changes(visits)[b, t], torch.cat([seen[t] - value for value in past]))


def test_a_first_visit_is_handed_on_unchanged() -> None:
    visits, mask = torch.randn(4, 3, 3), torch.ones(4, 3, dtype=torch.bool)
    out = trained()(visits, torch.zeros(4, 3), mask)
    assert torch.equal(out[:, 0], visits[:, 0])
    assert not torch.equal(out[:, 1], visits[:, 1])


def test_a_level_adds_nothing_and_days_do_not_matter() -> None:
    """Only change is added: a shift of the whole course shifts the output by as much."""
    module, visits, mask = trained(), torch.randn(4, 3, 3), torch.ones(4, 3, dtype=torch.bool)
    day = torch.tensor([0.0, 21.0, 400.0]).expand(4, 3)
    out = module(visits, torch.zeros(4, 3), mask)
    assert torch.equal(module(visits, day, mask), out)
    torch.testing.assert_close(module(visits + 2.0, day, mask), out + 2.0)
