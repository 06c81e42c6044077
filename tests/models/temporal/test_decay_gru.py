"""The GRU that fades agrees with torch's cell, patient by patient, and forgets over a long gap."""

import torch
from torch import Tensor, nn

from fusion.models.temporal.days import time_features
from fusion.models.temporal.decay_gru import DecayGRU

DIM, HIDDEN = 5, 6


def trained() -> DecayGRU:
    torch.manual_seed(0)
    module = DecayGRU(dim=DIM, hidden=HIDDEN)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module.eval()


def one_by_one(module: DecayGRU, visits: Tensor, day: Tensor) -> Tensor:
    cell = nn.GRUCell(DIM + 2, HIDDEN)
    cell.weight_ih.data, cell.bias_ih.data = module.inputs.weight.data, module.inputs.bias.data
    cell.weight_hh.data = torch.cat([module.gates.weight, module.recall.weight]).data
    cell.bias_hh.data = torch.cat([torch.zeros(2 * HIDDEN), module.recall.bias]).data
    out = visits.clone()
    features = torch.cat([visits, time_features(day)], dim=-1)
    for b in range(visits.shape[0]):
        state, before = torch.zeros(HIDDEN), day[b, 0]
        for t in range(visits.shape[1]):
            state = state * torch.exp(-module.decay.rate() * (day[b, t] - before))
            state, before = cell(features[b, t], state), day[b, t]
            out[b, t] += module.out(state)
    return out


def test_agrees_with_a_cell_per_patient_and_visit() -> None:
    module, visits = trained(), torch.randn(4, 6, DIM)
    day = (60 * torch.rand(4, 6)).cumsum(dim=1)
    with torch.no_grad():
        out = module(visits, day, torch.ones(4, 6, dtype=torch.bool))
        torch.testing.assert_close(out, one_by_one(module, visits, day))


def test_without_gaps_it_is_torchs_gru() -> None:
    module, visits, day = trained(), torch.randn(4, 6, DIM), torch.zeros(4, 6)
    gru = nn.GRU(DIM + 2, HIDDEN, batch_first=True)
    weights = [module.inputs.weight, torch.cat([module.gates.weight, module.recall.weight])]
    biases = [module.inputs.bias, torch.cat([torch.zeros(2 * HIDDEN), module.recall.bias])]
    gru.load_state_dict(dict(zip(gru.state_dict(), [*weights, *biases], strict=True)))
    with torch.no_grad():
        state, _ = gru(torch.cat([visits, time_features(day)], dim=-1))
        out = module(visits, day, torch.ones(4, 6, dtype=torch.bool))
        torch.testing.assert_close(out, visits + module.out(state))


def test_the_past_is_forgotten_over_years_and_not_over_a_week() -> None:
    module, visits = trained(), torch.randn(1, 2, DIM)
    other = visits.clone()
    other[:, 0] = -other[:, 0]
    mask = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad():
        effects = [
            (module(visits, day, mask) - module(other, day, mask))[:, 1].abs().sum()
            for day in (torch.tensor([[0.0, gap]]) for gap in (7.0, 84.0, 5000.0))
        ]
    assert effects[0] > effects[1] > effects[2]
    assert effects[2] < 1e-6
