"""In what precision a likelihood is counted."""

import torch
from jaxtyping import Float
from torch import Tensor


def in_full(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Half precision is raised to float32; float64 is kept."""
    return values if values.dtype == torch.float64 else values.float()
