"""The internal state of a search: kept, never unpickled, given only to those who say that they trust it."""

import numpy as np
import pytest

from fitcore.errors import ConfigError, CorruptResultError, ResultNotFoundError, StoreError
from fitcore.store import QuarantineWarning, Store
from fitcore.store.internal import internal_of, plain_internal

DIGEST = "ab" * 32


def test_it_is_kept_and_given_back_on_trust_only(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ResultNotFoundError, match="no part 'internal'"):
        store.read_internal(DIGEST, trust=True)
    store.write_internal(DIGEST, b"\x80\x04 opaque")
    store.write_internal(DIGEST, b"too late")
    assert store.read_internal(DIGEST, trust=True) == b"\x80\x04 opaque"
    for trust in (False, 1, "yes"):
        with pytest.raises(ConfigError, match="runs the code that is in it: pass trust=True"):
            store.read_internal(DIGEST, trust=trust)  # type: ignore[arg-type]
    assert store.lookup(DIGEST) is None  # it does not make a result
    assert store.verify() == []


def test_damage_is_noticed_before_anything_is_given(tmp_path):
    store = Store(tmp_path)
    store.write_internal(DIGEST, b"opaque" * 100)
    path = store.path / "results" / "ab" / DIGEST / "internal.part.h5"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.warns(QuarantineWarning), pytest.raises(ResultNotFoundError):
        store.read_internal(DIGEST, trust=True)


def test_with_a_key_only_what_was_signed_with_it_is_read(tmp_path):
    Store(tmp_path, key=b"one").write_internal(DIGEST, b"opaque")
    assert Store(tmp_path, key=b"one").read_internal(DIGEST, trust=True) == b"opaque"
    assert Store(tmp_path).read_internal(DIGEST, trust=True) == b"opaque"
    with pytest.raises(StoreError, match="was not signed with this store's key: it is not read"):
        Store(tmp_path, key=b"two").read_internal(DIGEST, trust=True)
    Store(tmp_path).write_internal("cd" * 32, b"unsigned")
    with pytest.raises(StoreError, match="was not signed"):
        Store(tmp_path, key=b"one").read_internal("cd" * 32, trust=True)


def test_plain_data_come_back_from_the_results_own_file(tmp_path):
    store = Store(tmp_path)
    state = {
        "mixture": {"mean": np.arange(6.0).reshape(2, 3), "weight": np.float64(0.5), "n": 3, "empty": np.empty(0)},
        2: ("a", b"b", None),
    }
    attributes, arrays = plain_internal(state) or ({}, {})
    record = store.commit(DIGEST, arrays={"x": np.ones(2), **arrays}, attributes=attributes, spec=None)
    found = internal_of(record)
    assert found["mixture"].pop("mean").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["mixture"].pop("empty").size == 0
    assert found == {"mixture": {"weight": 0.5, "n": 3}, 2: ("a", b"b", None)}
    assert internal_of(store.commit("cd" * 32, arrays={}, attributes={}, spec=None)) is None
    assert plain_internal(None) == ({}, {})


def test_what_is_no_plain_data_is_left_to_a_part():
    around: list = []
    around.append(around)
    for state in ({1}, [object()], around, np.array([{}])):
        assert plain_internal(state) is None


@pytest.mark.parametrize("tree", [{"array": "x"}, {"array": 5}, {"dict": [[[], 1]]}, {"bytes": 3}, {"a": 1, "b": 2}, {"eval": "1"}])
def test_a_state_that_fitcore_has_not_made(tmp_path, tree):
    record = Store(tmp_path).commit(DIGEST, arrays={"x": np.ones(2)}, attributes={"internal": tree}, spec=None)
    with pytest.raises(CorruptResultError, match="an internal state that fitcore has not made"):
        internal_of(record)
