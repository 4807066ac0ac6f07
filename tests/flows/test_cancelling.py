"""A run hears by itself that it was cancelled, and not before Prefect had the time to tell it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from flows import cancelling
from flows.cancelling import CancelledRunError, Watch, watching


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "ASK_SECONDS", 0.01)


@pytest.mark.parametrize(
    ("answers", "is_stopped"), [([True, True], True), ([True, False, True, False], False), ([False, True, True], True)]
)
def test_twice_in_a_row(answers: list[bool], is_stopped: bool) -> None:
    left, stops = list(answers), []

    def ask() -> bool:
        if not left:
            watch.end()
            return False
        return left.pop(0)

    watch = Watch(ask, lambda: stops.append(1))
    watch.run()
    assert (watch.is_cancelled, stops) == (is_stopped, [1] if is_stopped else [])
    if is_stopped:
        with pytest.raises(CancelledRunError, match="cancelled"):
            watch.refuse()
    else:
        watch.refuse()


class Client:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_flow_run(self, identity: Any) -> Any:
        return SimpleNamespace(state=SimpleNamespace(type=cancelling.StateType[self.kind]))


def test_the_search_is_asked_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "get_client", lambda **_: Client("CANCELLING"))
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        with watching("00000000-0000-0000-0000-000000000001", lambda: process.pid) as watch:
            assert process.wait(60) == -15
        assert watch.is_cancelled


def test_a_run_that_goes_on_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "get_client", lambda **_: Client("RUNNING"))
    asked: list[int] = []
    with watching("00000000-0000-0000-0000-000000000001", lambda: asked.append(1)) as watch:
        pass
    assert not watch.is_cancelled
    assert asked == []
