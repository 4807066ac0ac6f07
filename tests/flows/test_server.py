"""Homes, ports and waiting; the server itself is started in test_flow_server and test_run."""

from __future__ import annotations

import http.server
import threading
import time
from pathlib import Path

import pytest

from flows import server
from flows.settings import Settings


def settings_at(cache: Path) -> Settings:
    return Settings(store=Path("s"), cache=cache, threads=1, prefect_api_url=None, server_seconds=1.0, no_color=True)


def test_two_claims_differ_and_a_free_home_is_used_again(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    first, lock = server.claim_home(settings)
    second, other = server.claim_home(settings)
    assert first != second
    assert first.is_dir()
    lock.close()
    third, again = server.claim_home(settings)
    assert third == first
    other.close()
    again.close()


def test_all_homes_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOTS", 1)
    _, lock = server.claim_home(settings_at(tmp_path))
    with pytest.raises(server.ServerError, match=r"All 1 folders in .* are in use. End some runs, or set PREFECT_API_URL"):
        server.claim_home(settings_at(tmp_path))
    lock.close()


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(server.ServerError, match=r"cannot be written: .*Set FITCORE_CACHE to one that can"):
        server.claim_home(settings_at(tmp_path / "file"))


def test_nobody_answers() -> None:
    start = time.monotonic()
    with pytest.raises(server.ServerError, match=r"answers at http://127.0.0.1:9/api within 0.5 s. Check PREFECT_API_URL"):
        server.wait_until_ready("http://127.0.0.1:9/api", 0.5)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("url", ["prefect:4200", "not a url", "ftp://host/api"])
def test_what_is_no_url_is_said_at_once(url: str) -> None:
    with pytest.raises(server.ServerError, match="PREFECT_API_URL"):
        server.wait_until_ready(url, 1.0)


class Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


def test_another_server_is_not_taken_for_prefect() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{other.server_port}/api"
            with pytest.raises(server.ServerError, match=r"within 0.3 s"):
                server.wait_until_ready(url, 0.3)
        finally:
            other.shutdown()
            thread.join()


def test_a_named_server_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []
    monkeypatch.setattr(server, "wait_until_ready", lambda *words: asked.append(words))
    named = Settings(store=Path("s"), cache=tmp_path / "c", threads=1, prefect_api_url="http://h/api", server_seconds=120.0, no_color=True)
    with server.available(named, pytest.fail) as (url, home):
        assert (url, home) == ("http://h/api", None)
    assert asked == [("http://h/api", 15.0)]
    assert not (tmp_path / "c").exists()


def test_a_server_that_ends_says_why_at_once(tmp_path: Path) -> None:
    reasons: list[str] = []
    own = Settings(store=Path("s"), cache=tmp_path, threads=1, prefect_api_url=None, server_seconds=120.0, no_color=True)
    (tmp_path / "prefect" / "0" / "prefect.db").mkdir(parents=True)  # no database
    with server.available(own, reasons.append) as (url, home):
        start = time.monotonic()
        while not reasons and time.monotonic() - start < 60:
            time.sleep(0.05)
    assert url.startswith("http://127.0.0.1:")
    assert home == tmp_path / "prefect" / "0"
    assert len(reasons) == 1
    assert "ended with code" in reasons[0]
    assert "unable to open database file" in reasons[0]


@pytest.mark.slow
def test_a_server_asked_to_end_says_nothing(tmp_path: Path) -> None:
    own = Settings(store=Path("s"), cache=tmp_path, threads=1, prefect_api_url=None, server_seconds=120.0, no_color=True)
    with server.available(own, pytest.fail) as (url, _):
        server.wait_until_ready(url, 120.0)
