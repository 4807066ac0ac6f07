"""A search's internal state, kept as opaque bytes beside the result and never unpickled here. Signed where the store has a key."""

import hashlib
import hmac

import numpy as np

from fitcore.errors import ConfigError, StoreError
from fitcore.store import reading
from fitcore.store.commit import Contents, commit
from fitcore.store.layout import INTERNAL, Layout


def write_internal(layout: Layout, digest: str, data: bytes, key: bytes | None) -> None:
    """Keep ``data``; the first one wins, before or after the result itself."""
    facts = {} if key is None else {"hmac": _signature(digest, data, key)}
    contents = Contents(arrays={"data": np.frombuffer(data, dtype=np.uint8)}, attributes={}, spec=None)
    commit(layout, digest, INTERNAL, contents, facts=facts)


def read_internal(layout: Layout, digest: str, key: bytes | None, *, trust: bool) -> bytes:
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
    record = reading.read(layout, digest, INTERNAL)
    data = record.arrays(["data"])["data"].tobytes()
    if key is not None and not hmac.compare_digest(str(record.manifest.get("hmac", "")), _signature(digest, data, key)):
        raise StoreError(
            f"the internal state of {digest} was not signed with this store's key: it is not read. Give the key it was signed with, or "
            f"compute the result anew"
        )
    return data


def _signature(digest: str, data: bytes, key: bytes) -> str:
    return hmac.new(key, digest.encode() + data, hashlib.sha256).hexdigest()
