"""Lines of JSON between processes."""

from __future__ import annotations

import json
import math
import pickle

import pytest

from flows.protocol import RemoteError, line, message


@pytest.mark.parametrize("value", [{"event": "done", "answer": {"a": [1, 2.5, None, "π\n"]}}, {}, {"x": 0.1 + 0.2}])
def test_a_message_comes_back(value: dict[str, object]) -> None:
    text = line(value)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert message(text) == value


def test_not_a_number_comes_back() -> None:
    found = message(line({"log_evidence": math.nan, "error": math.inf}))
    assert math.isnan(found["log_evidence"])
    assert found["error"] == math.inf


@pytest.mark.parametrize("text", ["hello\n", "[1, 2]\n", "3\n", "\n", '{"event": \n', '"text"\n'])
def test_what_is_no_message_is_a_log_event(text: str) -> None:
    assert message(text) == {"event": "log", "text": text.rstrip("\n")}


def test_a_remote_error_keeps_its_words() -> None:
    error = RemoteError("DataError", "no image.fits", True)
    assert str(error) == "DataError: no image.fits"
    copy = pickle.loads(pickle.dumps(error))  # Prefect may carry it between processes
    assert (copy.kind, copy.message, copy.retryable) == ("DataError", "no image.fits", True)
    assert json.dumps(message(line({"event": "error", "kind": error.kind})))
