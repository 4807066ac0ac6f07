"""`Decision`: one thing decided about an image before any search, in words. What decides is in `prepare`, what shows it in `report`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One thing that was decided.

    Parameters
    ----------
    what, value : in words.
    how : the way it was decided, and from what.
    key : of info.yaml, by which a person decides it; empty where there is nothing to choose.
    """

    what: str
    value: str
    how: str
    key: str = ""
