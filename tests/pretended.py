"""A GPU that is none: tensors that say they lie on one, and are on the CPU. What a real one refuses, so do they.

An operation on tensors of both places is an error, as on a GPU, and operations are counted that would be launched.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._C import _functorch as functorch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

GPU = torch.device("cuda", 0)

#: Operations that launch nothing on a GPU: they make a view, or tell a fact.
FREE = ("detach", "view", "_unsafe_view", "alias", "expand", "select", "slice", "split", "split_with_sizes", "unbind")
FREE += ("transpose", "t", "permute", "unsqueeze", "squeeze", "as_strided", "diagonal", "empty", "new_empty")
FREE += ("_local_scalar_dense", "movedim", "unfold", "is_same_size", "_reshape_alias", "empty_like")

launches: Counter[str] = Counter()


class Pretended(torch.Tensor):
    """A tensor of the CPU that says it lies on a GPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Pretended":
        kept = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype
        )
        kept.inner = inner
        return kept

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return GPU

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Pretended({self.inner})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
        strangers = [each for each in given if not isinstance(each, Pretended) and each.dim() > 0]
        if strangers:
            raise RuntimeError(f"{func}: tensors on cuda:0 and cpu")
        if func.overloadpacket.__name__ not in FREE:
            launches[str(func)] += 1
        out = func(*tree_map(there, args), **tree_map(there, kwargs or {}))
        if func.overloadpacket.__name__.endswith("_") and isinstance(args[0], torch.Tensor):
            return args[0]
        return tree_map(lambda each: Pretended(each) if isinstance(each, torch.Tensor) else each, out)


def there(value: Any) -> Any:
    return value.inner if isinstance(value, Pretended) else value


def bare(values: torch.Tensor) -> torch.Tensor:
    """A tensor out of what `vmap` wraps it in."""
    while functorch.is_functorch_wrapped_tensor(values):
        values = functorch.get_unwrapped(values)
    return values


class Places(TorchFunctionMode):
    """Makes tensors where they are asked for."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.to:
            place = next((e for e in (*args[1:], kwargs.get("device")) if isinstance(e, torch.device | str)), None)
            args = tuple(e for e in args if not isinstance(e, torch.device | str))
            kwargs.pop("device", None)
            out = func(*args, **kwargs) if len(args) > 1 or "dtype" in kwargs else args[0]
            return out if place is None else moved(out, torch.device(place))
        if func == torch.Tensor.device.__get__:
            return GPU if isinstance(bare(args[0]), Pretended) else func(*args)
        if func is torch.Tensor.tolist:
            return func(there(args[0]))
        if "device" in kwargs and kwargs["device"] is not None and torch.device(kwargs["device"]).type == "cuda":
            kwargs["device"] = "cpu"
            return tree_map(lambda each: moved(each, GPU), func(*args, **kwargs))
        return func(*args, **kwargs)


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, there_: bool) -> torch.Tensor:
        return Pretended(values) if there_ else values.inner  # type: ignore[attr-defined]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return (grad.inner if isinstance(grad, Pretended) else Pretended(grad)), None


def moved(values: torch.Tensor, place: torch.device) -> torch.Tensor:
    """A tensor in the other place; the same where it is there."""
    if isinstance(values, Pretended) == (place.type == "cuda"):
        return values
    if not values.requires_grad:
        return Pretended(values) if place.type == "cuda" else there(values)
    return _Move.apply(values, place.type == "cuda")


@contextmanager
def pretended_gpu() -> Iterator[Counter[str]]:
    """While it lasts `device=cuda` gives pretended tensors; counts what they would launch."""
    launches.clear()
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with Places():
            yield launches
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
