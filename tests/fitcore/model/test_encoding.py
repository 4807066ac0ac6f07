"""The stored form of trees: exact, strict JSON, independent of the order of keys, and safe against damaged files."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcore.errors import ModelError
from fitcore.identity import digest, type_name
from fitcore.model import Leaf, LogUniform, Model, Tied, TruncatedNormal, Uniform, component
from fitcore.model.encoding import decode_constant, decode_tree, encode_constant, encode_tree
from fitcore.model.tree import checked


@component
class Ring:
    radius: Leaf
    setup: Any = 0
    order: tuple[int, ...] = ()
    name: str | None = None


leaves = st.sampled_from([Uniform(0, 1), LogUniform(0.1, 1 / 3), TruncatedNormal(0, 1, -math.inf, 2), Tied("a")]) | st.floats(
    allow_nan=False, allow_infinity=False
)
trees = st.recursive(
    leaves
    | st.builds(
        lambda r, o, n: Ring(radius=r, order=tuple(o), name=n), leaves, st.lists(st.integers(), max_size=3), st.none() | st.text(max_size=3)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.sampled_from("abcz"), inner, max_size=3),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=300, deadline=None)
def test_trees_come_back_the_same(tree: Any) -> None:
    tree = checked(tree)
    again = decode_tree(json.loads(json.dumps(encode_tree(tree), allow_nan=False, sort_keys=True)))
    assert again == tree
    assert digest(again) == digest(tree)
    if isinstance(tree, dict):
        assert list(again) == list(tree)


@pytest.mark.parametrize("value", [None, True, 3, 10**30, "x", 0.1, math.inf, 1 + 2j, b"\x00\xff", (1, (2.0, "a")), frozenset([1, 2])])
def test_constants_come_back_the_same(value: Any) -> None:
    again = decode_constant(json.loads(json.dumps(encode_constant(value), allow_nan=False)))
    assert again == value
    assert type(again) is type(value)


def ring(constant: Any) -> dict[str, Any]:
    return {"component": type_name(Ring), "constants": {"setup": constant}, "fields": [["radius", {"number": 1}]]}


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"dict": [["a", {"number": "x"}]]}, "ValueError: could not convert string to float: 'x'"),
        ({"dict": [["a", {"number": 10**400}]]}, "OverflowError"),
        ({"dict": [["a", {"number": 1}], ["a", {"number": 2}]]}, "A stored tree holds 'a' twice in one place"),
        ({"dict": 5}, "TypeError"),
        ({"dict": [["a", ring({"tuple": 5})]]}, "TypeError"),
        (ring({}), "StopIteration"),
        ({"dict": [["a", ring({"bytes": "zz"})]]}, "ValueError: non-hexadecimal"),
    ],
)
def test_a_description_that_is_none_is_a_model_error(tree: Any, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        Model.from_dict({"form": 1, "tree": tree, "constraints": []})


@pytest.mark.parametrize("data", [5, None, [], {}, {"form": 1, "tree": {"dict": []}, "constraints": "ab"}])
def test_no_description_at_all_is_a_model_error(data: Any) -> None:
    with pytest.raises(ModelError, match=r"The stored model (has form None|cannot be read)"):
        Model.from_dict(data)


def test_damaged_trees_are_refused() -> None:
    with pytest.raises(ModelError, match="which is none of component, dict, list, tuple, prior, tied, number"):
        decode_tree({"odd": 1})
    with pytest.raises(ModelError, match="A stored tree holds 3"):
        decode_tree(3)
    with pytest.raises(ModelError, match="A stored constant is of kind 'odd'"):
        decode_constant({"odd": 1})
    with pytest.raises(ModelError, match="is not known"):
        decode_tree({"component": "os:system", "constants": {}, "fields": []})
