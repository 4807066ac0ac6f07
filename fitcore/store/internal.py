"""A search's internal state. What is plain data (arrays, numbers, texts, lists and dicts of them) goes into the result's own file, in a
form by which nothing can be run. Anything else is kept as opaque bytes beside the result and never unpickled here; where the store has a
key, they are signed through their commit record, as every part is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import CanonicalFormError, ConfigError, CorruptResultError
from fitcore.store import encoding, hdf5, reading
from fitcore.store.commit import Contents, commit
from fitcore.store.layout import INTERNAL, Layout
from fitcore.store.reading import Record

PREFIX = f"{INTERNAL}."


def plain_internal(state: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """Attributes and arrays, for the result's file, that hold plain data; none for None, and None where something else is in ``state``."""
    if state is None:
        return {}, {}
    try:
        tree, arrays = encoding.pack(state)
        found = hdf5.checked_arrays({f"{PREFIX}{name}": array for name, array in arrays.items()})
    except (CanonicalFormError, RecursionError):
        return None
    return {INTERNAL: tree}, found


def internal_of(record: Record) -> Any:
    """The plain data that `plain_internal` put into a result's file; None where there are none.

    Raises
    ------
    CorruptResultError : they are not what it put there.
    """
    tree = record.attributes.get(INTERNAL)
    if tree is None:
        return None
    arrays: Mapping[str, NDArray[Any]] = record.arrays()
    try:
        return encoding.unpack(tree, {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)})
    except (*hdf5.UNREADABLE, RecursionError) as error:
        raise CorruptResultError(
            f"{record.path} holds an internal state that fitcore has not made ({error}): its other values are whole; do without, or "
            "remove the result and compute it anew"
        ) from error


def write_internal(layout: Layout, digest: str, data: bytes) -> None:
    """Keep ``data``; the first one wins, before or after the result itself."""
    commit(layout, digest, INTERNAL, Contents(arrays={"data": np.frombuffer(data, dtype=np.uint8)}, attributes={}, spec=None))


def read_internal(layout: Layout, digest: str, *, trust: bool) -> bytes:
    """What `write_internal` kept.

    Raises
    ------
    ConfigError : ``trust`` is not True.
    ResultNotFoundError : there is none.
    StoreError : there is a key, and the state was not signed with it.
    """
    if trust is not True:
        raise ConfigError(
            "the internal state of a search is a pickle, and reading it runs the code that is in it: pass trust=True if this store is "
            "your own or comes from someone you trust"
        )
    return reading.read(layout, digest, INTERNAL).arrays(["data"])["data"].tobytes()
