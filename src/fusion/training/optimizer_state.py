"""State of an optimizer as if every member had been trained by itself: what lies in a checkpoint.

So a fold that was begun in one way of training may be taken up in another.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

#: For each tensor of the optimizer, places of the parameters that it stands for among those of all members.
Layout = Sequence[tuple[int, ...]]


def taken_apart(saved: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """The state of stacks as a state of the parameters that were stacked."""
    state: dict[int, dict[str, Any]] = {}
    for place, own in enumerate(layout):
        for number, parameter in enumerate(own):
            if place in saved["state"]:
                kept = saved["state"][place]
                state[parameter] = {key: _row(key, value, number, len(own)) for key, value in kept.items()}
    return {"state": dict(sorted(state.items())), "param_groups": _regrouped(saved, sum(map(len, layout)))}


def put_together(saved: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """The state of parameters as a state of their stacks; a parameter that has taken no step yet counts as zeros."""
    state: dict[int, dict[str, Any]] = {}
    for place, own in enumerate(layout):
        there = [saved["state"][parameter] for parameter in own if parameter in saved["state"]]
        if len(own) == 1 or not there:
            state |= {place: there[0]} if there else {}
            continue
        empty = {key: torch.zeros_like(value) for key, value in there[0].items() if _stacked(key, value)}
        rows = [saved["state"].get(parameter, empty) for parameter in own]
        state[place] = {
            key: torch.stack([row[key] for row in rows]) if _stacked(key, value) else value
            for key, value in there[0].items()
        }
    return {"state": state, "param_groups": _regrouped(saved, len(layout))}


def _stacked(key: str, value: Any) -> bool:
    """The number of steps is the same for all; everything else that is a tensor is one value for each weight."""
    return isinstance(value, Tensor) and key != "step"


def _row(key: str, value: Any, number: int, members: int) -> Any:
    return value[number].clone() if members > 1 and _stacked(key, value) else value


def _regrouped(saved: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The settings of the one group, for so many tensors."""
    (group,) = saved["param_groups"]
    return [{**group, "params": list(range(count))}]
