"""Mixed states: among whom, where, and how much."""

import pytest
import torch

from fusion.models.mixup import Mix, draw_mix, mix_states


@pytest.mark.parametrize("trained", [[True] * 6, [True, False, True, True, False, True], [False, False], [True], []])
def test_partners_are_others_that_the_learner_trains_on(trained: list[bool]) -> None:
    torch.manual_seed(0)
    flags = torch.tensor(trained, dtype=torch.bool)
    among = {i for i, flag in enumerate(trained) if flag}
    for _ in range(20):
        mix = draw_mix(flags, alpha=0.4)
        assert 0.5 <= float(mix.share) <= 1.0
        partner = mix.partner.tolist()
        assert {partner[i] for i in among} == among, "everyone is somebody's partner once"
        assert all(partner[i] != i for i in among) or len(among) < 2
        assert all(partner[i] == i for i in range(len(trained)) if i not in among)


def test_partners_differ_from_step_to_step() -> None:
    torch.manual_seed(0)
    everyone = torch.ones(8, dtype=torch.bool)
    assert len({tuple(draw_mix(everyone, 1.0).partner.tolist()) for _ in range(10)}) > 5


def test_only_visits_that_both_have_are_mixed() -> None:
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(2, 3, 4, generator=generator)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    mixed = mix_states(state, mask, Mix(partner=torch.tensor([1, 0]), share=torch.tensor(0.7)))
    torch.testing.assert_close(mixed[:, :2], 0.7 * state[:, :2] + 0.3 * state.flip(0)[:, :2])
    assert torch.equal(mixed[:, 2], state[:, 2])
