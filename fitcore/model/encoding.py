"""Trees as JSON-able dictionaries and back, losing nothing: order, types, ties and every bit of every number.

Only classes that are imported already are made; no name is ever imported from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fitcore.errors import ModelError
from fitcore.identity import type_name
from fitcore.model.component import Tied, component_class, is_component, layout
from fitcore.model.prior import Prior, decode_float, encode_float


def encode_tree(node: Any) -> Any:
    """A tree as nested dictionaries and lists; the keys of dicts are kept in lists, for readers of JSON may sort keys."""
    if is_component(node):
        fields = layout(type(node))
        return {
            "component": type_name(type(node)),
            "constants": {name: encode_constant(getattr(node, name)) for name in fields.static},
            "fields": [[name, encode_tree(getattr(node, name))] for name in fields.data],
        }
    if isinstance(node, dict):
        return {"dict": [[name, encode_tree(child)] for name, child in node.items()]}
    if isinstance(node, (list, tuple)):
        return {type(node).__name__: [encode_tree(child) for child in node]}
    if isinstance(node, Prior):
        return node.to_dict()
    if isinstance(node, Tied):
        return {"tied": node.path}
    return {"number": encode_float(node)}


def decode_tree(data: Any) -> Any:
    """The tree that `encode_tree` described."""
    kind = next((kind for kind in _READERS if isinstance(data, Mapping) and kind in data), None)
    if kind is None:
        raise ModelError(f"A stored tree holds {data!r}, which is none of {', '.join(_READERS)}.")
    return _READERS[kind](data)


def _decode_component(data: Mapping[str, Any]) -> Any:
    cls: Any = component_class(data["component"])
    values = {name: decode_constant(value) for name, value in data["constants"].items()}
    values |= _decoded_items(data["fields"])
    return cls(**values)


def _decoded_items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, child in items:
        if name in found:
            raise ModelError(f"A stored tree holds {name!r} twice in one place; names must be unique.")
        found[name] = decode_tree(child)
    return found


_READERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "component": _decode_component,
    "dict": lambda data: _decoded_items(data["dict"]),
    "list": lambda data: [decode_tree(child) for child in data["list"]],
    "tuple": lambda data: tuple(decode_tree(child) for child in data["tuple"]),
    "prior": lambda data: Prior.from_dict(dict(data)),
    "tied": lambda data: Tied(data["tied"]),
    "number": lambda data: float(decode_float(data["number"])),
}


def encode_constant(value: Any) -> Any:
    """A plain constant as JSON can hold it."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return {"float": repr(value)}
    if type(value) is complex:
        return {"complex": [repr(value.real), repr(value.imag)]}
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if type(value) is tuple:
        return {"tuple": [encode_constant(item) for item in value]}
    return {"frozenset": sorted((encode_constant(item) for item in value), key=repr)}


def decode_constant(data: Any) -> Any:
    """The inverse of `encode_constant`."""
    if not isinstance(data, Mapping):
        return data
    kind, value = next(iter(data.items()))
    if kind not in _CONSTANT_READERS:
        raise ModelError(f"A stored constant is of kind {kind!r}; allowed are {', '.join(_CONSTANT_READERS)}.")
    return _CONSTANT_READERS[kind](value)


_CONSTANT_READERS: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "bytes": bytes.fromhex,
    "tuple": lambda items: tuple(decode_constant(item) for item in items),
    "frozenset": lambda items: frozenset(decode_constant(item) for item in items),
}
