"""Plain data to text and back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitcore.errors import CanonicalFormError
from fitcore.store import encoding

PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=15,
)
STATE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(PLAIN)
def test_json_is_exact_and_canonical(value):
    text = encoding.to_json(value)
    np.testing.assert_equal(json.loads(text), value)
    if isinstance(value, dict):
        assert encoding.to_json(dict(reversed(value.items()))) == text


@given(STATE)
def test_any_state_survives(state):
    tree, arrays = encoding.pack({"state": state})
    assert arrays == {}
    np.testing.assert_equal(encoding.unpack(json.loads(json.dumps(tree)), arrays), {"state": state})


def test_a_dict_that_looks_like_a_tag_is_still_a_dict():
    state = {"int": "3", "array": {"dict": [["a", "b"]]}}
    tree, arrays = encoding.pack(state)
    assert encoding.unpack(tree, arrays) == state


def test_an_unknown_tag_is_refused():
    with pytest.raises(ValueError, match="unknown tag 'pickle'"):
        encoding.unpack({"pickle": "x"}, {})


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: key != "sha256"), PLAIN, max_size=4), st.integers(0), st.integers(1, 255))
def test_a_signed_record_notices_every_change(record, position, change):
    data = encoding.signed(record, "record")
    np.testing.assert_equal(encoding.unsigned(data), record)
    bad = bytearray(data)
    bad[position % len(bad)] ^= change
    with pytest.raises(ValueError):  # noqa: PT011 - json's words, or ours
        encoding.unsigned(bytes(bad))


def test_what_has_no_plain_form_is_refused_with_its_place():
    with pytest.raises(CanonicalFormError, match=r"attributes\.a\[1\] is a ndarray, which JSON cannot hold.*put arrays among the arrays"):
        encoding.plain({"a": [1, np.zeros(2)]}, "attributes")
    assert encoding.plain({"a": np.float64(0.1), "b": np.int32(3), "c": (1, 2), "d": np.bool_(True)}) == {
        "a": 0.1,
        "b": 3,
        "c": [1, 2],
        "d": True,
    }
