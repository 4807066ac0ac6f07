"""What the hostile files carry, and how a case of them is described."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class ServedError(AssertionError):
    """A hostile file was believed."""


class Touch:
    """Makes the file of the canary when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch $CANARY",)


PICKLE = pickle.dumps(Touch(), protocol=0)
"""Text only, so that it can stand wherever a text can."""


def canary(place: Path) -> Path:
    return place / "canary"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One hostile file.

    Parameters
    ----------
    build : makes it in a folder.
    attempt : does with it what a user would do; returns what was told in warnings, raises `ServedError` when it was believed.
    says : words that must be among those of the error or warning.
    """

    build: Callable[[Path], None]
    attempt: Callable[[Path], str]
    says: str
