"""Reading what a lease left: beats, claims, and whether a process is still there."""

import os
import subprocess
import sys
import zlib
from dataclasses import replace

import pytest

from fitcore.store import attempts
from fitcore.store.attempts import Process


def test_this_process_is_there():
    own = Process.own()
    assert own.pid == os.getpid()
    assert not own.is_gone()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_process_that_ended_is_gone():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = attempts._start_of(child.pid)
    assert started is not None
    process = replace(Process.own(), pid=child.pid, started=started)
    assert not process.is_gone()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, but not yet collected by its parent
    assert process.is_gone()
    child.communicate()
    assert process.is_gone()


def test_a_number_that_was_given_to_another_process_is_not_the_holder():
    assert replace(Process.own(), started="1").is_gone()


@pytest.mark.parametrize("change", [{"host": "another"}, {"boot": "another"}, {"namespace": "pid:[1]"}, {"boot": ""}, {"started": ""}])
def test_nothing_is_known_about_processes_elsewhere(change):
    assert not replace(Process.own(), pid=2**22 + 1, **change).is_gone() or change == {"started": ""}
    assert not replace(Process.own(), **{"started": "1", **change}).is_gone()


def test_a_beat_is_of_fixed_length_and_checked(tmp_path):
    path = tmp_path / "beat"
    for numbers in ((0, 0, 0, "running"), (10**9, 10**12, 10**12, "failed: " + "X" * 500)):
        path.write_bytes(attempts.beat_bytes(*numbers))
        assert path.stat().st_size == attempts.BEAT_BYTES
        beat = attempts.read_beat(path)
        assert beat is not None
        assert (beat["counter"], beat["n_calls"]) == numbers[:2]
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    assert attempts.read_beat(path) is None
    assert attempts.read_beat(tmp_path / "none") is None


def test_numbers_of_attempts(tmp_path):
    assert attempts.newest_number(tmp_path / "none") == 0
    for name in (
        "result-000001.json",
        "result-000012.json",
        "latents-000040.json",
        "result-12.json",
        ".tmp-00-result-000099.json",
        "result-x.json",
    ):
        (tmp_path / name).write_text("{}")
    assert attempts.newest_number(tmp_path) == 12
    assert attempts.newest_number(tmp_path, "latents") == 40
    assert attempts.attempts(tmp_path) == []  # no claim among them can be read


def test_a_claim_cannot_point_elsewhere(tmp_path):
    good = '{"holder": {"host": "a", "boot": "b", "namespace": "c", "pid": 1, "started": "1"}, "beat": "%s", "started": ""}'
    (tmp_path / "claim").write_text(good % "x.beat")
    assert attempts.read_claim(tmp_path / "claim") is not None
    (tmp_path / "claim").write_text(good % "../x.beat")
    assert attempts.read_claim(tmp_path / "claim") is None


@pytest.mark.parametrize(
    "text",
    [
        '{"holder": {"host": "a", "boot": "b", "namespace": "c", "pid": 1, "started": "1"}, "beat": "x.beat"}',
        '{"holder": {"host": "a", "boot": "b", "namespace": "c", "pid": "../x", "started": "1"}, "beat": "x.beat", "started": ""}',
        '{"holder": {"host": "a", "boot": "b", "namespace": "c", "started": "1"}, "beat": "x.beat", "started": ""}',
        '{"holder": [1], "beat": "x.beat", "started": ""}',
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        "[]",
    ],
)
def test_a_claim_of_another_form_is_not_read(tmp_path, text):
    (tmp_path / "result-000001.json").write_text(text)
    assert attempts.read_claim(tmp_path / "result-000001.json") is None
    assert attempts.attempts(tmp_path) == []


@pytest.mark.parametrize(
    "text", [b"hello", b"{}", b"[1]", b'{"counter": 1, "n_calls": "x", "n_calls_at_start": 0, "ended": "done"}', b'{"a":' * 90]
)
def test_a_beat_of_another_form_is_not_read(tmp_path, text):
    body = text.ljust(attempts.BEAT_BYTES - 9)
    (tmp_path / "x.beat").write_bytes(body + f"{zlib.crc32(body):08x}\n".encode())
    assert attempts.read_beat(tmp_path / "x.beat") is None
