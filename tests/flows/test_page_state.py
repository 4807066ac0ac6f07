"""What a campaign page says has changed, and what it keeps for the next one."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from flows.page_state import SESSION, Change, State, Trouble, changes, following, load, plain, shown

NOW = datetime.datetime(2026, 11, 27, 22, 0, tzinfo=datetime.UTC)
OLD = {
    "lens/a": shown("accepted", (1.0, 0.99, 1.01), "1"),
    "lens/b": shown("review", (1.0, 0.99, 1.01), "1"),
    "lens/c": shown("failed", (1.0, 0.99, 1.01), "1"),
    "lens/d": shown("accepted", (float("nan"),) * 3, "1"),
}


def test_new_gone_other_verdicts_and_moves() -> None:
    new = {
        "lens/a": shown("accepted", (1.02, 1.01, 1.03), "2"),  # within three errors
        "lens/b": shown("accepted", (1.0, 0.99, 1.01), "2"),
        "lens/d": shown("accepted", (float("nan"),) * 3, "1"),
        "lens/e": shown("review", (2.0, 1.9, 2.1), "1"),
    }
    before = following(State(), OLD, NOW, []).newest
    found = changes(before, new)
    assert found.items == (
        Change(key="lens/b", before="review", after="accepted"),
        Change(key="lens/c", before="failed", text="is gone"),
        Change(key="lens/e", after="review", text="new"),
    )
    assert (found.n_new, found.n_refitted, found.since) == (1, 2, "2026-11-27T22:00:00+00:00")
    moved = changes(before, {**OLD, "lens/a": shown("accepted", (1.2, 1.19, 1.21), "2")})
    assert moved.items == (Change(key="lens/a", after="accepted", text="moved from 1 to 1.2"),)
    assert changes(None, new).since == ""


def test_pages_of_one_session_tell_what_changed_since_the_one_before_it() -> None:
    hour = datetime.timedelta(hours=1)
    first = following(State(), {}, NOW, [])
    assert first.before is None
    second = following(first, OLD, NOW + hour, [])
    third = following(second, OLD, NOW + 2 * hour, [])
    assert second.before == third.before == first.newest
    night = following(third, OLD, NOW + 2 * hour + SESSION + hour, [])
    assert night.before == third.newest
    assert following(night, OLD, NOW + 4 * hour + SESSION, []).before == third.newest


def test_it_comes_back(tmp_path: Path) -> None:
    state = following(State(), OLD, NOW, [Trouble(name="x", state="failed", text="why", time="2026")])
    (tmp_path / "s.json").write_bytes(plain(state))
    assert load(tmp_path / "s.json") == state


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"before": 5}', b'{"newest": {"made": "x"}}', b"\xff", b"[" * 100_000], ids=lambda data: repr(data[:12])
)
def test_what_is_no_state_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.json").write_bytes(content)
    assert load(tmp_path / "s.json") == State()
    assert load(tmp_path / "none.json") == State()


def test_a_time_that_is_none_begins_a_new_session() -> None:
    odd = State.model_validate({"newest": {"made": "yesterday", "rows": {}}, "before": {"made": "2026-01-01T00:00:00", "rows": {}}})
    assert following(odd, OLD, NOW, []).before == odd.newest
