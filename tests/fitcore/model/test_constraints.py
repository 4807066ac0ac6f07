"""Constraints: what they hold for, how they move with their paths, their stored form."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.errors import ModelError
from fitcore.model import Constraint, Less


def test_less_is_strict_and_works_on_batches() -> None:
    less = Less("a", "b")
    assert less.paths == ("a", "b")
    np.testing.assert_array_equal(less.holds({"a": np.array([1.0, 2.0, 3.0]), "b": 2.0}), [True, False, False])
    assert bool(less.holds({"a": jnp.asarray(1.0), "b": jnp.asarray(2.0)}))
    assert not less.holds({"a": math.nan, "b": 2.0})


def test_one_side_may_be_a_number() -> None:
    assert Less("a", 5).paths == ("a",)
    assert Less(1, "a").holds({"a": 2.0})
    assert str(Less("a", 5)) == "a < 5"
    assert Less("a", 5) == Less("a", 5.0) == Less("a", np.int64(5)) == Less("a", np.float32(5))


@pytest.mark.parametrize("sides", [(1, 2), ("a", math.nan), ("a", True), ("a", None)])
def test_other_sides_are_refused(sides) -> None:
    with pytest.raises(ModelError, match="give two paths, or a path and a finite number"):
        Less(*sides)


def test_a_leaf_is_never_less_than_itself() -> None:
    with pytest.raises(ModelError, match="a leaf is never less than itself"):
        Less("a", "a")


def test_paths_move_and_stored_form_comes_back() -> None:
    assert Less("a", "b").renamed(lambda path: f"x.{path}") == Less("x.a", "x.b")
    assert Constraint.from_dict(Less("a", 0.1).to_dict()) == Less("a", 0.1)
    with pytest.raises(ModelError, match="The constraint class 'x:More' is not known"):
        Constraint.from_dict({"constraint": "x:More"})
