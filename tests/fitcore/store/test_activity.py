"""What goes on in a store: who works, what stands still, what was left; and that looking changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore.errors import LikelihoodError, SearchInterruptedError
from fitcore.store import Store, activity
from fitcore.store.activity import Work
from fitcore.store.attempts import attempts, beat_bytes, claim_path

DIGEST, OTHER = "ab" * 32, "cd" * 32
ABOUT = {"name": "toy.first", "dataset": "line", "command": "fitcore run line"}
HOLDER = """
import os, sys, time
from pathlib import Path
from fitcore.store import Store
store = Store(sys.argv[1], heartbeat=0.05)
with store.lease(sys.argv[2], about={"name": "toy.first", "dataset": "line", "command": "fitcore run line"}) as lease:
    checkpoint = store.checkpoint(sys.argv[2], lease=lease)
    lease.beat(300, -3.5)
    checkpoint.save_arrays({"a": 1}, n_calls=300)
    lease.beat(340, -3.25)
    print("held", flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", heartbeat=0.05)


@pytest.fixture
def holder(store: Store) -> Any:
    """A process of its own that works on DIGEST."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(store.path), DIGEST], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def only(store: Store) -> Work:
    found = store.activity()
    assert found.faults == ()
    (work,) = found.works
    return work


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def leave(store: Store, digest: str, error: Exception) -> None:
    """Begin, save, and end with an error."""
    with store.lease(digest, about=ABOUT) as lease:
        store.checkpoint(digest, lease=lease).save_arrays({"a": 1}, n_calls=120)
        raise error


def contents(folder: Path) -> dict[str, Any]:
    return {str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in folder.rglob("*")}


def test_an_empty_store(store: Store) -> None:
    found = store.activity()
    assert (found.n_results, found.n_chains, found.n_quarantined, found.works, found.faults) == (0, 0, 0, (), ())


def test_work_under_way(store: Store) -> None:
    with store.lease(DIGEST, about=ABOUT) as lease:
        lease.beat(250, -12.5)
        lease.beat(260)
        time.sleep(0.2)
        work = only(store)
        assert (work.state, work.why, work.part, work.digest) == ("running", "", "result", DIGEST)
        assert (work.name, work.dataset, work.command) == ("toy.first", "line", "fitcore run line")
        assert (work.attempt.n_calls, work.log_evidence, work.n_calls_saved) == (260, -12.5, None)
        assert work.attempt.holder.pid == os.getpid()
        assert work.effort.n_attempts == 1
        assert 260 / 100 < work.effort.rate <= 260 / 0.05


@pytest.mark.parametrize(
    ("error", "why"), [(SearchInterruptedError("later"), "interrupted"), (LikelihoodError("no"), "failed: LikelihoodError")]
)
def test_work_that_ended_without_a_result(store: Store, error: Exception, why: str) -> None:
    with pytest.raises(type(error)):
        leave(store, DIGEST, error)
    work = only(store)
    assert (work.state, work.why, work.n_calls_saved, work.command) == ("unfinished", why, 120, "fitcore run line")


def test_work_whose_process_was_killed_and_what_it_cost(store: Store, holder: Any) -> None:
    holder.kill()
    holder.wait()
    work = only(store)
    assert (work.state, work.why, work.n_calls_saved) == ("unfinished", "its process was killed", 300)
    with store.lease(DIGEST) as lease:
        lease.resumed_from(300)
        lease.beat(500)
    effort = store.effort(DIGEST)
    assert (effort.n_attempts, effort.n_calls, effort.n_calls_repeated) == (2, 340 + 200, 40)
    assert effort.seconds > 0
    assert effort.seconds_between > 0


def test_a_holder_without_signs_of_life(store: Store, holder: Any) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    (beat,) = (store.path / "work" / "ab" / DIGEST / "attempts").glob("*.beat")
    wait_for(lambda: time.time() - beat.stat().st_mtime > 15 * 0.05)
    work = only(store)
    assert work.state == "still"
    assert work.why.startswith("no sign of life for ")
    os.kill(holder.pid, signal.SIGCONT)
    wait_for(lambda: only(store).state == "running")


def test_another_clock_makes_nobody_silent(store: Store, holder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = time.time() + 10_000
    monkeypatch.setattr(activity.time, "time", lambda: ahead)
    monkeypatch.setattr(activity, "LOOK_BEATS", 40.0)
    assert only(store).state == "running"


def test_a_holder_that_makes_no_calls(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "IDLE_BEATS", 5)
    with store.lease(DIGEST, about=ABOUT) as lease:
        lease.beat(10)
        wait_for(lambda: only(store).state == "still")
        assert "it lives and makes no calls since" in only(store).why
        lease.beat(20)
        assert only(store).state == "running"


def commit(store: Store, digest: str) -> None:
    store.commit(digest, arrays={"x": [1.0]}, attributes={}, spec={})


def test_what_is_committed_is_left_out_but_not_its_parts(store: Store) -> None:
    with store.lease(DIGEST):
        commit(store, DIGEST)
    assert store.activity().works == ()
    with store.lease(DIGEST, part="latents", about=ABOUT):
        work = only(store)
        assert (work.part, work.state, work.n_calls_saved) == ("latents", "running", None)
        store.commit_part(DIGEST, "latents", arrays={"y": [1.0]}, attributes={})
        assert store.activity().works == ()
    assert store.activity().n_results == 1


def test_older_versions_told_less(store: Store) -> None:
    with store.lease(DIGEST) as lease:
        lease.beat(10)
    folder = store.path / "work" / "ab" / DIGEST / "attempts"
    claim = json.loads(claim_path(folder, "result", 1).read_bytes())
    del claim["about"]
    claim_path(folder, "result", 1).unlink()
    claim_path(folder, "result", 1).write_text(json.dumps(claim))
    old = json.dumps({"counter": 3, "n_calls": 10, "n_calls_at_start": 0, "ended": "interrupted"}).encode().ljust(503)
    (folder / claim["beat"]).write_bytes(old + f"{activity_crc(old):08x}\n".encode())
    work = only(store)
    assert (work.name, work.command, work.log_evidence, work.why) == ("", "", None, "interrupted")


def activity_crc(data: bytes) -> int:
    return zlib.crc32(data)


@pytest.mark.parametrize("told", [[1], "x", {"name": 3, "command": None}, {"name": {"a": 1}}])
def test_what_a_holder_told_may_be_anything(store: Store, told: Any) -> None:
    with store.lease(DIGEST):
        pass
    path = claim_path(store.path / "work" / "ab" / DIGEST / "attempts", "result", 1)
    claim = json.loads(path.read_bytes())
    path.unlink()
    path.write_text(json.dumps({**claim, "about": told}))
    assert only(store).name == ""


@pytest.mark.parametrize("damage", ["claim", "beat", "record", "link"])
def test_what_is_damaged_is_told_and_harms_no_other(store: Store, damage: str, tmp_path: Path) -> None:
    for digest in (DIGEST, OTHER):
        with pytest.raises(SearchInterruptedError):
            leave(store, digest, SearchInterruptedError("later"))
    work = store.path / "work" / "ab" / DIGEST
    if damage == "link":
        (work / "attempts").rename(tmp_path / "elsewhere")
        (work / "attempts").symlink_to(tmp_path / "elsewhere")
        path = work / "attempts"
    else:
        pattern = {"claim": "attempts/result-*.json", "beat": "attempts/*.beat", "record": "state-*.json"}[damage]
        (path,) = work.glob(pattern)
        path.chmod(0o644)
        path.write_bytes(b"\x1b[2Jnothing of ours")
    before = contents(store.path)
    found = store.activity()
    assert [fault[0] for fault in found.faults] == [path]
    assert OTHER in {item.digest for item in found.works}
    assert contents(store.path) == before


def test_looking_writes_nothing(store: Store, holder: Any) -> None:
    with store.lease(OTHER):
        commit(store, OTHER)
    store.record_run("line", "toy", {"first": OTHER})
    holder.kill()
    holder.wait()
    before = contents(store.path)
    found = store.activity()
    assert (found.n_results, found.n_chains, len(found.works)) == (1, 1, 1)
    assert contents(store.path) == before


def test_a_beat_keeps_its_length() -> None:
    largest = 10**15
    assert len(beat_bytes(largest, largest, largest, "failed: " + "X" * 200, moved=largest, log_evidence=-1.2345678901234567e-300)) == 512


def test_three_thousand_results(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.lease(DIGEST, about=ABOUT):
        commit(store, DIGEST)
    result, work = store.path / "results" / "ab" / DIGEST, store.path / "work" / "ab" / DIGEST
    for number in range(3000):
        digest = f"{number:064x}"
        for source, kind in ((result, "results"), (work / "attempts", "work")):
            target = store.path / kind / digest[:2] / digest / ("attempts" if kind == "work" else "")
            target.mkdir(parents=True)
            for file in source.iterdir():
                if file.is_file():
                    os.link(file, target / file.name)
    with pytest.raises(SearchInterruptedError), store.lease(OTHER):
        raise SearchInterruptedError("later")
    start = time.process_time()
    found = store.activity()
    seconds = time.process_time() - start
    with capsys.disabled():
        print(f"\n3,000 results: {seconds:.2f} s of processor time")
    assert (found.n_results, len(found.works)) == (3001, 1)
    assert seconds < 3.0
    assert len(attempts(work / "attempts")) == 1
