"""Under bf16 autocast every temporal module stays near what it says in single precision."""

import torch
from test_temporal_contract import course, every_temporal, make

from fusion.models.base import Temporal


@every_temporal
def test_bf16_stays_near_and_finite(kind: type[Temporal]) -> None:
    module, (visits, day, mask) = make(kind), course()
    expected = module(visits, day, mask)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(visits.requires_grad_(), day, mask)
    # rounding to three digits, over seven steps
    assert (found.float() - expected)[mask].abs().max() < 0.05 * expected[mask].abs().max()
    found.float()[mask].square().sum().backward()
    assert visits.grad is not None
    assert all(tensor.grad.isfinite().all() for tensor in (visits, *module.parameters()) if tensor.grad is not None)
