"""`fitcore deploy` as a command: exit code 2 and a clear message for what cannot work, without a Prefect server."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server with a password that nobody has told us: its health is open, the rest is not."""

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/api/health" else 401)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(401)

    def _answer(self, code: int) -> None:
        body = b"true" if code == 200 else b'{"exception_message":"Unauthorized"}'
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
        server.shutdown()
        thread.join()


def test_no_server_is_named(fitcore: Any, write: Callable[..., Path]) -> None:
    answer = fitcore("deploy", write())
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "PREFECT_API_URL is not set" in answer.stderr


def test_a_server_that_is_absent(fitcore: Any, write: Callable[..., Path]) -> None:
    answer = fitcore("deploy", write(), PREFECT_API_URL="http://127.0.0.1:9/api", FITCORE_SERVER_SECONDS="0.5")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "No Prefect server answers at http://127.0.0.1:9/api" in answer.stderr


def test_a_wrong_password(fitcore: Any, write: Callable[..., Path], refusing: str) -> None:
    answer = fitcore("deploy", write(), PREFECT_API_URL=refusing, PREFECT_API_AUTH_STRING="admin:wrong")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "does not accept the password (401)" in answer.stderr
    assert "PREFECT_API_AUTH_STRING" in answer.stderr
    assert "admin:wrong" not in answer.stderr


def test_a_bad_file(fitcore: Any, write: Callable[..., Path]) -> None:
    answer = fitcore("deploy", write(stoer="x"), "--dry-run", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "'stoer' is no key here" in answer.stderr
    assert "Traceback" not in answer.stderr
