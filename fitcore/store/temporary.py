"""A store for those who name none: in a temporary folder, removed with the object that needs it."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from typing import Any

from fitcore.store.store import Store


def temporary_store() -> Store:
    """A new store in a folder of the system's temporary directory; hand it to `removed_with`, or it stays."""
    return Store(tempfile.mkdtemp(prefix="fitcore-"))


def removed_with(store: Store, owner: Any) -> None:
    """Remove the store's folder when ``owner`` is no longer used, or at the end of the process."""
    weakref.finalize(owner, shutil.rmtree, str(store.path), ignore_errors=True)
