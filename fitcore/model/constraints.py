"""Relations between leaves that a point must fulfil; where one is violated the log-likelihood is -inf. The prior is not changed."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar

from fitcore.errors import ModelError
from fitcore.identity import type_name


@dataclass(frozen=True)
class Constraint(abc.ABC):
    """A relation between leaves: a frozen dataclass whose string fields are paths, the others numbers; equal by value."""

    known: ClassVar[dict[str, type[Constraint]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Constraint.known[type_name(cls)] = cls

    @property
    def paths(self) -> tuple[str, ...]:
        """The leaves it speaks of."""
        return tuple(value for f in fields(self) if isinstance(value := getattr(self, f.name), str))

    @abc.abstractmethod
    def holds(self, values: Mapping[str, Any]) -> Any:
        """Whether it is fulfilled: a boolean array of the values' shape; must be traceable by JAX.

        Parameters
        ----------
        values : the leaves by path; numbers or arrays of one shape.
        """

    def renamed(self, rename: Callable[[str], str]) -> Constraint:
        """The same relation between leaves of other paths."""
        return replace(self, **{f.name: rename(value) for f in fields(self) if isinstance(value := getattr(self, f.name), str)})

    def to_dict(self) -> dict[str, Any]:
        """Type and fields, JSON-able."""
        return {"constraint": type_name(type(self)), **{f.name: getattr(self, f.name) for f in fields(self)}}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Constraint:
        """The constraint that `to_dict` described."""
        values = dict(data)
        name = values.pop("constraint")
        if name not in Constraint.known:
            raise ModelError(f"The constraint class {name!r} is not known; known are {sorted(Constraint.known)}. Import its module first.")
        return Constraint.known[name](**values)


@dataclass(frozen=True)
class Less(Constraint):
    """``lower < upper``, strictly.

    Parameters
    ----------
    lower, upper : paths of leaves; one of them may be a number.

    Examples
    --------
    >>> str(Less("a.sigma", "b.sigma"))
    'a.sigma < b.sigma'
    """

    lower: str | float
    upper: str | float

    def __post_init__(self) -> None:
        sides = (self.lower, self.upper)
        numbers = [side for side in sides if not isinstance(side, str)]
        is_sane = all(isinstance(side, Real) and not isinstance(side, bool) and math.isfinite(side) for side in numbers)
        if len(numbers) > 1 or not is_sane:
            raise ModelError(f"Less({self.lower!r}, {self.upper!r}): give two paths, or a path and a finite number.")
        if self.lower == self.upper:
            raise ModelError(f"Less({self.lower!r}, {self.upper!r}): a leaf is never less than itself.")
        for f in fields(self):
            if not isinstance(getattr(self, f.name), str):
                object.__setattr__(self, f.name, float(getattr(self, f.name)))

    def holds(self, values: Mapping[str, Any]) -> Any:
        """See `Constraint.holds`."""
        lower, upper = (values[side] if isinstance(side, str) else side for side in (self.lower, self.upper))
        return lower < upper

    def __str__(self) -> str:
        return " < ".join(side if isinstance(side, str) else f"{side:.10g}" for side in (self.lower, self.upper))
