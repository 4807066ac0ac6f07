"""Trees: order, checks, copies, replacement, text."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
import pytest

from fitcore.errors import ModelError
from fitcore.model import Leaf, Tied, Uniform, component, leaf
from fitcore.model import tree as trees


@component
class Disk:
    radius: Leaf = leaf(lower=0)
    parts: list = leaf(default=())  # type: ignore[type-arg]
    kind: str = "thin"


TREE = {"z": Disk(radius=Uniform(0, 1)), "a": [1, (Uniform(0, 2), Tied("z.radius"))]}


def test_leaves_come_in_the_order_of_declaration() -> None:
    assert [entry.path for entry in trees.entries(TREE)] == ["z.radius", "a.0", "a.1.0", "a.1.1"]
    assert list(trees.node_paths(TREE)) == ["z", "z.radius", "z.parts", "a", "a.0", "a.1", "a.1.0", "a.1.1"]


def test_checked_trees_are_copies_with_floats() -> None:
    tree = {"a": [np.int64(1), {"b": -0.0}]}
    copy = trees.checked(tree)
    assert copy == {"a": [1.0, {"b": 0.0}]}
    assert type(copy["a"][0]) is float
    assert math.copysign(1, copy["a"][1]["b"]) == 1
    tree["a"].append(3)  # type: ignore[arg-type]
    assert len(copy["a"]) == 2


def _loop():
    loop: list = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"a": "x"}, "a: str 'x' cannot be part of a model"),
        ({"a": {"b": np.zeros(3)}}, r"a.b: ndarray of shape \(3,\) cannot be part .* Data belong to the analysis"),
        ({"a": None}, "a: NoneType None cannot be part of a model"),
        ({"a": True}, "a: bool True cannot be part of a model"),
        ({"a": Disk}, "a: Disk is a class; give an instance of it"),
        ({"a": math.nan}, "a: the fixed value is nan; it must be finite"),
        ({"a.b": 1}, r"the key 'a.b' cannot be part of a path; use letters, digits"),
        ({1: 1}, "the key 1 cannot be part of a path"),
        ({"x": _loop()}, "the tree contains itself"),
        ({"x": namedtuple("Point", "u v")(1, 2)}, "x: a named tuple Point; use a component"),
        ({"d": Disk(radius=1.0, kind=[1])}, r"d.kind: the constant is \[1\] of type list"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_tree_is_refused_with_its_path(tree, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        trees.checked(tree)


def test_replacing_a_node_checks_the_domain_again() -> None:
    assert trees.with_node(TREE, "a.1.0", 5.0)["a"][1][0] == 5.0
    assert TREE["a"][1][0] == Uniform(0, 2)  # type: ignore[index]
    with pytest.raises(ModelError, match=r"Disk\.radius: -1 is outside the domain"):
        trees.with_node(TREE, "z.radius", -1)
    with pytest.raises(ModelError, match=r"The model has no 'z\.radios'\. Did you mean 'z\.radius'"):
        trees.with_node(TREE, "z.radios", 1)


def test_text_shows_structure_and_constants() -> None:
    lines = list(trees.drawn(TREE, lambda value, path: f"<{path}>"))
    assert lines[0] == "├── z: Disk(kind='thin')"
    assert "│   ├── radius  <z.radius>" in lines
    assert "    ├── 0  <a.0>" in lines
    assert "        └── 1  <a.1.1>" in lines
