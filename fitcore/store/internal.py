"""A search's internal state, kept as opaque bytes beside the result and never unpickled here. Where the store has a key, it is signed
through its commit record, as every part is."""

import numpy as np

from fitcore.errors import ConfigError
from fitcore.store import reading
from fitcore.store.commit import Contents, commit
from fitcore.store.layout import INTERNAL, Layout


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
