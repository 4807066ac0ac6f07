"""The model: a tree with priors as leaves, seen as a parameter vector. It computes no likelihood and keeps no results.

The tree's own mechanics are in `fitcore.model.tree`, its stored form in `fitcore.model.encoding`, models made from results in
`fitcore.model.projection`.
"""

from __future__ import annotations

import html
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fitcore.errors import FitcoreError, ModelError
from fitcore.identity import digest
from fitcore.model import special
from fitcore.model import tree as trees
from fitcore.model.component import Tied
from fitcore.model.constraints import Constraint, Less
from fitcore.model.encoding import decode_tree, encode_tree
from fitcore.model.leaves import Leaves, brought_inside, filled
from fitcore.model.prior import Prior
from fitcore.naming import suggestion
from fitcore.text import html_table

LONGEST_TREE = 20_000
FORM_VERSION = 1
"""Of the stored form of a model."""


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """What is fitted: any nesting of components, dicts, lists and tuples whose leaves are priors, numbers (fixed) or ties.

    The free parameters are the leaves that are priors, in order of declaration, named by their paths, such as ``"line.center"``.
    Two leaves with equal priors are two parameters, unless they are tied. Models are immutable and equal by value.

    Parameters
    ----------
    tree : a component, dict, list or tuple.
    constraints : relations between leaves, such as ``Less("a.sigma", "b.sigma")``; where one is violated the log-likelihood is -inf.

    Raises
    ------
    ModelError : for an unknown path, a bad tie or constraint, a value that is no leaf, or a prior outside a component's domain.

    Examples
    --------
    >>> from fitcore.model import Normal, Uniform
    >>> model = Model({"line": {"center": Uniform(0, 10), "width": 2.0}, "sky": Normal(0, 1), "copy": Tied("line.center")})
    >>> model.paths
    ('line.center', 'sky')
    >>> model.prior_transform([0.5, 0.5])
    array([5., 0.])
    >>> model.instance_from_vector([5.0, 0.1])["copy"]
    np.float64(5.0)
    """

    tree: Any
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.tree, Model):
            raise ModelError("Model(...) got a Model; give its .tree, or use the model itself.")
        if trees.children(self.tree) is None:
            raise ModelError(
                f"A model's tree is {self.tree!r}; it must be a component, dict, list or tuple. Wrap a leaf in a dict to name it."
            )
        object.__setattr__(self, "tree", trees.checked(self.tree))
        object.__setattr__(self, "constraints", _checked_constraints(self.constraints, set(self._leaves.entries)))
        self._leaves.check_ties()
        for constraint in self.constraints:
            if isinstance(constraint, Less) and len({self._leaves.targets[path] for path in constraint.paths}) < len(constraint.paths):
                raise ModelError(f"The constraint {constraint} can never hold: its two leaves are tied to one value. Drop the tie, or it.")

    @cached_property
    def _leaves(self) -> Leaves:
        return Leaves(self.tree)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The names of the free parameters, in order."""
        return tuple(self._leaves.priors)

    @property
    def priors(self) -> dict[str, Prior]:
        """The free parameters' priors by path, in order."""
        return dict(self._leaves.priors)

    @property
    def n_dim(self) -> int:
        """The number of free parameters."""
        return len(self._leaves.priors)

    @property
    def leaf_paths(self) -> tuple[str, ...]:
        """The paths of all leaves: free, fixed and tied."""
        return tuple(self._leaves.entries)

    @property
    def ties(self) -> dict[str, tuple[str, ...]]:
        """For each free parameter that others are tied to, the paths of all leaves that share its value, itself first."""
        return self._leaves.ties

    def _columns(self, values: Any, name: str) -> tuple[Any, Any]:
        xp, values = special.floats(values)
        if values.ndim not in (1, 2) or values.shape[-1] != self.n_dim:
            raise ModelError(
                f"{name} has shape {tuple(values.shape)}; it must be ({self.n_dim},) or (n, {self.n_dim}), "
                f"one column for each of {', '.join(self.paths)}."
            )
        return xp, values

    def _by_column(self, values: Any, name: str, method: str) -> Any:
        xp, values = self._columns(values, name)
        if not self.n_dim:
            return values
        return xp.stack([getattr(prior, method)(values.T[i]) for i, prior in enumerate(self._leaves.priors.values())], axis=-1)

    def prior_transform(self, u: Any) -> Any:
        """Parameters ``theta`` at points ``u`` of the unit cube; both (n_dim,) or (n, n_dim), NumPy or JAX."""
        return self._by_column(u, "u", "transform")

    def inverse_transform(self, theta: Any) -> Any:
        """Points of the unit cube at ``theta``; shapes as `prior_transform`. In the tails use `probit`, which resolves them."""
        return self._by_column(theta, "theta", "inverse")

    def probit(self, theta: Any) -> Any:
        """``z = Phi^-1(u)`` at ``theta``, in which every prior is a standard normal; shapes as `prior_transform`."""
        return self._by_column(theta, "theta", "probit")

    def from_probit(self, z: Any) -> Any:
        """Parameters at ``z``: the inverse of `probit`."""
        return self._by_column(z, "z", "from_probit")

    def log_prior(self, theta: Any) -> Any:
        """Log prior density at ``theta`` of shape (n_dim,) or (n, n_dim); scalar or (n,). Constraints are not part of it."""
        xp, values = self._columns(theta, "theta")
        if not self.n_dim:
            return xp.zeros(values.shape[:-1])
        return sum(prior.log_prob(values.T[i]) for i, prior in enumerate(self._leaves.priors.values()))

    def instance_from_vector(self, theta: Any) -> Any:
        """The tree with numbers for leaves, at ``theta`` of shape (n_dim,); traceable by JAX.

        ``theta`` of shape (n, n_dim) gives leaves of shape (n,), and plain numbers where the leaf is fixed.
        """
        _, values = self._columns(theta, "theta")
        return trees.mapped(self._leaves.slot_tree, lambda slot, _: filled(slot, values))

    def leaf_values(self, theta: Any) -> dict[str, Any]:
        """The values of all leaves by path, fixed and tied ones included, at ``theta`` of shape (n_dim,) or (n, n_dim)."""
        _, values = self._columns(theta, "theta")
        return {path: filled(slot, values) for path, slot in self._leaves.slots.items()}

    def is_allowed(self, theta: Any) -> Any:
        """Whether all constraints hold: a boolean for ``theta`` of shape (n_dim,), (n,) booleans for (n, n_dim); traceable by JAX."""
        xp, values = self._columns(theta, "theta")
        allowed = xp.ones(values.shape[:-1], dtype=bool)
        if self.constraints:
            leaves = self.leaf_values(values)
            for constraint in self.constraints:
                allowed = allowed & constraint.holds(leaves)
        return allowed

    def replace(self, changes: Mapping[str, Any]) -> Model:
        """A new model with other leaves or subtrees at existing paths.

        Each change is a leaf, a subtree, or a `Model`, whose ties and constraints come with it; ties in a plain subtree are paths of the
        whole model. A `ModelError` is raised for an unknown path, or when the result is no valid model (a tie to a leaf that is gone, ...).
        """
        tree, constraints = self.tree, self.constraints
        for path, value in changes.items():
            if not path:
                raise ModelError("replace() got an empty path; make a new Model to change the whole tree.")
            new, brought = _grafted(value, f"{path}.") if isinstance(value, Model) else (value, ())
            tree = trees.with_node(tree, path, new)
            constraints = (*constraints, *brought)
        return Model(tree, tuple(dict.fromkeys(constraints)))

    def subtree(self, path: str) -> Model:
        """The model of one node, its paths counted from there.

        A tie to a leaf outside becomes that leaf itself; constraints that speak of leaves outside are left out.
        """
        node = trees.node_at(self.tree, path)
        if trees.children(node) is None:
            raise ModelError(f"{path!r} is a leaf, {node}; subtree() needs a component, dict, list or tuple.")
        prefix = f"{path}." if path else ""
        kept = [c for c in self.constraints if all(name.startswith(prefix) for name in c.paths)]
        return Model(brought_inside(self._leaves, node, prefix), tuple(c.renamed(lambda old: old.removeprefix(prefix)) for c in kept))

    def describe(self) -> str:
        """The tree as text, one leaf a line, with its constraints."""
        count = f"{self.n_dim} free parameter{'' if self.n_dim == 1 else 's'}"
        lines = [f"{trees.kind_of(self.tree)}: {count}", *trees.drawn(self.tree, lambda leaf, _: _leaf_text(leaf))]
        return "\n".join([*lines, *(f"where {constraint}" for constraint in self.constraints)])

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description that loses nothing."""
        return {"form": FORM_VERSION, "tree": encode_tree(self.tree), "constraints": [c.to_dict() for c in self.constraints]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Model:
        """The model that `to_dict` described; the modules of its components must be imported already.

        Raises
        ------
        ModelError
            for another form, or a description that `to_dict` cannot have made.
        """
        form = data.get("form") if isinstance(data, Mapping) else None
        if form != FORM_VERSION:
            raise ModelError(f"The stored model has form {reprlib.repr(form)}; this version of fitcore reads form {FORM_VERSION}.")
        try:
            return cls(decode_tree(data["tree"]), tuple(Constraint.from_dict(c) for c in data["constraints"]))
        except FitcoreError:
            raise
        except Exception as error:  # whatever the readers stumble on: it is no description of ours
            raise ModelError(
                f"The stored model cannot be read: {type(error).__name__}: {error}. It was not made by this version of fitcore; "
                "compute the result anew."
            ) from error

    def identity(self) -> dict[str, Any]:
        """What enters the digest: the tree, the parameters' order, the constraints in any order."""
        return {"tree": self.tree, "paths": self.paths, "constraints": frozenset(self.constraints)}

    @cached_property
    def _digest(self) -> str:
        return digest(self)

    def __eq__(self, other: object) -> bool:
        return self._digest == other._digest if isinstance(other, Model) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._digest)

    def __str__(self) -> str:
        return self.describe()

    def __repr__(self) -> str:
        return f"<Model of {self.n_dim} parameters: {', '.join(self.paths)}>"

    def _repr_html_(self) -> str:
        ties = {path: f"also {', '.join(leaves[1:])}" for path, leaves in self.ties.items()}
        rows = [[path, str(prior), ties.get(path, "")] for path, prior in self.priors.items()]
        table = html_table(f"Model of {self.n_dim} parameters", ["parameter", "prior", ""], rows)
        return f"{table}<details><summary>the whole tree</summary><pre>{html.escape(self.describe()[:LONGEST_TREE])}</pre></details>"


def _checked_constraints(constraints: Any, leaves: set[str]) -> tuple[Constraint, ...]:
    made: tuple[Any, ...] = tuple(constraints) if isinstance(constraints, Iterable) and not isinstance(constraints, str) else (constraints,)
    for constraint in made:
        if not isinstance(constraint, Constraint):
            raise ModelError(f"A constraint is {constraint!r}; give Less(path, path) or another Constraint.")
        for path in constraint.paths:
            if path not in leaves:
                near = suggestion(path, sorted(leaves), kind="leaves")
                raise ModelError(f"The constraint {constraint} speaks of {path!r}, which is not a leaf. {near}")
    return made


def _grafted(model: Model, prefix: str) -> tuple[Any, tuple[Constraint, ...]]:
    """A model's tree and constraints, their paths counted from the root of the tree they go into."""
    tree = trees.mapped(model.tree, lambda leaf, _: Tied(f"{prefix}{leaf.path}") if isinstance(leaf, Tied) else leaf)
    return tree, tuple(constraint.renamed(lambda path: f"{prefix}{path}") for constraint in model.constraints)


def _leaf_text(leaf: Any) -> str:
    if isinstance(leaf, Tied):
        return f"= {leaf.path}"
    return str(leaf) if isinstance(leaf, Prior) else f"{np.float64(leaf):.10g}"
