"""Searches: how the posterior of a problem is sampled. A search knows no model, no science and no files; `base` is the interface."""

from fitcore.search.base import NoCheckpoint, Problem, ProgressEvent, Search, SearchOutcome, silent
from fitcore.search.dynesty import Dynesty
from fitcore.search.importance import Importance
from fitcore.search.mixture import Mixture
from fitcore.search.multistart import MultiStart
from fitcore.search.nautilus import Nautilus
from fitcore.search.nuts import NUTS

__all__ = [
    "NUTS",
    "Dynesty",
    "Importance",
    "Mixture",
    "MultiStart",
    "Nautilus",
    "NoCheckpoint",
    "Problem",
    "ProgressEvent",
    "Search",
    "SearchOutcome",
    "silent",
]
