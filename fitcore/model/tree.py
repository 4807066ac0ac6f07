"""Trees of components, dicts, lists and tuples with leaves: walking, checking, copying, replacing, describing.

A leaf is a `Prior`, a number or a `Tied`. Everything is in the order of declaration (JAX would sort the keys of dicts). What the leaves
mean together (parameters, ties, constraints) is the business of `fitcore.model.model`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np
from jax.core import Tracer

from fitcore.errors import ModelError
from fitcore.model.component import Domain, Tied, check_fields, is_component, layout, rebuilt
from fitcore.model.prior import Prior, check_is_dataclass
from fitcore.naming import suggestion

del _backend

LeafValue = Prior | float | Tied

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One leaf of a tree: where it is, what it is, and the domain that its component's field declares."""

    path: str
    value: LeafValue
    domain: Domain | None


def joined(*names: str) -> str:
    """A path from its parts; empty parts are left out."""
    return ".".join(name for name in names if name)


def children(node: Any) -> list[tuple[str, Any]] | None:
    """The named parts of a node, in order of declaration; None for a leaf."""
    if is_component(node):
        return [(name, getattr(node, name)) for name in layout(type(node)).data]
    if isinstance(node, dict):
        return list(node.items())
    if isinstance(node, (list, tuple)):
        return [(str(i), child) for i, child in enumerate(node)]
    return None


def with_children(node: Any, values: Sequence[Any]) -> Any:
    """A node of the same kind with other parts."""
    if is_component(node):
        return rebuilt(node, values)
    if isinstance(node, dict):
        return dict(zip(node, values, strict=True))
    return list(values) if isinstance(node, list) else tuple(values)


def mapped(node: Any, function: Callable[[Any, str], Any], path: str = "") -> Any:
    """A copy of the tree with ``function(leaf, path)`` in place of each leaf."""
    parts = children(node)
    if parts is None:
        return function(node, path)
    return with_children(node, [mapped(child, function, joined(path, name)) for name, child in parts])


def checked(node: Any, path: str = "", above: tuple[int, ...] = ()) -> Any:
    """A copy of the tree in which every number is a Python float.

    Raises
    ------
    ModelError : for anything that is no tree, with its path.
    """
    where = path or "the tree"
    if id(node) in above:
        raise ModelError(f"{where}: the tree contains itself; a tree must end in leaves.")
    if isinstance(node, tuple) and hasattr(node, "_fields"):
        raise ModelError(f"{where}: a named tuple {type(node).__name__}; use a component, a dict, a list or a plain tuple.")
    parts = children(node)
    if parts is None:
        return _checked_leaf(node, where)
    if isinstance(node, dict):
        for name in node:
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise ModelError(f"{where}: the key {name!r} cannot be part of a path; use letters, digits, '_' and '-', a letter first.")
    if is_component(node):
        check_fields(node)
        for name in layout(type(node)).static:
            _checked_constant(getattr(node, name), joined(path, name))
    return with_children(node, [checked(child, joined(path, name), (*above, id(node))) for name, child in parts])


def _checked_leaf(value: Any, where: str) -> LeafValue:
    if isinstance(value, Prior):
        check_is_dataclass(value)
        return value
    if isinstance(value, Tied):
        return value
    if isinstance(value, type):
        raise ModelError(f"{where}: {value.__name__} is a class; give an instance of it.")
    is_number = isinstance(value, (int, float, np.number, np.ndarray, jax.Array)) and not isinstance(value, (bool, np.complexfloating))
    if not is_number or np.ndim(value) != 0 or isinstance(value, Tracer):
        shape = f" of shape {np.shape(value)}" if isinstance(value, (np.ndarray, jax.Array)) else f" {value!r}"
        raise ModelError(
            f"{where}: {type(value).__name__}{shape} cannot be part of a model. A leaf is a prior, one number or Tied(path); a node is a "
            "component, a dict, a list or a tuple. Data belong to the analysis."
        )
    number = float(value) + 0.0
    if not math.isfinite(number):
        raise ModelError(f"{where}: the fixed value is {number!r}; it must be finite.")
    return number


def _checked_constant(value: Any, where: str) -> None:
    if isinstance(value, (tuple, frozenset)):
        for item in value:
            _checked_constant(item, where)
    elif not (value is None or type(value) in (bool, int, float, complex, str, bytes)):
        raise ModelError(
            f"{where}: the constant is {value!r} of type {type(value).__name__}; allowed are plain numbers, strings and tuples of them."
        )


def entries(node: Any) -> Iterator[Entry]:
    """All leaves in order of declaration."""
    yield from _entries(node, "", None)


def _entries(node: Any, path: str, domain: Domain | None) -> Iterator[Entry]:
    parts = children(node)
    if parts is None:
        yield Entry(path=path, value=node, domain=domain)
        return
    domains = layout(type(node)).domains if is_component(node) else {}
    for name, child in parts:
        yield from _entries(child, joined(path, name), domains.get(name))


def node_paths(node: Any, path: str = "") -> Iterator[str]:
    """The paths of all nodes and leaves but the root, in order of declaration."""
    for name, child in children(node) or ():
        yield joined(path, name)
        yield from node_paths(child, joined(path, name))


def node_at(tree: Any, path: str) -> Any:
    """The node or leaf at ``path``; the root for an empty path."""
    node = tree
    for name in path.split(".") if path else ():
        parts = dict(children(node) or ())
        if name not in parts:
            raise ModelError(f"The model has no {path!r}. {suggestion(path, node_paths(tree), kind='paths')}")
        node = parts[name]
    return node


def with_node(tree: Any, path: str, value: Any) -> Any:
    """A copy of the tree with ``value`` at an existing path; components check their domains anew."""
    node_at(tree, path)
    return _with_node(tree, path.split("."), value)


def _with_node(node: Any, names: list[str], value: Any) -> Any:
    if not names:
        return value
    parts = children(node) or []
    made = with_children(node, [_with_node(child, names[1:], value) if name == names[0] else child for name, child in parts])
    if is_component(made):
        check_fields(made)
    return made


def drawn(node: Any, leaf_text: Callable[[Any, str], str], path: str = "", indent: str = "") -> Iterator[str]:
    """The tree as lines of text; leaves in the words of ``leaf_text(leaf, path)``."""
    parts = children(node) or []
    width = max((len(name) for name, child in parts if children(child) is None), default=0)
    for i, (name, child) in enumerate(parts):
        last = i == len(parts) - 1
        here = joined(path, name)
        branch = indent + ("└── " if last else "├── ")
        if children(child) is None:
            yield f"{branch}{name:<{width}}  {leaf_text(child, here)}"
        else:
            yield f"{branch}{name}: {kind_of(child)}"
            yield from drawn(child, leaf_text, here, indent + ("    " if last else "│   "))


def kind_of(node: Any) -> str:
    """A node's kind in words: the component's name and constants, or the container's type."""
    if not is_component(node):
        return type(node).__name__
    constants = ", ".join(f"{name}={getattr(node, name)!r}" for name in layout(type(node)).static)
    return f"{type(node).__name__}({constants})" if constants else type(node).__name__
