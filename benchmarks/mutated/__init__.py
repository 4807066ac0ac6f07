"""Errors that one could make in fitcore's statistical core, and in what keeps its results safe: the list that `benchmarks.mutations` runs.

``tests/benchmarks/test_mutated.py`` sees to it that every piece of source that is to be changed still occurs exactly once.
"""

from benchmarks.mutated.case import Mutation
from benchmarks.mutated.durability import DURABILITY
from benchmarks.mutated.model import MODEL
from benchmarks.mutated.results import RESULTS
from benchmarks.mutated.searching import SEARCHING

MUTATIONS = [*MODEL, *RESULTS, *SEARCHING, *DURABILITY]

__all__ = ["MUTATIONS", "Mutation"]
