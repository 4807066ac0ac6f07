"""Leases: one holder, taken over only from the dead, and the attempts remembered."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fitcore.errors import LeaseHeldError, SearchInterruptedError, StoreError
from fitcore.store import Store, attempts, durable, encoding
from fitcore.store import lease as module
from fitcore.store.attempts import Process, read_claim
from fitcore.store.layout import Layout

DIGEST = "ab" * 32
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", heartbeat=0.05, patience=10)


def holder(store: Store, body: str = "time.sleep(60)") -> subprocess.Popen:
    """Another process that holds the lease and says so."""
    code = f"""
        import sys, time
        from fitcore.store import Store
        store = Store({str(store.path)!r}, heartbeat=0.05, patience=10)
        with store.lease({DIGEST!r}) as lease:
            lease.resumed_from(100)
            lease.beat(250)
            print("held", flush=True)
            {body}
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def elsewhere(monkeypatch):
    """This process believes that it runs on another host than whoever it looks at: process ids say nothing then."""
    own = attempts.Process.own
    monkeypatch.setattr(module.Process, "own", classmethod(lambda cls: replace(own(), host="another")))
    monkeypatch.setattr(attempts.socket, "gethostname", lambda: "another")


def test_one_holder_at_a_time(store):
    with store.lease(DIGEST) as lease:
        assert lease.still_held()
        assert lease.number == 1
        start = time.monotonic()
        with pytest.raises(LeaseHeldError, match=r"process \d+ on .* at 0 calls, is at work on abab.*Wait for it, or end that process"):
            store.lease(DIGEST, wait=0).__enter__()
        assert time.monotonic() - start < 0.1
        # Without a limit: long enough to see that it lives, not for ever.
        with pytest.raises(LeaseHeldError):
            store.lease(DIGEST).__enter__()
        with store.lease("cd" * 32), store.lease(DIGEST, part="latents"):
            pass
    with store.lease(DIGEST, wait=0) as lease:
        assert lease.number == 2
    assert LeaseHeldError.retryable


def test_waiting_for_the_holder(store):
    lease = store.lease(DIGEST)
    lease.__enter__()
    timer = threading.Timer(0.3, lease.__exit__, (None, None, None))
    timer.start()
    start = time.monotonic()
    with store.lease(DIGEST, wait=20) as second:
        assert second.number == 2
    assert 0.2 < time.monotonic() - start < 5
    timer.join()


def test_a_holder_that_was_killed_here_is_replaced_at_once(store):
    process = holder(store)
    with pytest.raises(LeaseHeldError):
        store.lease(DIGEST, wait=0).__enter__()
    end(process)
    start = time.monotonic()
    with store.lease(DIGEST, wait=0) as lease:
        assert lease.number == 2
    assert time.monotonic() - start < 0.4
    first, second = store.attempts(DIGEST)
    assert (first.ended, first.n_calls_at_start, first.n_calls) == ("lost", 100, 250)
    assert second.ended == "done"
    assert second.took_over_because == "its process no longer exists"


@pytest.mark.usefixtures("elsewhere")
def test_a_holder_elsewhere_is_replaced_when_its_counter_stands_still(store):
    process = holder(store)
    with pytest.raises(LeaseHeldError):  # it beats
        store.lease(DIGEST).__enter__()
    end(process)
    with pytest.raises(LeaseHeldError):  # nobody can know yet
        store.lease(DIGEST, wait=0).__enter__()
    start = time.monotonic()
    with store.lease(DIGEST) as lease:
        assert lease.number == 2
    assert 0.4 < time.monotonic() - start < 5
    assert store.attempts(DIGEST)[1].took_over_because.startswith("its counter stood still for 0.5")


@pytest.mark.usefixtures("elsewhere")
def test_a_holder_that_slept_and_wakes_knows_that_it_was_replaced(store):
    process = holder(store, "time.sleep(1.5); print(lease.still_held(), flush=True)")
    os.kill(process.pid, signal.SIGSTOP)
    with store.lease(DIGEST) as lease:
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.readline() == "False\n"
        assert lease.still_held()
    process.wait()
    process.stdout.close()
    assert store.attempts(DIGEST)[1].n_calls_at_start == 0


def test_the_wall_clock_plays_no_part(store, monkeypatch):
    with store.lease(DIGEST):
        monkeypatch.setattr(module.time, "time", lambda: 4e9)
        with pytest.raises(LeaseHeldError):
            store.lease(DIGEST, wait=0.3).__enter__()


def test_eight_contenders_for_a_dead_holders_lease_and_one_winner(store):
    end(holder(store))
    winners, losers = [], []
    go = threading.Barrier(8)

    def contend():
        lease = store.lease(DIGEST, wait=0)
        go.wait()
        try:
            winners.append(lease.__enter__())
        except LeaseHeldError:
            losers.append(lease)

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(winners), len(losers)) == (1, 7)
    assert winners[0].number == 2
    winners[0].__exit__(None, None, None)
    assert len(list((store.path / "work" / "ab" / DIGEST / "attempts").iterdir())) == 4  # nothing of the losers stays


def test_a_slow_contender_cannot_win_a_number_that_is_history(store):
    for _ in range(3):
        with store.lease(DIGEST):
            pass
    slow = store.lease(DIGEST)
    (store.path / "work" / "ab" / DIGEST / "attempts" / "result-000002.json").unlink()
    assert not slow._claim(2, "")


def test_without_hard_links(store, monkeypatch):
    def link(source, target):
        raise OSError(95, "no hard links here")

    monkeypatch.setattr(durable, "link", link)
    with store.lease(DIGEST) as lease:
        assert lease.still_held()
        with pytest.raises(LeaseHeldError):
            store.lease(DIGEST, wait=0).__enter__()


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (None, "done"),
        (SearchInterruptedError("x"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(75), "interrupted"),
        (ValueError("x"), "failed: ValueError"),
    ],
)
def test_how_an_attempt_ended_is_remembered(store, error, ended):
    def work():
        with store.lease(DIGEST) as lease:
            lease.beat(17)
            assert store.attempts(DIGEST)[0].ended == "running"
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    (attempt,) = store.attempts(DIGEST)
    assert (attempt.ended, attempt.n_calls) == (ended, 17)
    with store.lease(DIGEST, wait=0):
        pass


def test_a_damaged_lease_is_waited_out_like_a_dead_one(store):
    with store.lease(DIGEST):
        pass
    claim = store.path / "work" / "ab" / DIGEST / "attempts" / "result-000001.json"
    claim.chmod(0o644)
    claim.write_bytes(b"\xff rubbish")
    with pytest.raises(LeaseHeldError, match="another process is at work"):
        store.lease(DIGEST, wait=0).__enter__()
    with store.lease(DIGEST) as lease:
        assert lease.number == 2


def test_a_full_disk_does_not_end_the_search_that_holds_it(store, monkeypatch):
    def write_at_start(descriptor, data):
        raise OSError(28, "No space left on device")

    with store.lease(DIGEST) as lease:
        monkeypatch.setattr(durable, "write_at_start", write_at_start)
        lease.beat(5)
        assert lease.missed_beats >= 1
        assert lease.still_held()


def test_a_store_that_cannot_be_written_says_so(store, monkeypatch):
    def make_one_folder(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(durable, "make_one_folder", make_one_folder)
    with pytest.raises(StoreError, match="not allowed while taking the lease"):
        store.lease(DIGEST).__enter__()


def test_a_machine_that_slept_is_no_reason_to_take_over():
    watch = module._Watch()
    assert watch.stillness(1, b"a", 1.0) == 0.0
    watch._last_look -= 3600
    assert watch.stillness(1, b"a", 1.0) == 1.0
    assert watch.stillness(1, b"b", 1.0) == 0.0
    assert watch.has_moved


@pytest.mark.parametrize("middle", ["\u00b2" * 6, "\u0663" * 6, "1234567"])
def test_numbers_that_are_none_of_ours_do_not_count(tmp_path, middle):
    store = Store(tmp_path / "store", heartbeat=0.05, patience=4)
    folder = Layout(store.path).attempts_folder(DIGEST)
    folder.mkdir(parents=True)
    (folder / f"result-{middle}.json").touch()
    with store.lease(DIGEST) as lease:
        assert lease.number == 1


def test_the_last_number_of_all(tmp_path):
    store = Store(tmp_path / "store", heartbeat=0.05, patience=4)
    folder = Layout(store.path).attempts_folder(DIGEST)
    folder.mkdir(parents=True)
    (folder / "result-999999.json").touch()
    with (
        pytest.raises(StoreError, match=r"number 999,999, .*: the folder was tampered with. Remove it"),
        store.lease(DIGEST),
    ):
        pass


@pytest.mark.parametrize("beat", ["a\0b.beat", "../x.beat", "x" * 5000 + ".beat", "", "..", "result.json"])
def test_a_claim_that_names_no_beat_is_damaged(tmp_path, beat):
    store = Store(tmp_path / "store", heartbeat=0.05, patience=4)
    folder = Layout(store.path).attempts_folder(DIGEST)
    folder.mkdir(parents=True)
    claim = {"holder": asdict(Process.own()), "beat": beat, "started": ""}
    (folder / "result-000001.json").write_bytes(encoding.to_json(claim))
    assert read_claim(folder / "result-000001.json") is None
    with store.lease(DIGEST) as lease:
        assert lease.number == 2
