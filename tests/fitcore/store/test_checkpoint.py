"""Checkpoints: the newest whole state of the same request is found again, and nothing else is."""

import threading
import time
import warnings

import nautilus
import numpy as np
import pytest

from fitcore.errors import CanonicalFormError, LeaseHeldError, StoreError
from fitcore.search.base import Checkpoint
from fitcore.store import CheckpointWarning, QuarantineWarning, Store, durable
from fitcore.store import checkpoint as module

DIGEST = "ab" * 32
FINGERPRINT = {"n_batch": 32, "versions": {"numpy": "2.0"}}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", heartbeat=0.05)


def states(checkpoint):
    return sorted(path.name for path in checkpoint.folder.glob("state-*"))


def test_it_is_what_searches_expect(store):
    assert isinstance(store.checkpoint(DIGEST, fingerprint={}), Checkpoint)


def test_nested_state_comes_back_as_it_was(store):
    rng = np.random.default_rng(3)
    state = {
        "u": rng.uniform(size=(10, 3)),
        "rng": rng.bit_generator.state,
        "numbers": {"n": 2**127, "x": 0.1, "nan": float("inf"), "flag": True, "none": None, "z": 1 + 2j, "one": np.float32(0.1)},
        "words": ["a", ("b", b"\x00\xff")],
        "text": np.array(["x", "yz"]),
        "empty": {},
        "by_number": {3: np.zeros(0), "3": 1},
    }
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    assert checkpoint.load_arrays() is None
    checkpoint.save_arrays(state, n_calls=10)
    found = store.checkpoint(DIGEST, fingerprint=FINGERPRINT).load_arrays()
    assert found is not None
    assert list(found) == list(state)
    np.testing.assert_equal(found, state)
    assert type(found["numbers"]["one"]) is np.float32
    assert type(found["words"][1]) is tuple
    other = np.random.default_rng(0)
    other.bit_generator.state = found["rng"]
    assert other.uniform() == rng.uniform()


def test_what_cannot_be_kept_is_refused_with_its_place(store):
    with pytest.raises(CanonicalFormError, match=r"state\['a'\]\[1\] is a object, which a checkpoint cannot hold"):
        store.checkpoint(DIGEST, fingerprint={}).save_arrays({"a": [1, object()]}, n_calls=1)


def test_the_last_two_of_each_kind_are_kept(store):
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    for n in range(5):
        checkpoint.save_arrays({"n": n}, n_calls=n)
    assert len(states(checkpoint)) == 5  # the file of the one before goes with the next save, when its record is gone for certain
    for n in range(3):
        checkpoint.save_through(lambda path, n=n: path.write_text(str(n)), n_calls=10 + n)
    assert len(states(checkpoint)) == 9
    assert checkpoint.load_arrays() == {"n": 4}
    checkpoint.discard()
    assert states(checkpoint) == []
    assert checkpoint.load_arrays() is None


def test_nautilus_writes_and_reads_through_it(store):
    def likelihood(x):
        return -0.5 * np.sum(((x - 0.5) / 0.1) ** 2, axis=-1)

    def sampler(**options):
        return nautilus.Sampler(lambda u: u, likelihood, n_dim=2, n_live=100, n_networks=0, vectorized=True, seed=1, **options)

    first = sampler()
    first.run(n_like_max=300)
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    checkpoint.save_through(lambda path: first.write(path, overwrite=True), n_calls=first.n_like)
    second = checkpoint.load_through(lambda path: sampler(filepath=path, resume=True))
    assert second is not None
    assert second.n_like == first.n_like
    second.filepath = None
    first.run(n_like_max=600)
    second.run(n_like_max=600)
    assert np.array_equal(first.posterior()[0], second.posterior()[0])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"n_batch": 64, "versions": {"numpy": "2.0"}}, "n_batch was 32 and is 64"),
        ({"n_batch": 32, "versions": {"numpy": "2.1"}}, r"versions was \{'numpy': '2.0'\} and is \{'numpy': '2.1'\}"),
        ({"versions": {"numpy": "2.0"}}, "n_batch was 32 and is None"),
    ],
)
def test_a_state_of_another_fingerprint_is_refused_and_the_search_starts_anew(store, changed, text):
    store.checkpoint(DIGEST, fingerprint=FINGERPRINT).save_arrays({"n": 1}, n_calls=1)
    store.checkpoint(DIGEST, fingerprint=FINGERPRINT).save_through(lambda path: path.write_text("x"), n_calls=2)
    checkpoint = store.checkpoint(DIGEST, fingerprint=changed)
    with pytest.warns(CheckpointWarning, match=f"starts anew: {text}"):
        assert checkpoint.load_arrays() is None
    with pytest.warns(CheckpointWarning, match=text):
        assert checkpoint.load_through(lambda path: path) is None


def test_a_state_of_another_digest_is_refused(store):
    other = "cd" * 32
    checkpoint = store.checkpoint(DIGEST, fingerprint={})
    checkpoint.save_arrays({"n": 1}, n_calls=1)
    foreign = store.checkpoint(other, fingerprint={})
    durable.make_folder(foreign.folder)
    for path in checkpoint.folder.glob("state-*"):
        path.rename(foreign.folder / path.name)
    with pytest.warns(CheckpointWarning, match="it belongs to abab"):
        assert foreign.load_arrays() is None


@pytest.mark.parametrize("what", ["state", "record"])
@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
def test_a_damaged_state_is_set_aside_and_the_one_before_is_used(store, what, how):
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    checkpoint.save_arrays({"n": 1}, n_calls=1)
    checkpoint.save_arrays({"n": 2}, n_calls=2)
    path = sorted(checkpoint.folder.glob("state-*.h5" if what == "state" else "state-*.json"))[-1]
    data = path.read_bytes()
    if how == "flip":
        path.write_bytes(
            data[:600] + bytes([data[600] ^ 1]) + data[601:] if what == "state" else data.replace(b'"n_calls": 2', b'"n_calls": 3')
        )
    elif how == "truncate":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
    if (what, how) == ("record", "remove"):
        assert checkpoint.load_arrays() == {"n": 1}
        return
    with pytest.warns(QuarantineWarning, match="checkpoint"):
        assert checkpoint.load_arrays() == {"n": 1}
    assert checkpoint.load_arrays() == {"n": 1}  # and without a warning from now on


def test_a_flipped_bit_that_no_format_would_notice_is_noticed(store):
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    for n, text in ((1, b"old"), (2, b"new")):
        checkpoint.save_through(lambda path, text=text: path.write_bytes(text), n_calls=n, suffix=".bin")
    path = max(checkpoint.folder.glob("state-*.bin"))
    path.write_bytes(b"neu")
    with pytest.warns(QuarantineWarning, match="checkpoint"):
        assert checkpoint.load_through(lambda path: path.read_bytes()) == b"old"


def test_a_file_that_its_own_reader_refuses_is_set_aside(store):
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    checkpoint.save_through(lambda path: path.write_text("old"), n_calls=1, suffix=".txt")
    checkpoint.save_through(lambda path: path.write_text("new"), n_calls=2, suffix=".txt")

    def reader(path):
        if path.read_text() == "new":
            raise RuntimeError("not mine")
        return path.read_text()

    with pytest.warns(QuarantineWarning, match=r"cannot be used \(not mine\)"):
        assert checkpoint.load_through(reader) == "old"


def test_a_writer_that_fails_leaves_the_states_as_they_were(store):
    checkpoint = store.checkpoint(DIGEST, fingerprint=FINGERPRINT)
    checkpoint.save_through(lambda path: path.write_text("old"), n_calls=1, suffix=".txt")
    before = states(checkpoint)

    def writer(path):
        path.write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        checkpoint.save_through(writer, n_calls=2)
    with pytest.raises(StoreError, match="No such file"):
        checkpoint.save_through(lambda path: None, n_calls=2)
    assert states(checkpoint) == before
    assert not list(checkpoint.folder.glob(".tmp-*"))


def test_when_a_save_is_due(store, monkeypatch):
    now, cost = [100.0], [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoint = store.checkpoint(DIGEST, fingerprint={})
    assert checkpoint.due()

    def slow(path):
        path.write_text("x")
        now[0] += cost[0]

    for cost[0], interval in ((0.1, 2.5), (2.0, 50.0), (10.0, 60.0)):
        checkpoint.save_through(slow, n_calls=1, suffix=".txt")
        assert not checkpoint.due()
        now[0] += interval * 0.99
        assert not checkpoint.due()
        now[0] += interval * 0.011
        assert checkpoint.due()


def test_a_growing_state_is_expected_to_cost_more(store, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with store.lease(DIGEST) as lease:
        checkpoint = store.checkpoint(DIGEST, fingerprint={}, lease=lease)

        def slow(path):
            path.write_text("x")
            now[0] += 0.1

        checkpoint.save_through(slow, n_calls=100, suffix=".txt")
        lease.beat(400)
        now[0] += 9.9
        assert not checkpoint.due()
        now[0] += 0.2
        assert checkpoint.due()


def test_stop_by_event_or_by_function(store):
    event = threading.Event()
    checkpoint = store.checkpoint(DIGEST, fingerprint={}, stop=event)
    assert not checkpoint.stop_requested()
    event.set()
    assert checkpoint.stop_requested()
    assert store.checkpoint(DIGEST, fingerprint={}, stop=lambda: True).stop_requested()
    assert not store.checkpoint(DIGEST, fingerprint={}).stop_requested()


def test_the_lease_hears_of_the_calls(store):
    with store.lease(DIGEST) as lease:
        store.checkpoint(DIGEST, fingerprint={}, lease=lease).save_arrays({"n": 1}, n_calls=70)
        assert lease.n_calls == 70
    with store.lease(DIGEST) as lease:
        checkpoint = store.checkpoint(DIGEST, fingerprint={}, lease=lease)
        checkpoint.load_arrays()
        checkpoint.save_arrays({"n": 2}, n_calls=150)
        checkpoint.load_arrays()
    assert [(attempt.n_calls_at_start, attempt.n_calls) for attempt in store.attempts(DIGEST)] == [(0, 70), (70, 150)]


def test_a_holder_that_lost_its_lease_saves_nothing(store):
    with store.lease(DIGEST) as lease:
        checkpoint = store.checkpoint(DIGEST, fingerprint={}, lease=lease)
        checkpoint.save_arrays({"n": 1}, n_calls=1)
        claim = store.path / "work" / "ab" / DIGEST / "attempts" / "result-000001.json"
        claim.with_name("result-000002.json").write_bytes(claim.read_bytes().replace(b"result-000001-", b"result-000002-"))
        with pytest.raises(LeaseHeldError, match="has taken over the work"):
            checkpoint.save_arrays({"n": 2}, n_calls=2)
    assert checkpoint.load_arrays() == {"n": 1}


def test_a_save_costs_little(store):
    """Five per cent of the wall time is the budget: a state of 10 MB must be written in well under a second."""
    state = {"points": np.random.default_rng(1).normal(size=(50_000, 25))}
    checkpoint = store.checkpoint(DIGEST, fingerprint={})
    costs = []
    for _ in range(3):
        start = time.perf_counter()
        checkpoint.save_arrays(state, n_calls=1)
        costs.append(time.perf_counter() - start)
    assert min(costs) < 1.0


def test_no_warning_without_a_reason(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.checkpoint(DIGEST, fingerprint={}).load_arrays() is None
