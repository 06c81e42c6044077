"""What a search may change: ranges laid out as the config is, and settings put in their places.

A range is one of

- `{choices: [...]}`, values to choose from;
- `{low, high}`, with `log` or `step`, numbers between them;
- `{group, options}`, whole nodes to choose from: each option is a config node by name, and `group` is what
  `train.py` calls the choice, `fusion` or `encoder@model.encoders.labs`.

In a place, `each` stands for everything there that has the setting: `model.encoders.each.dropout` is the dropout of
every encoder that has one.
"""

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

Setting = bool | int | float | str | None
Settings = Mapping[str, Setting]
Range = Mapping[str, Any]

EACH = "each"


def read_space(config: Mapping[str, Any]) -> dict[str, Range]:
    """Range of every setting that the config wants searched, by its place in the config.

    >>> read_space({"tuning": {"space": {"optimizer": {"lr": {"low": 0.001, "high": 0.01}}}}})
    {'optimizer.lr': {'low': 0.001, 'high': 0.01}}
    """
    return dict(_ranges((config.get("tuning") or {}).get("space") or {}))


def start_of(config: Mapping[str, Any], space: Mapping[str, Range]) -> dict[str, Setting]:
    """The settings of the config itself, from which a search starts.

    Raises:
        ValueError: The config has no such setting, or a range is none or does not hold the value of the config.
    """
    start = {}
    for name, node in space.items():
        _check_form(name, node)
        inside = [other for other in space if other.startswith(f"{name}.")]
        if inside:
            raise ValueError(f"tuning.space: {', '.join(inside)} lies inside {name}; take one of the two out")
        values = [_at(config, place) for place in places(config, name)]
        start[name] = _option_of(name, node, values[0]) if "options" in node else values[0]
        if any(value != values[0] for value in values):
            raise ValueError(f"tuning.space: {name} stands for the values {values}; name one place at a time")
        _check_value(name, node, start[name])
    return start


def with_settings(config: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A copy of a config with other values in these places, or other nodes where options are chosen from.

    >>> with_settings({"optimizer": {"lr": 0.1}}, {"optimizer.lr": 0.2})
    {'optimizer': {'lr': 0.2}}
    """
    changed = copy.deepcopy(dict(config))
    space = read_space(config)
    for name, value in settings.items():
        node = space.get(name, {})
        for place in places(config, name):
            *path, last = place.split(".")
            if "options" not in node:
                _at(changed, ".".join(path))[last] = value
            elif value != _option_of(name, node, _at(config, place)):  # else as the experiment has set it up
                _at(changed, ".".join(path))[last] = copy.deepcopy(node["options"][value])
    return changed


def as_overrides(config: Mapping[str, Any], settings: Settings) -> list[str]:
    """The words by which `train.py` is given these settings.

    >>> as_overrides({"model": {"encoders": {"a": {"dropout": 0.2}, "b": {}}}}, {"model.encoders.each.dropout": 0.5})
    ['model.encoders.a.dropout=0.5']
    """
    space = read_space(config)
    words = []
    for name, value in settings.items():
        if "options" in space.get(name, {}):
            words.append(f"{space[name]['group']}={value}")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            words += [f"{place}={text}" for place in places(config, name)]
    return words


def places(config: Mapping[str, Any], name: str) -> list[str]:
    """Where a setting stands in a config; several places if its name holds `each`.

    Raises:
        ValueError: There is no such place.
    """
    found = [""]
    for key in name.split("."):
        wanted = [(place, _at(config, place) if place else config) for place in found]
        found = [
            f"{place}.{each}".lstrip(".")
            for place, node in wanted
            if isinstance(node, Mapping)
            for each in (node if key == EACH else [key] if key in node else [])
        ]
    if not found:
        raise ValueError(f"tuning.space: the config has no {name}; name a value that --cfg job shows")
    return found


def _ranges(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Range]]:
    for key, inner in node.items():
        if not isinstance(inner, Mapping):
            raise ValueError(f"tuning.space: {prefix}{key} is {inner}; give choices: [...], or low and high")
        if inner.keys() & {"choices", "low", "high", "options"}:
            yield f"{prefix}{key}", inner
        else:
            yield from _ranges(inner, f"{prefix}{key}.")


def _at(config: Mapping[str, Any], place: str) -> Any:
    return functools.reduce(lambda node, key: node[key], place.split(".") if place else [], config)


def _check_form(name: str, node: Range) -> None:
    keys = set(node)
    if "options" in node and keys != {"group", "options"}:
        odd = ", ".join(sorted(keys ^ {"group", "options"}))
        raise ValueError(
            f"tuning.space: {name} is chosen as a whole, by group and options alone, but for {odd}; "
            "leave one of the two spaces out"
        )
    if "options" not in node and keys != {"choices"} and not {"low", "high"} <= keys <= {"low", "high", "log", "step"}:
        raise ValueError(
            f"tuning.space: {name} is {dict(node)}; give choices: [...], or low and high (and log or step)"
        )
    if "low" in node and (not node["low"] < node["high"] or (node.get("log") and node["low"] <= 0)):
        raise ValueError(f"tuning.space: {name} is {dict(node)}; low must be below high, and above 0 if log")


def _check_value(name: str, node: Range, value: Setting) -> None:
    if "options" in node:
        return
    if not (value in node["choices"] if "choices" in node else node["low"] <= value <= node["high"]):
        raise ValueError(
            f"tuning.space: {name} is {value} in the config, outside {dict(node)}; widen the space or set {name}"
        )


def _option_of(name: str, node: Range, value: Mapping[str, Any]) -> str:
    """The option that the config has already, perhaps with other numbers in it."""
    options: Mapping[str, Mapping[str, Any]] = node["options"]
    same = [option for option, inner in options.items() if inner == value]
    alike = [option for option, inner in options.items() if inner["_target_"] == value["_target_"]]
    if not (same or alike):
        raise ValueError(
            f"tuning.space: {name} is {value['_target_']} in the config, none of the options {', '.join(options)}; "
            f"choose one of them, or add it: +{node['group']}@tuning.space.{name}.options.NAME=NAME"
        )
    return (same or alike)[0]
