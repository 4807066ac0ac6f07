"""Why a stage ran, from a store's own records."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fitcore import StageOutcome, canonical
from fitcore.store.glance import Glimpse
from flows.reasons import exports_of, reasons


def glimpse(digest: str, spec: Any, committed: str, dataset: str = "lens", name: str = "lens.basin") -> Glimpse:
    return Glimpse(digest=digest, name=name, spec=canonical(spec), provenance={"dataset": dataset, "committed": committed})


def told(*glimpses: Glimpse, cached: bool = False, digest: str = "b" * 64) -> str:
    outcome = StageOutcome(
        name="basin", digest=digest, cached=cached, n_calls=1, log_evidence=0.0, log_evidence_error=0.0, seconds=1.0, grade="A"
    )
    store: Any = SimpleNamespace(glimpses=lambda: iter(glimpses))
    return reasons([outcome], store, "lens")["basin"]


OWN = glimpse("b" * 64, {"seed": 1, "search": {"n": 5}}, "2026-01-02T03:04:05+00:00")
OLD = glimpse("a" * 64, {"seed": 0, "search": {"n": 5}}, "2026-01-01T00:00:00+00:00")


def test_a_hit_tells_when_its_result_was_made() -> None:
    assert told(OWN, cached=True) == "A hit: the same request was in the store, of 2026-01-02 03:04; nothing was computed."


def test_a_run_names_the_field_that_differs_from_the_nearest_earlier_request() -> None:
    far = glimpse("c" * 64, {"seed": 3, "search": {"n": 9}}, "2026-01-01T12:00:00+00:00")
    words = told(OWN, OLD, far)
    assert words.startswith(f"It ran: the nearest earlier request, {'a' * 12}, differs in seed")
    assert "search" not in words


@pytest.mark.parametrize(
    "other",
    [
        glimpse("a" * 64, {"seed": 0}, "2026-01-01T00:00:00+00:00", dataset="other"),
        glimpse("a" * 64, {"seed": 0}, "2026-01-01T00:00:00+00:00", name="lens.power_law"),
        glimpse("a" * 64, {"seed": 0}, "2026-02-01T00:00:00+00:00"),
    ],
    ids=["of another dataset", "of another stage", "later"],
)
def test_what_is_no_earlier_result_of_it_is_no_reason(other: Glimpse) -> None:
    assert told(OWN, other) == "It ran: the store records no earlier result of this stage for this dataset."


def test_commands_are_quoted(tmp_path: Path) -> None:
    commands = exports_of({"pipeline": "lens", "store": str(tmp_path / "a b")}, "my lens")
    assert next(iter(commands.values())) == f"fitcore export 'my lens' --to csv,corner --pipeline lens --store '{tmp_path / 'a b'}'"
