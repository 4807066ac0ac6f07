"""Publishing: whole or not at all, the first one wins, equal inputs give equal bytes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fitcore.errors import CanonicalFormError, ConfigError, ResultNotFoundError, StoreError
from fitcore.store import QuarantineWarning, Store, hdf5
from fitcore.store.commit import Contents

DIGEST = "ab" * 32
ROOT = Path(__file__).resolve().parents[3]
CRASHES = Path(__file__).with_name("crashes.py")


def crashes(*arguments: object) -> str:
    run = subprocess.run(
        [sys.executable, str(CRASHES), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def commit(store: Store, **changes):
    given_ = {"arrays": {"x": np.arange(6.0).reshape(3, 2)}, "attributes": {"n": 3}, "spec": {"asked": 1.5}, "provenance": {"seconds": 1}}
    return store.commit(DIGEST, **{**given_, **changes})


def test_what_was_committed_is_read_again(tmp_path):
    store = Store(tmp_path / "store")
    arrays = {
        "parameters": np.linspace(0, 1, 30).reshape(10, 3),
        "counts": np.array([1, 2**62], dtype=np.int64),
        "flags": np.array([True, False]),
        "names": np.array(["mass.einstein_radius", "über"]),
        "none": np.zeros((0, 3)),
        "one": np.float64(0.1),
        "big_endian": np.arange(3, dtype=">f4"),
        "nan": np.array([np.nan, np.inf, -0.0]),
    }
    store.commit(DIGEST, arrays=arrays, attributes={"log_evidence": -1.5, "nan": float("nan")}, spec={"b": [1, 2.5, None, "x"]})
    record = Store(store.path).read(DIGEST)
    found = record.arrays()
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == np.asarray(array).dtype
        assert found[name].tobytes() == np.asarray(array).tobytes()
    assert list(record.arrays(["one"])) == ["one"]
    assert record.attributes["log_evidence"] == -1.5
    assert np.isnan(record.attributes["nan"])
    assert record.spec == {"b": [1, 2.5, None, "x"]}
    assert {"committed", "host", "versions", "attempts"} <= record.provenance.keys()
    with pytest.raises(KeyError):
        record.arrays(["no such array"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        hnp.arrays(
            dtype=st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes(), hnp.complex_number_dtypes(sizes=(64, 128))),
            shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=3,
    )
)
def test_any_plain_array_survives(arrays):
    named = {f"a{i}": array for i, array in enumerate(arrays)}
    data = Contents(arrays=named, attributes={}, spec={}).file_bytes(DIGEST, "result", "")  # checks what it reads again to the last bit
    assert data == Contents(arrays=dict(reversed(named.items())), attributes={}, spec={}).file_bytes(DIGEST, "result", "")


def test_equal_inputs_give_equal_bytes_in_two_processes():
    first, second = crashes("image"), crashes("image")
    assert first == second
    assert len(first.strip()) == 64


def test_what_varies_between_equal_runs_stays_out_of_the_file(tmp_path):
    first = commit(Store(tmp_path / "a"), provenance={"seconds": 1.0, "host": "a"})
    second = commit(Store(tmp_path / "b"), provenance={"seconds": 2.0, "host": "b"}, extra={"note": "x"})
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == second.sha256
    assert first.provenance["seconds"] != second.provenance["seconds"]
    assert second.extra == {"note": "x"}


def test_the_first_one_wins(tmp_path):
    store = Store(tmp_path)
    first = commit(store)
    second = commit(store, arrays={"x": np.zeros(3)}, attributes={"n": 4})
    assert second.attributes == {"n": 3}
    assert second.sha256 == first.sha256
    assert not first.manifest["is_adopted"]


def test_eight_committers_at_once_agree(tmp_path):
    answers = json.loads(crashes("crowd", tmp_path, 8))
    assert [answer["code"] for answer in answers] == [0] * 8
    assert len({answer["sha256"] for answer in answers}) == 1
    assert len({answer["writer"] for answer in answers}) == 1
    store = Store(tmp_path / "store")
    assert store.verify() == []


@pytest.mark.parametrize(("how", "what"), [("kill", "commit"), ("kill", "save"), ("kill", "hook"), ("kill-without-links", "commit")])
def test_a_kill_anywhere_leaves_the_old_or_the_new(tmp_path, how, what):
    report = json.loads(crashes(how, tmp_path, what))
    killed = [seen for seen in report if seen["killed_by"] == 9]
    assert len(killed) >= 15
    assert {seen["when"] for seen in killed} == {"before", "middle", "after"}
    allowed = {"commit": (None, -3.25), "save": (0.0, 99.0), "hook": (1, 2)}[what]
    assert {seen["before"] for seen in report} == set(allowed)
    for seen in report:
        assert seen["other_is_whole"], seen
        assert seen["again"], seen
        assert seen["damaged"] == [], seen
        # Only a file system without hard links can leave half a file under the final name, and then it is said aloud.
        assert how == "kill-without-links" or seen["warnings"] == [], seen
        if seen["killed_by"] == 0:
            assert seen["before"] == allowed[1]
    if what == "commit":
        assert len({seen["sha256"] for seen in report}) == 1


def test_a_file_without_its_commit_record_is_a_miss_and_is_adopted(tmp_path):
    store = Store(tmp_path)
    record = commit(store)
    (record.path.parent / "manifest.json").unlink()
    assert store.lookup(DIGEST) is None
    again = commit(store, arrays={"x": np.zeros(3)}, attributes={"n": 4})
    assert again.attributes == {"n": 3}
    assert again.sha256 == record.sha256
    assert again.manifest["is_adopted"]


@pytest.mark.parametrize("fault", ["torn", "flipped", "another's", "empty"])
def test_a_bad_file_without_its_commit_record_is_replaced(tmp_path, fault):
    store = Store(tmp_path)
    record = commit(store)
    data = record.path.read_bytes()
    (record.path.parent / "manifest.json").unlink()
    other = Contents(arrays={}, attributes={}, spec={}).file_bytes("cd" * 32, "result", "")
    bad = {"torn": data[: len(data) // 2], "flipped": data[:1500] + bytes([data[1500] ^ 4]) + data[1501:], "another's": other, "empty": b""}
    record.path.chmod(0o644)
    record.path.write_bytes(bad[fault])
    with pytest.warns(QuarantineWarning, match="left without a commit record"):
        again = commit(store)
    assert again.path.read_bytes() == data
    assert len(list((tmp_path / "quarantine").glob("*/result.h5"))) == 1


def test_a_part_has_a_commit_record_of_its_own(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ResultNotFoundError, match="no result"):
        store.commit_part(DIGEST, "latents", arrays={}, attributes={})
    commit(store)
    before = store.read(DIGEST).sha256
    assert store.lookup(DIGEST, "latents") is None
    with pytest.raises(ResultNotFoundError, match="no part 'latents'"):
        store.read(DIGEST, "latents")
    store.commit_part(DIGEST, "latents", arrays={"m": np.arange(3.0)}, attributes={"keys": ["m"]})
    part = store.read(DIGEST, "latents")
    assert part.arrays()["m"].tolist() == [0.0, 1.0, 2.0]
    assert part.attributes == {"keys": ["m"]}
    assert store.read(DIGEST).sha256 == before
    assert store.verify() == []
    for name in ("result", "internal", "output"):
        with pytest.raises(ConfigError, match="uses that name itself"):
            store.commit_part(DIGEST, name, arrays={}, attributes={})
    with pytest.raises(ConfigError, match="cannot be used as a file name"):
        store.commit_part(DIGEST, "../x", arrays={}, attributes={})


def test_a_part_of_another_version_of_the_result_is_not_believed(tmp_path):
    store = Store(tmp_path)
    commit(store)
    store.commit_part(DIGEST, "latents", arrays={"m": np.arange(3.0)}, attributes={"of": "first"})
    store.read(DIGEST).path.chmod(0o644)
    store.read(DIGEST).path.write_bytes(b"damaged")
    with pytest.warns(QuarantineWarning):
        assert store.lookup(DIGEST) is None
    assert store.lookup(DIGEST, "latents") is None
    commit(store, attributes={"n": 99})
    with pytest.warns(QuarantineWarning, match="another version of the result"):
        assert store.lookup(DIGEST, "latents") is None
    store.commit_part(DIGEST, "latents", arrays={}, attributes={"of": "second"})
    assert store.read(DIGEST, "latents").attributes == {"of": "second"}


def test_a_part_survives_the_same_result_computed_again(tmp_path):
    store = Store(tmp_path)
    record = commit(store)
    store.commit_part(DIGEST, "latents", arrays={}, attributes={"of": "first"})
    record.path.chmod(0o644)
    record.path.write_bytes(b"damaged")
    with pytest.warns(QuarantineWarning):
        assert store.lookup(DIGEST) is None
    commit(store)
    assert store.read(DIGEST, "latents").attributes == {"of": "first"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"arrays": {"a/b": np.zeros(2)}}, "array name 'a/b' cannot be stored"),
        ({"arrays": {"spec.json": np.zeros(2)}}, "cannot be stored"),
        ({"arrays": {"x": np.array([object()])}}, "array 'x' has the type object"),
        ({"attributes": {"a": {"b": np.zeros(2)}}}, r"attributes\.a\.b is a ndarray, which JSON cannot hold"),
        ({"spec": {"a": [1, {2, 3}]}}, r"spec\.a\[1\] is a set"),
        ({"spec": {1: 2}}, "has the key 1 of type int"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(tmp_path, changes, text):
    store = Store(tmp_path)
    with pytest.raises(CanonicalFormError, match=text):
        commit(store, **changes)
    assert store.lookup(DIGEST) is None


def test_the_attempts_so_far_are_in_the_manifest(tmp_path):
    store = Store(tmp_path)
    with store.lease(DIGEST) as lease:
        lease.beat(123)
        record = commit(store)
    assert record.provenance["attempts"][0]["n_calls"] == 123


def test_a_bad_digest_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a digest"):
        Store(tmp_path).lookup("../../etc")


def test_a_commit_over_a_damaged_result_replaces_it(tmp_path):
    store = Store(tmp_path)
    record = commit(store)
    good = record.path.read_bytes()
    record.path.chmod(0o644)
    record.path.write_bytes(b"damaged")
    with pytest.warns(QuarantineWarning):
        commit(store)
    assert record.path.read_bytes() == good


@pytest.mark.parametrize(
    "altered",
    [
        {"x": np.array([0.0, 1.0, 2.0, np.nextafter(3.0, 4.0)])},
        {"x": np.array([-0.0, 1.0, 2.0, 3.0])},
        {"x": np.array([0.0, 1.0, 2.0, 3.0], dtype=">f8")},
        {"x": np.array([[0.0, 1.0], [2.0, 3.0]])},
        {},
    ],
)
def test_what_the_library_does_not_give_back_is_not_committed(tmp_path, monkeypatch, altered):
    store, image = Store(tmp_path / "store"), hdf5.image
    monkeypatch.setattr(hdf5, "image", lambda arrays, texts, marks, *, block: image(altered, texts, marks, block=block))
    with pytest.raises(StoreError, match="did not give back the arrays that were written"):
        commit(store, arrays={"x": np.arange(4.0)})
    assert store.lookup(DIGEST) is None
