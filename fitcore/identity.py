"""The canonical form of a request, its digest, and the differences between two requests. Nothing is written or cached here.

The canonical form is nested lists of strings and booleans in which every value carries its type: ``0.1`` becomes ``["float", "0.1"]``, a
`Uniform(0.1, 1)` and a `LogUniform(0.1, 1)` differ by their type's name, sets and mappings are in one fixed order. It holds no address,
no hash seed and no platform's byte order, so the digest is the same in every process and on every machine.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
import reprlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.lib.recfunctions import repack_fields

from fitcore.errors import CanonicalFormError

FORM_VERSION = 1
"""Raised when the canonical form of any value changes: every digest changes with it."""

LINKED_DIGITS = 12
DEEPEST = 200
MOST_BITS = 10_000  # Python writes no longer numbers in decimal digits
SIMPLE = {"none": 0, "bool": 1, "int": 1, "float": 1, "str": 1, "bytes": 1, "enum": 2, "complex": 2}

Form = list[Any]


def type_name(cls: type) -> str:
    """A stable name of a class: ``module:QualName``; fitcore's own are ``fitcore:QualName``, so that moving a file moves no digest."""
    module = cls.__module__
    return f"{'fitcore' if module == 'fitcore' or module.startswith('fitcore.') else module}:{cls.__qualname__}"


def round_linked(x: Any) -> Any:
    """``x`` rounded to 12 significant digits: a Python float for a scalar, an array for an array.

    Numbers that come from a result pass through here before they become part of the next request, so that a difference of one unit in
    the last place does not miss the cache.
    """
    if np.ndim(x) == 0:
        return float(f"{float(x):.{LINKED_DIGITS - 1}e}")
    values = np.asarray(x, dtype=np.float64)
    return np.array([round_linked(value) for value in values.ravel()], dtype=np.float64).reshape(values.shape)


def canonical(obj: Any) -> Form:
    """The canonical, type-tagged form of ``obj``.

    Understood are None, bool, int, float, complex, str, bytes, enum members, NumPy scalars (by their value) and arrays (by dtype, shape and
    bytes), JAX arrays, lists, tuples, sets, mappings, and objects. An object is described by its ``identity()`` where it has one,
    else by the fields of its dataclass, else by its ``to_dict()``.

    Returns
    -------
    Nested lists of strings and booleans, JSON-able.

    Raises
    ------
    CanonicalFormError : for anything else, with the path to it.
    """
    try:
        return _form(obj, "", ())
    except RecursionError:
        raise _refuse(obj, "", "it is nested too deeply") from None


def digest(obj: Any) -> str:
    """The sha256 of the canonical form, 64 hexadecimal digits."""
    return form_digest(canonical(obj))


def form_digest(form: Form) -> str:
    """The digest of an object whose canonical form is ``form``."""
    return hashlib.sha256(f"fitcore-{FORM_VERSION}\n{_text(form)}".encode("ascii")).hexdigest()


def differences(a: Any, b: Any) -> list[str]:
    """Where ``a`` and ``b`` differ: one line ``path: value in a -> value in b`` for each field; empty when their digests agree."""
    return form_differences(canonical(a), canonical(b))


def form_differences(a: Form, b: Form) -> list[str]:
    """`differences` of two stored canonical forms.

    Raises
    ------
    CanonicalFormError : one is no canonical form.
    """
    for which, form in (("first", a), ("second", b)):
        if not is_form(form):
            raise CanonicalFormError(
                f"what was asked, as the {which} result records it, is {reprlib.repr(form)}: no canonical form of anything, so fitcore has "
                "not written it. Compute the result anew, or use a store that you trust."
            )
    lines: list[str] = []
    _compare(a, b, "", lines)
    return lines


def is_form(form: Any, depth: int = 0) -> bool:
    """Whether a value is a canonical form, by its structure; those that are read from a store may be anything."""
    if not (isinstance(form, list) and form and isinstance(form[0], str) and depth < DEEPEST):
        return False
    kind, parts = form[0], form[1:]
    if kind in ("list", "tuple", "set"):
        return len(parts) == 1 and isinstance(parts[0], list) and all(is_form(item, depth + 1) for item in parts[0])
    if kind == "object":
        return len(parts) == 2 and isinstance(parts[0], str) and is_form(parts[1], depth + 1)
    if kind == "dict":
        pairs = parts[0] if len(parts) == 1 and isinstance(parts[0], list) else [()]
        return all(isinstance(pair, list) and len(pair) == 2 and all(is_form(item, depth + 1) for item in pair) for pair in pairs)
    if kind == "array":
        return len(parts) == 3 and isinstance(parts[1], list) and all(isinstance(text, str) for text in (parts[0], *parts[1], parts[2]))
    return len(parts) == SIMPLE.get(kind, -1) and all(isinstance(part, str | bool) for part in parts)


def _text(form: Form) -> str:
    return json.dumps(form, separators=(",", ":"), ensure_ascii=True)


def _refuse(obj: Any, path: str, why: str) -> CanonicalFormError:
    where = path or "the value itself"
    return CanonicalFormError(
        f"{where}: {type(obj).__module__}.{type(obj).__qualname__} has no stable form ({why}). Allowed are numbers, strings, arrays, "
        "lists, tuples, sets, mappings, dataclasses, and objects with an identity() method: leave it out, or describe it by these."
    )


def _float_form(value: float) -> Form:
    return ["float", "nan" if math.isnan(value) else repr(value + 0.0)]


def _form(obj: Any, path: str, above: tuple[int, ...]) -> Form:
    if id(obj) in above:
        raise _refuse(obj, path, "it contains itself")
    simple = _simple_form(obj, path)
    if simple is not None:
        return simple
    above = (*above, id(obj))
    if type(obj) in (list, tuple):
        return [type(obj).__name__, [_form(item, f"{path}[{i}]", above) for i, item in enumerate(obj)]]
    if isinstance(obj, (set, frozenset)):
        return ["set", sorted((_form(item, f"{path}{{}}", above) for item in obj), key=_text)]
    described = _described(obj, path)
    if described is not None:
        return ["object", type_name(type(obj)), _form(described, path, above)]
    if isinstance(obj, Mapping):
        return _mapping_form(obj, path, above)
    raise _refuse(obj, path, "its attributes may hold anything")


def _simple_form(obj: Any, path: str) -> Form | None:
    """The form of a value without parts; None for anything else."""
    form: Form | None = None
    if obj is None:
        form = ["none"]
    elif isinstance(obj, enum.Enum):
        # A flag of bits that have no name has none itself.
        form = ["enum", type_name(type(obj)), f"value {obj.value!r}" if obj.name is None else obj.name]
    elif isinstance(obj, (bool, np.bool_)):
        form = ["bool", bool(obj)]
    elif type(obj) is int or isinstance(obj, np.integer):
        form = ["int", str(int(obj)) if int(obj).bit_length() <= MOST_BITS else hex(obj)]
    elif type(obj) is float or isinstance(obj, np.floating):
        form = _wide_or_float_form(obj, path)
    elif type(obj) is complex or isinstance(obj, np.complexfloating):
        form = ["complex", _wide_or_float_form(obj.real, path)[1], _wide_or_float_form(obj.imag, path)[1]]
    elif type(obj) in (str, np.str_):
        form = ["str", str(obj)]
    elif type(obj) is bytes:
        form = ["bytes", obj.hex()]
    elif type(obj) is np.ndarray or _is_jax_array(obj):
        form = _array_form(obj, path)
    return form


def _wide_or_float_form(obj: Any, path: str) -> Form:
    value = float(obj)
    if isinstance(obj, np.floating) and not (np.isnan(obj) or obj == value):
        raise _refuse(obj, path, "it is wider than a double and differs between platforms")
    return _float_form(value)


def _is_jax_array(obj: Any) -> bool:
    """Told by its type's module, for this one does not import jax."""
    return type(obj).__module__.startswith(("jax", "jaxlib")) and hasattr(obj, "dtype") and hasattr(obj, "shape")


def _array_form(obj: Any, path: str) -> Form:
    try:
        array = np.asarray(obj)
    except Exception as error:  # what tracers raise is JAX's own; whatever it is, the array has no values
        raise _refuse(obj, path, f"its values are not known: {type(error).__name__}") from error
    if array.dtype.hasobject:
        raise _refuse(obj, path, "an array of Python objects")
    if array.dtype.kind in "fc" and array.dtype.itemsize > 8 * (1 + (array.dtype.kind == "c")):
        raise _refuse(obj, path, "it is wider than a double and differs between platforms")
    if array.dtype.names:  # between the fields of a record there may be bytes that mean nothing
        array = repack_fields(array, recurse=True)
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    kind = json.dumps(little.dtype.descr) if little.dtype.names else little.dtype.str
    return ["array", kind, [str(n) for n in array.shape], hashlib.sha256(little.tobytes()).hexdigest()]


def _described(obj: Any, path: str) -> Any:
    """A mapping that says what ``obj`` is, or None."""
    if isinstance(obj, type):
        raise _refuse(obj, path, "a class")
    if is_dataclass(obj) and not callable(getattr(obj, "identity", None)):
        return {f.name: getattr(obj, f.name) for f in fields(obj)}
    for name in ("identity", "_asdict", "to_dict"):
        if callable(method := getattr(obj, name, None)):
            return method()
    return None


def _mapping_form(obj: Mapping[Any, Any], path: str, above: tuple[int, ...]) -> Form:
    pairs = []
    for key, value in obj.items():
        name = key if isinstance(key, str) else f"[{key!r}]"
        inner = f"{path}.{name}" if path and isinstance(key, str) else f"{path}{name}"
        pairs.append([_form(key, inner, above), _form(value, inner, above)])
    return ["dict", sorted(pairs, key=lambda pair: _text(pair[0]))]


def _shown(form: Form) -> str:
    """A canonical form in words."""
    kind, text = form[0], " ".join(str(part) for part in form)
    if kind == "none":
        text = "None"
    elif kind in ("int", "float"):
        text = form[1]
    elif kind in ("str", "bool"):
        text = repr(form[1])
    elif kind == "array":
        text = f"array of {form[1]} and shape ({', '.join(form[2])}), sha256 {form[3][:12]}"
    elif kind == "object" and form[2][0] == "dict":
        text = f"{form[1]}({', '.join(f'{key[1]}={_shown(value)}' for key, value in form[2][1])})"
    elif kind == "object":
        text = f"{form[1]}({_shown(form[2])})"
    elif kind == "dict":
        text = "{" + ", ".join(f"{_shown(key)}: {_shown(value)}" for key, value in form[1]) + "}"
    elif kind in ("list", "tuple", "set"):
        text = f"{kind} of {len(form[1])}: " + ", ".join(_shown(item) for item in form[1])
    return text


def _clipped(form: Form, size: int = 160) -> str:
    text = _shown(form)
    return text if len(text) <= size else f"{text[: size - 3]}..."


def _compare(a: Form, b: Form, path: str, lines: list[str]) -> None:
    if a == b:
        return
    where = path or "the value itself"
    if a[0] != b[0] or (a[0] == "object" and a[1] != b[1]):
        kinds = "" if a[0] == b[0] or _shown(a) != _shown(b) else f" ({a[0]} -> {b[0]})"
        lines.append(f"{where}: {_clipped(a)} -> {_clipped(b)}{kinds}")
    elif a[0] == "object":
        _compare(a[2], b[2], path, lines)
    elif a[0] == "dict":
        _compare_dicts(a, b, path, lines)
    elif a[0] in ("list", "tuple") and len(a[1]) == len(b[1]):
        for i, (one, other) in enumerate(zip(a[1], b[1], strict=True)):
            _compare(one, other, f"{path}[{i}]", lines)
    else:
        lines.append(f"{where}: {_clipped(a)} -> {_clipped(b)}")


def _compare_dicts(a: Form, b: Form, path: str, lines: list[str]) -> None:
    left, right = ({_text(key): (key, value) for key, value in form[1]} for form in (a, b))
    for text in sorted({*left, *right}):
        key = (left.get(text) or right[text])[0]
        name = key[1] if key[0] == "str" else f"[{_shown(key)}]"
        inner = f"{path}.{name}" if path and key[0] == "str" else f"{path}{name}"
        if text not in right:
            lines.append(f"{inner}: {_clipped(left[text][1])} -> (absent)")
        elif text not in left:
            lines.append(f"{inner}: (absent) -> {_clipped(right[text][1])}")
        else:
            _compare(left[text][1], right[text][1], inner, lines)
