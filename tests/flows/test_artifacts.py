"""The helper that tells Prefect's pages: seldom, never in the way, failures counted. That it works at all is seen in test_flow_server."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from flows import artifacts

PROGRESS = {"event": "progress", "stage": "first", "phase": "exploring", "n_calls": 50, "log_evidence": -1.0}


def join(publisher: artifacts.Publisher) -> None:
    if publisher._thread is not None:
        publisher._thread.join(10)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda **words: calls.append(words))
    return calls


def test_a_failure_is_counted_and_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**words: Any) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(artifacts, "create_table_artifact", broken)
    publisher = artifacts.Publisher()
    for number in (1, 2):
        publisher.table("stages", [{"name": "first"}])
        join(publisher)
        assert publisher.n_failed == number


def test_news_come_at_most_every_half_minute(told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(artifacts.time, "monotonic", lambda: now[0])
    publisher = artifacts.Publisher()
    for seconds in (1.0, 28.0, 2.0, 29.0, 2.0):
        now[0] += seconds
        publisher.tell("progress", PROGRESS)
        publisher.tell("progress", {"event": "outcome"})
        join(publisher)
    assert len(told) == 2  # after 31 and 62 s
    assert told[0]["key"] == "progress"
    assert told[0]["markdown"] == "first exploring, 50 calls, log-evidence -1.00"


def test_the_rate_is_that_since_the_last_news_of_the_stage(told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(artifacts.time, "monotonic", lambda: now[0])
    publisher = artifacts.Publisher()
    for stage, n_calls in (("first", 50), ("first", 1450), ("second", 700), ("", 0)):
        now[0] += 35.0
        publisher.tell("progress", {**PROGRESS, "stage": stage, "n_calls": n_calls, "log_evidence": None})
        join(publisher)
    lines = ["first exploring, 50 calls", "first exploring, 1,450 calls (40.0 a second)", "second exploring, 700 calls", "exploring"]
    assert [each["markdown"] for each in told] == lines


def test_a_link_waits_for_what_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda **words: calls.append(words))
    monkeypatch.setattr(artifacts, "create_link_artifact", lambda **words: calls.append(words))
    publisher = artifacts.Publisher()
    publisher.link("report", "/data/results/a lens.html", "report")
    publisher.table("stages", [{"name": "first"}])
    assert [each["key"] for each in calls] == ["report", "stages"]
    assert calls[0]["link"] == "file:///data/results/a%20lens.html"


def test_a_slow_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    release, calls = threading.Event(), []

    def slow(**words: Any) -> None:
        calls.append(words)
        release.wait(10)

    monkeypatch.setattr(artifacts, "create_markdown_artifact", slow)
    monkeypatch.setattr(artifacts, "SECONDS_BETWEEN", 0.0)
    publisher = artifacts.Publisher()
    start = time.monotonic()
    for _ in range(5):
        publisher.tell("progress", PROGRESS)
    assert time.monotonic() - start < 5.0
    assert len(calls) == 1  # the others were dropped, not queued
    release.set()
    join(publisher)
