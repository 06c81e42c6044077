"""A toy cohort whose assays share one latent state, and a small model of it, for the tests of training aids."""

from collections.abc import Mapping

import torch
from torch import Tensor

from fusion.losses.cox import cox_nll
from fusion.losses.weights import visit_weights
from fusion.models.encoders.vector import VectorEncoder
from fusion.models.fusion.masked_attention import MaskedAttention
from fusion.models.patient_model import PatientModel
from fusion.models.temporal.gru import GRU
from fusion.types import Outcome, PatientBatch, Samples

WIDTHS = {"a": 6, "b": 8, "c": 10}
VISITS, LATENTS, PRIVATE, DIM = 3, 3, 4, 16


def latent_state(patients: int, seed: int) -> Tensor:
    """What the assays of these patients share, "B L"."""
    return torch.randn(patients, LATENTS, generator=torch.Generator().manual_seed(seed))


def make_batch(
    patients: int,
    seed: int = 0,
    noise: float = 0.3,
    private: float = 0.0,
    lacking: tuple[str, ...] = (),
    scale: Mapping[str, float] | None = None,
    complete: bool = False,
) -> PatientBatch:
    """Patients with one to three visits; each assay is a noisy linear view of a latent state, missing for a third.

    Assays a and b are taken at every visit, c at baseline only. On top lies what an assay alone shows of a patient,
    `private` times as strong, and noise.

    The latent state is that of the patient and the same at all visits; its first entry shortens survival. The views
    do not depend on `seed`, which draws the patients.
    """
    views = torch.Generator().manual_seed(99)
    g = torch.Generator().manual_seed(seed + 1000)
    state = latent_state(patients, seed)
    num = torch.randint(1, VISITS + 1, (patients,), generator=g)
    mask = torch.arange(VISITS)[None] < num[:, None]
    day = torch.minimum(torch.arange(VISITS)[None], num[:, None] - 1) * 21.0
    samples = {}
    for name, width in WIDTHS.items():
        view = torch.randn(LATENTS, width, generator=views)
        there = mask & (complete | (torch.rand(patients, 1, generator=g) > 1 / 3))
        there &= name not in lacking
        if name == "c":  # tissue, taken once
            there[:, 1:] = False
        slot = there.flatten().nonzero().squeeze(1)
        rows = state[slot // VISITS] @ view + noise * torch.randn(len(slot), width, generator=g)
        own = torch.randn(PRIVATE, width, generator=views)
        rows += private * torch.randn(patients, PRIVATE, generator=g)[slot // VISITS] @ own
        samples[name] = Samples(rows * (scale or {}).get(name, 1.0), torch.arange(len(slot) + 1), slot)
    death = 100.0 * torch.exp(-state[:, :1] + 0.1 * torch.randn(patients, 1, generator=g))
    duration = (death - day).clamp(min=1.0)
    event = torch.rand(patients, 1, generator=g).expand(-1, VISITS) < 0.8
    outcome = Outcome(duration=duration, event=event & mask, at_risk=mask)
    return PatientBatch(tuple(f"P{i}" for i in range(patients)), day, mask, samples, {"os": outcome})


def make_model(seed: int = 0, *, auxiliary_heads: bool = False) -> PatientModel:
    """A small patient model of all assays."""
    torch.manual_seed(seed)
    return PatientModel(
        encoders={name: VectorEncoder(num_features=width, dim=DIM, hidden=8) for name, width in WIDTHS.items()},
        fusion=MaskedAttention(dim=DIM, num_modalities=len(WIDTHS)),
        temporal=GRU(dim=DIM),
        num_outputs={"os": 1},
        dim=DIM,
        auxiliary_heads=auxiliary_heads,
    )


def total_loss(outputs: Mapping[str, Tensor], batch: PatientBatch, share: Tensor) -> Tensor:
    """Cox loss of overall survival, weighted as the ensemble weighs visits."""
    target = batch.targets["os"]
    assert isinstance(target, Outcome)
    rows = target.at_risk
    weight = (visit_weights(batch.day, rows) * share[:, None])[rows]
    return cox_nll(outputs["os"][..., 0][rows], target.duration[rows], target.event[rows], weight=weight)
