"""Checks of a search's settings, made when it is constructed. No setting has its default here."""

from __future__ import annotations

from typing import Any

from fitcore.errors import ConfigError


def check_integer(search: Any, name: str, lower: int, upper: int = 10**12) -> None:
    """Refuse a setting that is no integer from ``lower`` to ``upper``.

    Raises
    ------
    ConfigError
        with the value seen and the values allowed.
    """
    value = getattr(search, name)
    if isinstance(value, bool) or not isinstance(value, int) or not lower <= value <= upper:
        allowed = f"an integer of at least {lower}" if upper == 10**12 else f"an integer from {lower} to {upper}"
        raise ConfigError(f"{type(search).__name__}: {name} is {value!r}; it must be {allowed}.")


def check_number(search: Any, name: str, lower: float, upper: float) -> None:
    """Refuse a setting that is no number between ``lower`` and ``upper``, both excluded."""
    value = getattr(search, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not lower < value < upper:
        raise ConfigError(f"{type(search).__name__}: {name} is {value!r}; it must be a number between {lower} and {upper}, both excluded.")


def check_choice(search: Any, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a setting that is none of ``choices``."""
    value = getattr(search, name)
    if value not in choices:
        raise ConfigError(f"{type(search).__name__}: {name} is {value!r}; it must be one of {', '.join(repr(c) for c in choices)}.")
