"""Plain data to text and back: canonical JSON for records, and a tagged form for the nested state of a search. No files here."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import CanonicalFormError


def plain(value: Any, where: str = "value") -> Any:
    """The same data as dicts with string keys, lists, strings, numbers, booleans and None only.

    Raises
    ------
    CanonicalFormError : something has no such form; the message names the place.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise CanonicalFormError(f"{where} has the key {wrong[0]!r} of type {type(wrong[0]).__name__}: JSON keys must be strings")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    raise CanonicalFormError(
        f"{where} is a {type(value).__name__}, which JSON cannot hold: use numbers, strings, lists and dicts here, and put arrays among "
        f"the arrays"
    )


def to_json(value: Any, where: str = "value") -> bytes:
    """Canonical JSON: sorted keys, no spaces, every float by its shortest exact form; NaN and infinities as Python writes them."""
    return _canonical(plain(value, where))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def signed(record: Mapping[str, Any], where: str, key: bytes | None = None) -> bytes:
    """A record as JSON, with the sha256 of its own canonical form in it, for reading by `unsigned`.

    Parameters
    ----------
    where : the kind of record, in words; part of what is signed, so that no record can stand for one of another kind.
    key : also put an HMAC-SHA256 of the canonical form under this secret in it, for `signature_fault`.
    """
    body = {name: value for name, value in record.items() if name != "sha256"}
    if key is not None:
        body["hmac"] = _signature(body, where, key)
    return _sealed(plain(body, where))


def _sealed(body: Mapping[str, Any], seal: str = "") -> bytes:
    """The text of a record; ``seal`` where the sha256 of its canonical form is known already."""
    seal = seal or hashlib.sha256(_canonical(body)).hexdigest()
    return json.dumps({**body, "sha256": seal}, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"


def _signature(record: Mapping[str, Any], where: str, key: bytes) -> str:
    body = {name: value for name, value in record.items() if name != "hmac"}
    return hmac.new(key, f"fitcore {where}\n".encode() + to_json(body, where), hashlib.sha256).hexdigest()


def signature_fault(record: Mapping[str, Any], where: str, key: bytes | None) -> str:
    """Why a record that `unsigned` gave may not be used under this key; empty if it may, and always without a key."""
    if key is None or hmac.compare_digest(str(record.get("hmac", "")).encode(), _signature(record, where, key).encode()):
        return ""
    how = "it was signed with another key" if "hmac" in record else "it is not signed at all"
    return (
        f"was not signed with this store's key: it is not read, and nothing was moved ({how}). Give the key it was signed with, use the "
        f"store without a key if you trust all who can write to it, or name another store"
    )


def unsigned(data: bytes) -> dict[str, Any]:
    """The record that `signed` wrote.

    Raises
    ------
    ValueError : it is damaged.
    """
    try:
        record = json.loads(data.decode("ascii"))
        if not isinstance(record, dict):
            raise ValueError("not a record")
        seal = record.pop("sha256", None)
        if seal != hashlib.sha256(_canonical(record)).hexdigest():
            raise ValueError("its own sha256 does not match")
        # Spaces, or a key that is there twice, change no value: the bytes must be those that `signed` writes.
        if _sealed(record, seal) != data:
            raise ValueError("its values are whole, but not its bytes")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return record


def pack(state: Any) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Take nested state apart: a tagged JSON tree, and the arrays by name.

    Dicts (with keys of any kind here), lists, tuples, arrays, NumPy scalars, integers of any size, floats, complex numbers, strings,
    bytes, booleans and None come back from `unpack` as they were.

    Raises
    ------
    CanonicalFormError : something else is in it.
    """
    arrays: dict[str, NDArray[Any]] = {}
    return _pack(state, "state", arrays), arrays


def _pack(value: Any, where: str, arrays: dict[str, NDArray[Any]]) -> Any:  # noqa: PLR0911 - one return for each kind
    if isinstance(value, (np.ndarray, np.generic)):
        name = f"array{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"scalar" if isinstance(value, np.generic) else "array": name}
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {"dict": [[_pack(key, where, arrays), _pack(item, f"{where}[{key!r}]", arrays)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_pack(item, f"{where}[{i}]", arrays) for i, item in enumerate(value)]}
    # Device arrays and the like: anything that says that it is an array.
    if hasattr(value, "__array__"):
        return _pack(np.asarray(value), where, arrays)
    raise CanonicalFormError(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot hold: use arrays, numbers, strings, bytes, lists and dicts"
    )


def unpack(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: PLR0911 - one return for each kind
    """Put together what `pack` took apart.

    Raises
    ------
    ValueError : the tree was not made by `pack`.
    """
    if not isinstance(tree, dict):
        return tree
    ((tag, item),) = tree.items()
    if tag in ("array", "scalar"):
        return arrays[item] if tag == "array" else arrays[item][()]
    if tag == "int":
        return int(item)
    if tag == "complex":
        return complex(*item)
    if tag == "bytes":
        return base64.b64decode(item)
    if tag == "dict":
        return {unpack(key, arrays): unpack(value, arrays) for key, value in item}
    if tag in ("list", "tuple"):
        return (tuple if tag == "tuple" else list)(unpack(value, arrays) for value in item)
    raise ValueError(f"unknown tag {tag!r}")
