"""The canonical form and the digest: what must differ differs, what must not does not, in every process."""

from __future__ import annotations

import enum
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcore.errors import CanonicalFormError
from fitcore.identity import canonical, differences, digest, form_differences, form_digest, is_form, round_linked, type_name
from fitcore.model import LogUniform, Model, Normal, Uniform

ROOT = Path(__file__).resolve().parents[2]


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Pair(NamedTuple):
    a: int
    b: int


@dataclass(frozen=True)
class Settings:
    n: int
    rate: float


@dataclass(frozen=True)
class OtherSettings:
    n: int
    rate: float


class Described:
    def __init__(self, value: Any) -> None:
        self.value = value

    def identity(self) -> dict[str, Any]:
        return {"value": self.value}


class Undescribed:
    pass


simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=4)
values = st.recursive(
    simple,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
@settings(max_examples=300, deadline=None)
def test_form_is_strict_json_and_survives_it(value: Any) -> None:
    form = canonical(value)
    again = json.loads(json.dumps(form, allow_nan=False))
    assert again == form
    assert form_digest(again) == digest(value)
    assert re.fullmatch("[0-9a-f]{64}", digest(value))
    assert form_differences(form, again) == []


@given(values, values)
@settings(max_examples=300, deadline=None)
def test_differences_are_empty_exactly_when_digests_agree(a: Any, b: Any) -> None:
    assert (differences(a, b) == []) == (digest(a) == digest(b))


@given(st.dictionaries(st.text(max_size=4), st.integers(), max_size=6), st.randoms())
def test_order_of_mappings_and_sets_does_not_matter(mapping: dict[str, int], random: Any) -> None:
    items = list(mapping.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(mapping)
    assert digest({key for key, _ in items}) == digest(frozenset(mapping))


DISTINCT = [
    0,
    False,
    None,
    "0",
    b"0",
    1,
    True,
    1.0,
    1 + 0j,
    0.1,
    np.nextafter(0.1, 1),
    math.nan,
    math.inf,
    -math.inf,
    "nan",
    [1, 2],
    (1, 2),
    {1, 2},
    [[1], 2],
    [1, [2]],
    {"a": 1},
    {"a": 1.0},
    {1: "a"},
    {"1": "a"},
    [],
    (),
    {},
    set(),
    "",
    Uniform(0.1, 1),
    LogUniform(0.1, 1),
    Normal(0.1, 1),
    Uniform(0.1, 1.5),
    {"lower": 0.1, "upper": 1.0},
    Settings(1, 2.0),
    OtherSettings(1, 2.0),
    Settings(1, 2),  # type: ignore[arg-type]
    Pair(1, 2),
    Color.RED,
    Color.BLUE,
    Described(1),
    Described(2),
    np.zeros(2),
    np.zeros(2, dtype=np.float32),
    np.zeros(2, dtype=int),
    np.zeros((2, 1)),
    np.zeros((1, 2)),
    np.array([0.0, -0.0]),
    np.array([0.0, 1.0]),
    np.zeros(0),
    np.array(["a"]),
]


def test_different_values_have_different_digests() -> None:
    digests: dict[str, Any] = {}
    for value in DISTINCT:
        key = digest(value)
        assert key not in digests, f"{value!r} and {digests[key]!r} share a digest"
        digests[key] = value


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (0.0, -0.0),
        (math.nan, -math.nan),
        (0.1, np.float64(0.1)),
        (0.5, np.float32(0.5)),
        (3, np.int16(3)),
        (True, np.bool_(True)),
        ("x", np.str_("x")),
        (np.arange(3.0), jnp.arange(3.0)),
        (np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")),
        (np.arange(6).reshape(2, 3).T, np.ascontiguousarray(np.arange(6).reshape(2, 3).T)),
        (np.arange(6)[::2], np.array([0, 2, 4])),
        (Uniform(0, 1), Uniform(0.0, 1.0)),
        ({1, 2, 3}, frozenset([3, 2, 1])),
    ],
)
def test_equal_values_have_equal_digests(a: Any, b: Any) -> None:
    assert digest(a) == digest(b)


def test_a_known_digest_never_changes() -> None:
    """A changed number here means that every stored result would be missed: raise FORM_VERSION and say so in the change log."""
    value = {"prior": Uniform(0.1, 1), "n": 3, "data": np.arange(3.0), "names": ("a", "b"), "flags": {True, None}}
    assert digest(value) == "0469c4580cbbb8d1201724e162f4a31e914ab9bfb56fb5582e26bc0c9b7327b1"


def test_digest_is_the_same_in_another_process_with_another_hash_seed() -> None:
    code = (
        "from fitcore.identity import digest; from fitcore.model import *; import numpy as np;"
        "print(digest([{'b': {'x', 'y', 'z'}, 'a': np.arange(3)}, Model({'a': Uniform(0, 1), 'b': Tied('a')}).identity()]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={**environment, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def _loop() -> list[Any]:
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        ({"model": {"f": lambda x: x}}, "model.f", "its attributes may hold anything"),
        ({"a": [1, Undescribed()]}, r"a\[1\]", "Undescribed has no stable form"),
        ([Described({"k": object()})], r"\[0\].value.k", "builtins.object"),
        ({"kind": Undescribed}, "kind", "a class"),
        ({"x": np.array([object()])}, "x", "an array of Python objects"),
        ({"x": np.ma.masked_array([1.0], mask=[True])}, "x", "MaskedArray has no stable form"),
        ({"x": np.zeros(2, dtype=np.longdouble)}, "x", "differs between platforms"),
        ({"x": np.longdouble("0.1")}, "x", "differs between platforms"),
        ({"x": Path("a")}, "x", "Path has no stable form"),
        (_loop(), r"\[1\]", "it contains itself"),
        (object(), "the value itself", "has no stable form"),
    ],
)
def test_what_has_no_stable_form_is_refused_with_its_path(value: Any, path: str, why: str) -> None:
    with pytest.raises(CanonicalFormError, match=f"^{path}: .*{why}") as caught:
        canonical(value)
    assert "describe it by these" in str(caught.value)


def test_a_tracer_is_refused() -> None:
    def trace(x: Any) -> Any:
        with pytest.raises(CanonicalFormError, match="its values are not known"):
            digest({"x": x})
        return x

    jax.make_jaxpr(trace)(1.0)


def test_differences_name_the_field_that_changed() -> None:
    a = {"model": Model({"line": {"center": Uniform(0, 100)}, "sky": 1.0}), "seed": 1, "search": Settings(5, 0.1), "x": np.zeros(2)}
    b = {"model": Model({"line": {"center": Uniform(0, 50)}, "sky": 1.0}), "seed": 2, "search": OtherSettings(5, 0.1), "y": 3}
    lines = differences(a, b)
    assert "model.tree.line.center.upper: 100.0 -> 50.0" in lines
    assert "seed: 1 -> 2" in lines
    assert any(line.startswith("search: ") and ":Settings(n=5, rate=0.1) -> " in line and ":OtherSettings(" in line for line in lines)
    assert any(line.startswith("x: array of <f8 and shape (2)") and line.endswith("-> (absent)") for line in lines)
    assert "y: (absent) -> 3" in lines
    assert len(lines) == 5


def test_differences_tell_types_of_one_text_apart() -> None:
    assert differences({"n": 1}, {"n": "1"}) == ["n: 1 -> '1'"]
    assert differences({"k": Uniform(0.1, 1)}, {"k": LogUniform(0.1, 1)}) == [
        "k: fitcore:Uniform(lower=0.1, upper=1.0) -> fitcore:LogUniform(lower=0.1, upper=1.0)"
    ]
    assert differences([1, 2], [1, 2, 3]) == ["the value itself: list of 2: 1, 2 -> list of 3: 1, 2, 3"]
    assert differences([1, {"a": 2}], [1, {"a": 3}]) == ["[1].a: 2 -> 3"]


def test_order_of_parameters_is_part_of_a_model() -> None:
    assert digest(Model({"a": Uniform(0, 1), "b": Uniform(0, 1)})) != digest(Model({"b": Uniform(0, 1), "a": Uniform(0, 1)}))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_rounding_keeps_twelve_digits_and_is_stable(x: float) -> None:
    y = round_linked(x)
    assert abs(y - x) <= 0.5000001e-11 * abs(x) + 5e-324
    assert round_linked(y) == y


def test_rounding_of_scalars_and_arrays() -> None:
    assert round_linked(1 / 3) == 0.333333333333
    assert type(round_linked(np.float64(2.0))) is float
    np.testing.assert_array_equal(round_linked(np.array([[1 / 3, 2 / 3]])), [[0.333333333333, 0.666666666667]])


def test_fitcores_own_names_do_not_depend_on_the_file() -> None:
    assert type_name(Uniform) == "fitcore:Uniform"
    assert type_name(Settings).endswith(":Settings")


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


def test_flags_without_a_name_differ() -> None:
    assert len({digest(Bits(value)) for value in range(32)}) == 32
    assert canonical(Bits.ONE)[2] == "ONE"


def test_bytes_between_the_fields_of_a_record_mean_nothing() -> None:
    kind = np.dtype([("a", "i1"), ("b", [("c", "i1"), ("d", "f8")])], align=True)
    one, other = np.zeros(3, kind), np.zeros(3, kind)
    other.view(np.uint8)[1] = 7
    assert np.array_equal(one, other)
    assert digest(one) == digest(other)
    other["b"]["d"][2] = 1.0
    assert digest(one) != digest(other)


def test_numbers_of_any_length() -> None:
    large = 10**5000
    assert len({digest(value) for value in (large, -large, large + 1, hex(large))}) == 4


class Endless:
    def identity(self) -> Endless:
        return Endless()


def test_what_never_ends_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, Endless()):
        with pytest.raises(CanonicalFormError, match="it is nested too deeply"):
            digest(value)


@pytest.mark.parametrize(
    "form",
    [None, 5, "x", [], [1], ["x"], ["int"], ["int", 5], ["dict", 5], ["dict", [["a"]]], ["object", "a"], ["list", "ab"], ["array", "f"]],
)
def test_what_is_no_form_is_refused(form: Any) -> None:
    assert not is_form(form)
    with pytest.raises(CanonicalFormError, match=r"as the second result records it, is .*: no canonical form of anything"):
        form_differences(canonical(1), form)


@pytest.mark.parametrize(
    "value", [None, True, 1, 1.5, 1j, "a", b"a", Color.RED, Pair(1, 2), {1: {"a": (1, [2.0])}}, {1, 2}, np.zeros((2, 3)), Uniform(0, 1)]
)
def test_every_form_is_one(value: Any) -> None:
    assert is_form(json.loads(json.dumps(canonical(value))))
