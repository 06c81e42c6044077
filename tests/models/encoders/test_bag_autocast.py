"""Under bf16 autocast every encoder of bags stays near what it says in single precision."""

from dataclasses import replace

import torch
from test_bag_contract import every_encoder, make_bags, make_encoder


@every_encoder
def test_bf16_stays_near_and_finite(name: str) -> None:
    encoder, samples = make_encoder(name), make_bags((300, 1, 0, 190, 3))
    expected = encoder(samples)
    for rows in (samples.rows, samples.rows.bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(replace(samples, rows=rows))
        assert (found.float() - expected).abs().max() < 0.05 * expected.abs().max()
    found.float().square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters() if parameter.grad is not None)


@every_encoder
@torch.no_grad()
def test_rows_kept_in_half_precision(name: str) -> None:
    encoder, samples = make_encoder(name), make_bags((300, 1, 0, 190, 3))
    found = encoder(replace(samples, rows=samples.rows.half()))
    assert found.dtype == torch.float
    assert (found - encoder(samples)).abs().max() < 0.02 * encoder(samples).abs().max()
