"""What an error says about a name that does not exist: the nearest names that do. No checks live here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that follows a sentence, with a blank before it: the nearest of ``known``; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" Did you mean {near[0]!r}?" if near else ""


def suggestion(name: str, known: Iterable[str], *, kind: str = "names", n_shown: int = 12) -> str:
    """A sentence or two that lead from a misspelt ``name`` to the right one of ``known``."""
    names = list(known)
    if not names:
        return f"There are no {kind}."
    folded = {candidate.lower(): candidate for candidate in reversed(names)}
    near = [folded[match] for match in difflib.get_close_matches(name.lower(), list(folded), n=3, cutoff=0.55)]
    shown = ", ".join(repr(candidate) for candidate in names[:n_shown]) + (
        f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    )
    hint = f"Did you mean {' or '.join(repr(candidate) for candidate in near)}? " if near else ""
    return f"{hint}Valid {kind}: {shown}."
