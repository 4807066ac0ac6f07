"""The errors that commands tell in words, and the stores that they open."""

from __future__ import annotations

from pathlib import Path

from fitcore import ConfigError, FitcoreError, Store
from flows.settings import SettingsError
from flows.troubles import DatabaseError, ServerError

TOLD = (FitcoreError, ServerError, DatabaseError, SettingsError)


def existing(folder: Path, key: bytes | None) -> Store:
    """The store in a folder, which must be there.

    Raises
    ------
    ConfigError
        when it is not.
    """
    if not folder.exists():
        raise ConfigError(f"There is no store {folder.absolute()}. Name one by --store or FITCORE_STORE; 'fitcore run' makes one.")
    return Store(folder, key=key)


def to_write(folder: Path, key: bytes | None) -> Store:
    """The store in a folder, made where it is not there."""
    return Store(folder, key=key)


def to_look_at(folder: Path, key: bytes | None) -> Store:
    """The store in a folder as it is; nothing is made, and nothing can be written."""
    return Store(folder, key=key, is_looking=True)
