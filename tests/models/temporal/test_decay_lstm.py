"""The LSTM that fades agrees with torch's cell, patient by patient, and keeps what is not short-term."""

import torch
from torch import Tensor, nn

from fusion.models.temporal.days import time_features
from fusion.models.temporal.decay_lstm import DecayLSTM

DIM, HIDDEN = 5, 6


def trained() -> DecayLSTM:
    torch.manual_seed(0)
    module = DecayLSTM(dim=DIM, hidden=HIDDEN)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return module.eval()


def as_cell(module: DecayLSTM) -> nn.LSTMCell:
    """Torch orders the gates write, keep, candidate, read; here the candidate comes last."""

    def reordered(rows: Tensor) -> Tensor:
        write, keep, read, candidate = rows.detach().chunk(4)
        return torch.cat([write, keep, candidate, read])

    cell = nn.LSTMCell(DIM + 2, HIDDEN)
    cell.weight_ih.data, cell.bias_ih.data = reordered(module.inputs.weight), reordered(module.inputs.bias)
    cell.weight_hh.data, cell.bias_hh.data = reordered(module.gates.weight), torch.zeros(4 * HIDDEN)
    return cell


def test_agrees_with_a_cell_per_patient_and_visit() -> None:
    module, visits = trained(), torch.randn(4, 6, DIM)
    day = (60 * torch.rand(4, 6)).cumsum(dim=1)
    features, cell, slow = torch.cat([visits, time_features(day)], dim=-1), as_cell(module), visits.clone()
    with torch.no_grad():
        for b in range(4):
            state, memory, before = torch.zeros(HIDDEN), torch.zeros(HIDDEN), day[b, 0]
            for t in range(6):
                short = torch.tanh(module.short_term(memory))
                memory = memory - short + short * torch.exp(-module.decay.rate() * (day[b, t] - before))
                (state, memory), before = cell(features[b, t], (state, memory)), day[b, t]
                slow[b, t] += module.out(state)
        torch.testing.assert_close(module(visits, day, torch.ones(4, 6, dtype=torch.bool)), slow)


def test_what_is_not_short_term_is_kept_for_good() -> None:
    """With no short-term part, the length of a gap enters through the input alone; with one, through the memory too."""
    module, visits = trained(), torch.randn(3, 2, DIM)
    module.inputs.weight.data[:, DIM:] = 0  # blind to days but for the decay
    mask, near, far = torch.ones(3, 2, dtype=torch.bool), torch.tensor([[0.0, 7.0]]), torch.tensor([[0.0, 5000.0]])
    with torch.no_grad():
        before = module(visits, near.expand(3, 2), mask) - module(visits, far.expand(3, 2), mask)
        module.short_term.weight.zero_()
        module.short_term.bias.zero_()
        after = module(visits, near.expand(3, 2), mask) - module(visits, far.expand(3, 2), mask)
    assert before[:, 1].abs().min() > 0
    assert not after.any()
