"""What the leaves of a tree mean together: which are parameters, which are fixed, and which share another one's value.

Built once for each `fitcore.model.Model`; trees themselves are the business of `fitcore.model.tree`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fitcore.errors import ModelError
from fitcore.model import tree as trees
from fitcore.model.component import Tied
from fitcore.model.prior import Prior
from fitcore.naming import suggestion


@dataclass(frozen=True)
class Column:
    """A leaf whose value is one parameter: its place in the parameter vector."""

    index: int


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves of a checked tree, in order of declaration, with their ties followed.

    Parameters
    ----------
    tree : as `fitcore.model.tree.checked` returns it.
    """

    tree: Any

    @cached_property
    def entries(self) -> dict[str, trees.Entry]:
        """All leaves by path."""
        return {entry.path: entry for entry in trees.entries(self.tree)}

    @cached_property
    def targets(self) -> dict[str, str]:
        """For each leaf the leaf that gives its value: itself, or the end of its chain of ties."""
        return {path: self._end_of_ties(path) for path in self.entries}

    def _end_of_ties(self, path: str) -> str:
        seen = [path]
        while isinstance(value := self.entries[seen[-1]].value, Tied):
            if value.path not in self.entries:
                leaves = [leaf for leaf in self.entries if leaf != seen[-1]]
                raise ModelError(f"{seen[-1]}: Tied({value.path!r}) is not a leaf. {suggestion(value.path, leaves, kind='leaves')}")
            if value.path in seen:
                raise ModelError(f"{seen[0]}: the ties {' -> '.join([*seen, value.path])} go round in a circle; give one of them a prior.")
            seen.append(value.path)
        return seen[-1]

    def check_ties(self) -> None:
        """Raise `ModelError` for a tie that leads nowhere, round in a circle, or to a value outside the tied leaf's own domain."""
        for path, target in self.targets.items():
            domain = self.entries[path].domain
            if domain is not None and target != path:
                domain.check(self.entries[target].value, f"{path}, tied to {target}")

    @cached_property
    def priors(self) -> dict[str, Prior]:
        """The free parameters' priors by path."""
        return {path: entry.value for path, entry in self.entries.items() if isinstance(entry.value, Prior)}

    @cached_property
    def slots(self) -> dict[str, Column | float]:
        """For each leaf its column of the parameter vector, or its fixed value."""
        columns = {path: Column(i) for i, path in enumerate(self.priors)}
        return {path: columns.get(target, self.entries[target].value) for path, target in self.targets.items()}  # type: ignore[misc]  # what is no prior is a number

    @cached_property
    def slot_tree(self) -> Any:
        """The tree with slots for leaves."""
        return trees.mapped(self.tree, lambda _, path: self.slots[path])

    @property
    def ties(self) -> dict[str, tuple[str, ...]]:
        """For each free parameter that others are tied to, the paths of all leaves that share its value, itself first."""
        groups = {path: tuple(leaf for leaf, target in self.targets.items() if target == path and leaf != path) for path in self.priors}
        return {path: (path, *others) for path, others in groups.items() if others}


def filled(slot: Any, values: Any) -> Any:
    """A slot's value at ``values`` of shape (n_dim,) or (n, n_dim): a number, or an array of shape (n,)."""
    return values.T[slot.index] if isinstance(slot, Column) else slot


def brought_inside(leaves: Leaves, node: Any, prefix: str) -> Any:
    """A node taken out of its tree: ties to leaves outside become those leaves (and stay one), ties inside count from the node."""
    stand_in: dict[str, str] = {}

    def moved(leaf: Any, local: str) -> Any:
        if not isinstance(leaf, Tied):
            return leaf
        target = leaves.targets[f"{prefix}{local}"]
        if target.startswith(prefix):
            return Tied(target.removeprefix(prefix))
        if target in stand_in:
            return Tied(stand_in[target])
        stand_in[target] = local
        return leaves.entries[target].value

    return trees.mapped(node, moved)
