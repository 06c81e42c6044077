"""Made-up outcomes that the tests of the losses share."""

import torch

from fusion.types import Outcome


def exponential(
    log_hazard: torch.Tensor | None = None, patients: int = 300, visits: int = 2, seed: int = 1, scale: float = 300.0
) -> Outcome:
    """Whole days with an exponential hazard, uniform censoring, nine of ten visits at risk."""
    generator = torch.Generator().manual_seed(seed)
    log_hazard = torch.zeros(patients, visits) if log_hazard is None else log_hazard
    shape = log_hazard.shape
    duration = (-torch.rand(shape, generator=generator).log() * scale * torch.exp(-log_hazard)).ceil().clamp_min(1.0)
    censored = (torch.rand(shape, generator=generator) * 900).ceil().clamp_min(1.0)
    at_risk = torch.rand(shape, generator=generator) < 0.9
    return Outcome(duration=torch.minimum(duration, censored), event=duration <= censored, at_risk=at_risk)


def competing(patients: int = 400, seed: int = 3, log_hazard: torch.Tensor | None = None) -> Outcome:
    """Two causes; the first has twice the hazard of the second, and `log_hazard` bears on it alone."""
    generator = torch.Generator().manual_seed(seed)
    effect = torch.zeros(patients, 1) if log_hazard is None else log_hazard
    time = -torch.rand(len(effect), 1, 2, generator=generator).log() * torch.tensor([300.0, 600.0])
    time[..., 0] *= torch.exp(-effect)
    time = time.ceil().clamp_min(1.0)
    censored = (torch.rand(effect.shape, generator=generator) * 900).ceil().clamp_min(1.0)
    first, cause = time.min(dim=-1)
    event = first <= censored
    return Outcome(
        duration=torch.minimum(first, censored),
        event=event,
        at_risk=torch.ones_like(event),
        cause=(cause + 1) * event,
    )


def dying_early(patients: int = 4000) -> Outcome:
    """One in five dies within 50 days of the first visit; all others slowly, at the same rate from every visit on."""
    generator = torch.Generator().manual_seed(0)
    duration = -torch.rand(patients, 3, generator=generator).log() * 2000
    early = torch.rand(patients, generator=generator) < 0.2
    duration[early, 0] = 1.0 + 49.0 * torch.rand(int(early.sum()), generator=generator)
    at_risk = torch.ones_like(duration, dtype=torch.bool)
    at_risk[early, 1:] = False
    return Outcome(duration=duration.clamp(0.5, 900), event=duration < 900, at_risk=at_risk)
