"""How precisely patch features are kept: half precision, bfloat16 or single precision.

Dimension key: N patches of a bag, D features of a patch.
"""

import numpy as np
from jaxtyping import Float, Float32, Shaped

#: How each precision lies in memory and in a file. numpy has no bfloat16: its 16 bits are kept as they are.
STORED: dict[str, np.dtype] = {"fp16": np.dtype("<f2"), "bf16": np.dtype("<u2"), "fp32": np.dtype("<f4")}

#: Half precision ends here; no encoder's features come near.
LARGEST_HALF = 6e4


def require_precision(precision: str) -> str:
    """`precision`, if there is such a one.

    Raises:
        ValueError: There is not.
    """
    if precision not in STORED:
        raise ValueError(f"there is no precision {precision!r}; choose {', '.join(STORED)}")
    return precision


def fits_half(features: Float[np.ndarray, "N D"]) -> bool:
    """Whether no measured value is beyond half precision; what is infinite was not measured."""
    low, high = features.min(initial=0.0), features.max(initial=0.0)
    if low >= -LARGEST_HALF and high <= LARGEST_HALF:
        return True
    return not bool((np.abs(features[np.isfinite(features)]) > LARGEST_HALF).any())


def narrowed(features: Float32[np.ndarray, "N D"], precision: str) -> Shaped[np.ndarray, "N D"]:
    """Features as they are kept, of type `STORED[precision]`.

    In half precision infinities become the largest value. A bag with a finite value beyond half precision stays as
    it is, in single precision: cutting it off would change what the encoder said.

    >>> narrowed(np.array([[1.0, 0.1]], dtype=np.float32), "fp16")
    array([[1. , 0.1]], dtype=float16)
    >>> narrowed(np.array([[1e5]], dtype=np.float32), "fp16")
    array([[100000.]], dtype=float32)
    """
    if precision == "fp32":
        return features
    if precision == "bf16":
        return _upper_half(features)
    if not fits_half(features):
        return features
    return np.clip(features, -LARGEST_HALF, LARGEST_HALF).astype(STORED["fp16"])


def widened(kept: Shaped[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Kept features as floating-point numbers; only bfloat16 is copied.

    >>> widened(narrowed(np.array([[1.0, 0.1]], dtype=np.float32), "bf16"))
    array([[1.        , 0.10009766]], dtype=float32)
    """
    if kept.dtype != STORED["bf16"]:
        return kept
    bits = kept.astype(np.uint32)
    bits <<= 16
    return bits.view(np.float32)


def _upper_half(features: Float32[np.ndarray, "N D"]) -> Shaped[np.ndarray, "N D"]:
    """The upper 16 bits of each number, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(features).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(features), 0x7FC0, rounded).astype(STORED["bf16"])
