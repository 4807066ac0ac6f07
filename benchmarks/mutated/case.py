"""One error that one could make, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """In ``file``, ``old``, which occurs there exactly once, becomes ``new``, which ``breaks`` something; one of ``tests`` must fail.

    ``equivalent`` says why nothing can notice, where that is so.
    """

    file: str
    old: str
    new: str
    breaks: str
    tests: str
    equivalent: str = ""
