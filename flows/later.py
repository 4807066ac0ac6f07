"""Modules that are imported when first used: the command line answers ``--help`` and a shell's completion without JAX, HDF5 and rich.

A module that uses it has the plain import under ``TYPE_CHECKING``, so that its types are checked as ever.
"""

from __future__ import annotations

import importlib
from typing import Any


class Later:
    """Stands for a module of `flows`; whatever is taken from it is the module's own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(f"flows.{self._name}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "_name":
            raise AttributeError(f"{name} is set on the module flows.{self._name} itself, not on what stands for it")
        super().__setattr__(name, value)


def later(*names: str) -> list[Any]:
    """What stands for these modules of `flows`."""
    return [Later(name) for name in names]
