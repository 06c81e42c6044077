"""The checker that `conftest.py` puts on every annotation of the package."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from beartype import BeartypeConf, beartype

#: An int is welcome where a float is asked for, as Python itself has it.
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))
_made: dict[object, Callable[..., Any]] = {}


def checked(stub: Callable[..., Any]) -> Callable[..., Any]:
    """The check of a signature, made at its first call.

    jaxtyping hands over a stub that has the signature of a function and does nothing.
    """
    check: Callable[..., Any] | None = None

    @wraps(stub)
    def checks(*args: Any, **kwargs: Any) -> Any:
        nonlocal check
        if check is None:
            check = _check_of(stub)
        return check(*args, **kwargs)

    return checks


def _check_of(stub: Callable[..., Any]) -> Callable[..., Any]:
    """The same for stubs alike: a function inside another is defined anew at every call of the outer one."""
    optional = len(stub.__defaults__ or ()), *(stub.__kwdefaults__ or ())
    signature = stub.__module__, stub.__qualname__, stub.__code__, optional, *stub.__annotations__.items()
    try:
        known = _made.get(signature)
    except TypeError:  # an annotation that has no hash
        return _beartype(stub)
    if known is None:
        known = _made[signature] = _beartype(stub)
    return known
