"""What the command line does at a signal, wherever its main thread is at that moment."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from flows.protocol import Lines
from flows.supervisor import LOOK_SECONDS, Interrupts, handling, told_aside


def test_a_signal_in_the_midst_of_a_print_prints_after_it() -> None:
    printing = threading.Lock()  # as an import under way, or a display at work: who comes in again is stuck, or breaks it
    told: list[tuple[str, threading.Thread]] = []

    def tell(text: str) -> None:
        assert printing.acquire(timeout=5), "told within the handler"
        told.append((text, threading.current_thread()))
        printing.release()

    with told_aside(tell) as tell_later:
        interrupts = Interrupts(tell_later)
        with handling(interrupts), printing:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            assert interrupts.count == 2
            assert not told
    ((text, thread),) = told
    assert "saving the search" in text
    assert thread is not threading.current_thread()


def test_all_is_told_in_order_before_the_end() -> None:
    told: list[str] = []
    with told_aside(told.append) as tell:
        for number in range(100):
            tell(str(number))
    assert told == [str(number) for number in range(100)]


def test_every_worker_of_a_lane_is_told_and_one_that_ended_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    interrupts = Interrupts(lambda text: None)
    for event in ({"pid": 11}, {"pid": 12, "branch": 1}, {"pid": 13, "branch": 2}, {"pid": 21, "lane": 1}):
        interrupts.note({"event": "worker", **event})
    interrupts.note({"event": "closed", "pid": 12, "branch": 1})
    interrupts(signal.SIGINT, None)
    assert killed == [(pid, signal.SIGTERM) for pid in (11, 13, 21)]
    interrupts.note({"event": "worker", "pid": 14, "branch": 1})
    assert killed[3:] == [(pid, signal.SIGTERM) for pid in (11, 13, 21, 14)]


def test_the_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(ZeroDivisionError), handling(Interrupts(lambda text: None)):
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_signal_just_before_a_read_is_answered_before_its_line() -> None:
    """Whether it came before the read or to another thread: either way it is noted, and the read goes on."""
    reader, writer = os.pipe()
    seen: list[bool] = []
    with os.fdopen(reader, encoding="utf-8") as stream, handling(interrupts := Interrupts(lambda text: None)):

        def another() -> None:
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            threading.Event().wait(2.0)
            seen.append(interrupts.count == 1)
            os.write(writer, b"one line\n")
            os.close(writer)

        timer = threading.Timer(0.3, another)
        timer.start()
        assert list(Lines(stream, look_seconds=LOOK_SECONDS)) == ["one line\n"]
        timer.join()
    assert seen == [True]
