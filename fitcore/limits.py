"""Limits of a run, on its time and its calls. A search that meets one saves its work and ends as incomplete; nothing is published.

They are no part of what is asked: without them, or with larger ones, the same request goes on from what was saved.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fitcore.errors import ConfigError, SearchInterruptedError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a run may go before it saves and ends.

    Parameters
    ----------
    seconds : of wall-clock time, counted from the making of this object, so that one object bounds a whole chain. They are looked at
        between batches: leave room for one.
    n_calls : likelihood calls of each search, those before an interruption included; the batch that reaches it is finished.

    Raises
    ------
    ConfigError
        for a limit that is not above zero.
    """

    seconds: float | None = None
    n_calls: int | None = None
    began: float = field(init=False, repr=False, compare=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.seconds is not None and not (isinstance(self.seconds, int | float) and 0 < self.seconds < math.inf):
            raise ConfigError(f"Limits.seconds is {self.seconds!r}; it must be a number above 0, or None for no limit.")
        n = self.n_calls
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ConfigError(f"Limits.n_calls is {n!r}; it must be a whole number of at least 1, or None for no limit.")

    def reached(self, n_calls: int) -> str:
        """Which limit is reached at so many calls, in words; empty for none."""
        spent = time.monotonic() - self.began
        if self.seconds is not None and spent >= self.seconds:
            return f"the time limit of {self.seconds:g} s is reached ({spent:.1f} s)"
        if self.n_calls is not None and n_calls >= self.n_calls:
            return f"the limit of {self.n_calls:,} calls is reached ({n_calls:,})"
        return ""

    def stopping(self, stop: Callable[[], bool] | None, n_calls: Callable[[], int]) -> Callable[[], bool]:
        """A request to stop that heeds ``stop`` and the limits."""
        return lambda: (stop is not None and stop()) or bool(self.reached(n_calls()))

    def told(self, error: SearchInterruptedError, name: str, n_calls: int) -> SearchInterruptedError:
        """The error of a search that was stopped, or what to say where a limit stopped it."""
        why = self.reached(n_calls)
        if not why:
            return error
        return SearchInterruptedError(
            f"{name} is incomplete: {why}. Its work is saved, nothing is published; run the same again with more room to go on."
        )
