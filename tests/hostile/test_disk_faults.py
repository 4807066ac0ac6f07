"""A disk that is full, forbidden or broken at any call by which the store changes it: what was there stays, the error says where and what
to do, nobody tries for ever, and the next run ends with the same bytes. Every error at every call is in `benchmarks.hostile`.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from failing import CALLS, ERRORS, Patient
from prefect.states import Failed

from fitcore.errors import StoreError
from flows import chain
from flows.protocol import RemoteError
from flows.worker import Worker


@pytest.fixture
def patient(quick_path: Path) -> Patient:
    return Patient(quick_path)


def test_a_failure_at_any_call(patient: Patient) -> None:
    assert len(patient.calls) > 100
    assert set(patient.calls) == set(CALLS) - {"remove_folder"}
    points = [(1 + i, ERRORS[i // 7 % len(ERRORS)], bool(i // 7 // len(ERRORS) % 2)) for i in range(0, len(patient.calls), 7)]
    broken = {point: found for point in points if (found := patient.check(point[0], point[1], lasts=point[2]))}
    assert broken == {}


def test_no_flow_tries_again_what_the_disk_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error reaches the flow with its text, and the retry condition of the tasks says no."""
    sent: list[dict[str, Any]] = []
    worker = Worker(SimpleNamespace(write=lambda text: sent.append(json.loads(text)), flush=lambda: None), threads=1)  # type: ignore[arg-type]

    def full(request: dict[str, Any]) -> None:
        raise StoreError("no space left while saving")

    monkeypatch.setattr(worker, "answer", full)
    worker.serve(iter(['{"operation": "stage"}\n']))  # type: ignore[arg-type]
    (event,) = sent
    assert event == {"event": "error", "kind": "StoreError", "message": "no space left while saving", "retryable": False}
    refused = RemoteError(event["kind"], event["message"], event["retryable"])
    held, other = RemoteError("LeaseHeldError", "", True), RemoteError("StoreError", "a file that vanished", True)
    for error, expected in ((refused, False), (held, False), (other, True)):
        state = Failed(data=error, message=str(error))
        assert chain.is_retryable(None, None, state) is expected  # type: ignore[arg-type]
    assert 0 < chain.RETRIES < 10
