"""Components: the named parts of a model, as frozen dataclasses that JAX can take apart.

Here live the decorator, the marker and the domain of a leaf field, and the register of component classes. Trees of components are in
`fitcore.model.tree`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np

from fitcore.errors import ModelError
from fitcore.identity import type_name
from fitcore.model.prior import Prior
from fitcore.naming import suggestion

del _backend

C = TypeVar("C")

if TYPE_CHECKING:
    Leaf: typing.TypeAlias = Any
else:

    class Leaf:
        """Annotation of a component's field that holds a prior, a number or a tie in a model, and a number in an instance."""


_DOMAIN = "fitcore.domain"
_LAYOUT = "__fitcore_layout__"
_PLAIN_NAMES = frozenset(
    ["int", "str", "bool", "float", "complex", "bytes", "None", "NoneType", "Optional", "Union", "Literal", "tuple", "frozenset"]
)

_known: dict[str, type] = {}


@dataclass(frozen=True)
class Tied:
    """A leaf that always has the value of another one.

    Parameters
    ----------
    path : the other leaf's path in the model, such as ``"line.center"``.
    """

    path: str

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise ModelError(f"Tied({self.path!r}): the path must be the name of a leaf, such as Tied('line.center').")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Where a leaf's value makes sense.

    Parameters
    ----------
    lower, upper : the limits, in the field's unit.
    open_lower, open_upper : whether a limit itself is excluded. A prior may still touch it: it takes that value with probability zero.
    """

    lower: float = -math.inf
    upper: float = math.inf
    open_lower: bool = False
    open_upper: bool = False

    def __str__(self) -> str:
        left = "(" if self.open_lower or math.isinf(self.lower) else "["
        right = ")" if self.open_upper or math.isinf(self.upper) else "]"
        return f"{left}{self.lower:g}, {self.upper:g}{right}"

    def check(self, value: Any, where: str) -> None:
        """Raise `ModelError` when a number or a prior's support is outside; anything else passes."""
        if isinstance(value, Prior):
            lower, upper = value.support
            if lower < self.lower or upper > self.upper:
                raise ModelError(f"{where}: {value} reaches outside the domain {self}. Narrow it, or use TruncatedNormal or LogNormal.")
        elif isinstance(value, (int, float, np.number)) and not isinstance(value, np.complexfloating):
            low = value > self.lower if self.open_lower else value >= self.lower
            high = value < self.upper if self.open_upper else value <= self.upper
            if not (low and high):
                raise ModelError(f"{where}: {value!r} is outside the domain {self}. Give a number inside it.")


def leaf(
    *,
    lower: float = -math.inf,
    upper: float = math.inf,
    open_lower: bool = False,
    open_upper: bool = False,
    default: Any = dataclasses.MISSING,
) -> Any:
    """The specification of a leaf field: its domain, and its value where none is given.

    Examples
    --------
    >>> @component
    ... class Gaussian:
    ...     center: Leaf
    ...     sigma: Leaf = leaf(lower=0, open_lower=True, default=1.0)
    >>> Gaussian(center=0.0).sigma
    1.0
    """
    if not lower < upper:
        raise ModelError(f"leaf(lower={lower!r}, upper={upper!r}): the lower limit must be below the upper one.")
    domain = Domain(lower=float(lower), upper=float(upper), open_lower=open_lower, open_upper=open_upper)
    return dataclasses.field(default=default, metadata={_DOMAIN: domain})


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A component class's fields: ``data`` are parts of the tree, ``static`` are plain constants, ``domains`` belong to leaf fields."""

    data: tuple[str, ...]
    static: tuple[str, ...]
    domains: dict[str, Domain]


def layout(cls: type) -> Layout:
    """The layout of a component class."""
    return getattr(cls, _LAYOUT)


def is_component(value: Any) -> bool:
    """True for an instance of a component class."""
    return _LAYOUT in type(value).__dict__


def component_class(name: str) -> type:
    """The imported component class of that name (``module:QualName``)."""
    if name not in _known:
        raise ModelError(
            f"The component class {name!r} is not known. {suggestion(name, sorted(_known), kind='component classes')} "
            "Import the module that defines it before reading the model."
        )
    return _known[name]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(leaf, dataclasses.field))
def component(cls: type[C]) -> type[C]:
    """Make a class a component: a frozen, keyword-only dataclass, registered as a JAX pytree and for reading stored models.

    Fields annotated `Leaf` hold a `Prior`, a number or a `Tied`; fields annotated with a component class, ``dict`` or ``list`` hold
    further parts of the tree; fields annotated with plain types (``int``, ``str``, ``bool``, ``float``, ``tuple[float, ...]``, ...) are
    constants that belong to the structure. A misspelt, missing or surplus field, and a number or prior outside a field's domain, is a
    `ModelError` where the component is made.

    JAX rebuilds components without calling ``__init__`` or ``__post_init__``.
    """
    made = dataclass(frozen=True, kw_only=True)(cls)
    names = tuple(f.name for f in dataclasses.fields(made) if f.init)  # type: ignore[arg-type]  # a dataclass by now
    static = tuple(f.name for f in dataclasses.fields(made) if f.init and _is_plain(f.type))  # type: ignore[arg-type]  # as above
    domains = {f.name: f.metadata[_DOMAIN] for f in dataclasses.fields(made) if _DOMAIN in f.metadata}  # type: ignore[arg-type]  # as above
    for name in static:
        if name in domains:
            raise ModelError(f"{cls.__name__}.{name} has a domain but is annotated as a constant; annotate it with Leaf.")
    setattr(made, _LAYOUT, Layout(data=tuple(n for n in names if n not in static), static=static, domains=domains))
    setattr(made, "__init__", _checked_init(made, names))  # noqa: B010 - an assignment to __init__ is refused by the type checker
    _register(made)
    _known[type_name(made)] = made
    return made


def _is_plain(annotation: Any) -> bool:
    """Whether an annotation names plain types only, so that the field is a constant.

    Told from its text, for annotations may be strings whose names cannot be resolved yet.
    """
    text = annotation if isinstance(annotation, str) else _annotation_text(annotation)
    text = re.sub(r"(['\"]).*?\1", "", text)
    names = re.findall(r"[A-Za-z_][A-Za-z_0-9.]*", text)
    return bool(names) and all(name.rsplit(".", 1)[-1] in _PLAIN_NAMES for name in names)


def _annotation_text(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)


def _checked_init(cls: type, names: tuple[str, ...]) -> Any:
    inner = cls.__init__
    fields = [f for f in dataclasses.fields(cls) if f.init]
    required = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]

    @functools.wraps(inner)
    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807 - it becomes the method
        if args:
            raise ModelError(f"{cls.__name__} takes no positional arguments; name its fields: {', '.join(names)}.")
        for name in values:
            if name not in names:
                raise ModelError(f"{cls.__name__} has no field {name!r}. {suggestion(name, names, kind='fields')}")
        missing = [name for name in required if name not in values]
        if missing:
            lacking = ", ".join(repr(name) for name in missing)
            raise ModelError(f"{cls.__name__} lacks {lacking}. Give all of its fields: {', '.join(names)}.")
        inner(self, **values)
        check_fields(self)

    return __init__


def check_fields(node: Any) -> None:
    """Raise `ModelError` for a constant that holds part of a tree, or a leaf outside its field's domain."""
    fields = layout(type(node))
    for name in fields.static:
        value = getattr(node, name)
        if isinstance(value, (Prior, Tied, jax.Array)) or is_component(value):
            raise ModelError(f"{type(node).__name__}.{name} is a constant and cannot hold {value}; annotate the field with Leaf to fit it.")
    for name in fields.data:
        value = getattr(node, name)
        if isinstance(value, (str, bytes)):
            raise ModelError(f"{type(node).__name__}.{name} is {value!r}; give a prior, a number, or Tied({value!r}).")
        if name in fields.domains:
            fields.domains[name].check(value, f"{type(node).__name__}.{name}")


def rebuilt(node: Any, values: Sequence[Any]) -> Any:
    """A component like ``node`` with other values of its data fields, in order, and the same constants; nothing is checked."""
    return _assembled(type(node), tuple(getattr(node, name) for name in layout(type(node)).static), values)


def _assembled(cls: type, constants: Sequence[Any], values: Sequence[Any]) -> Any:
    made = object.__new__(cls)
    fields = layout(cls)
    for name, value in zip((*fields.static, *fields.data), (*constants, *values), strict=True):
        object.__setattr__(made, name, value)
    return made


def _register(cls: type) -> None:
    fields = layout(cls)
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in fields.data)

    def flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(node, name) for name in fields.data), tuple(getattr(node, name) for name in fields.static)

    def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, constants = flatten(node)
        return tuple(zip(keys, children, strict=True)), constants

    def unflatten(constants: tuple[Any, ...], children: Any) -> Any:
        return _assembled(cls, constants, tuple(children))

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
