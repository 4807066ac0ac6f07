"""Why a stage ran, from what the store has noted of the dataset before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fitcore import StageOutcome, canonical
from flows.reasons import exports_of, reasons

OWN, OLD = "b" * 64, "a" * 64


def told(*, cached: bool = False, before: str | None = OLD, pipeline: str = "lens", **changed: Any) -> str:
    outcome = StageOutcome(
        name="basin", digest=OWN, cached=cached, n_calls=1, log_evidence=0.0, log_evidence_error=0.0, seconds=1.0, grade="A"
    )
    spec: dict[str, Any] = {"seed": 0, "search": {"n": 5}}
    records = {digest: SimpleNamespace(digest=digest, spec=canonical(s)) for digest, s in ((OLD, spec), (OWN, {**spec, **changed}))}
    runs = [] if before is None else [{"name": "ring", "pipeline": pipeline, "stages": {"basin": before}}]
    store: Any = SimpleNamespace(lookup=records.get, runs=lambda name: runs if name == "ring" else [])
    result: Any = SimpleNamespace(provenance={"committed": "2026-01-02T03:04:05+00:00"})
    return reasons([outcome], {"basin": result}, store, "ring", "lens")["basin"]


NONE = "It ran: the store notes no earlier result of this stage for this dataset."


def test_a_hit_tells_when_its_result_was_made() -> None:
    assert told(cached=True) == "A hit: the same request was in the store, of 2026-01-02 03:04; nothing was computed."


def test_a_run_names_the_field_that_differs_from_the_earlier_request() -> None:
    words = told(seed=1)
    assert words.startswith(f"It ran: the earlier request, {'a' * 12}, differs in seed")
    assert "search" not in words
    assert told(seed=1, search={"n": 6, "m": 1, "k": 2, "j": 3}).endswith("more.")


def test_without_an_earlier_result_there_is_no_reason() -> None:
    assert told(before=None) == NONE
    assert told(before=OWN) == NONE  # computed anew after it was lost
    assert told(before="c" * 64) == NONE  # removed since
    assert told(pipeline="quick") == NONE


def test_commands_are_quoted(tmp_path: Path) -> None:
    commands = exports_of({"pipeline": "lens", "store": str(tmp_path / "a b")}, "my lens")
    assert next(iter(commands.values())) == f"fitcore export 'my lens' --to csv,corner --pipeline lens --store '{tmp_path / 'a b'}'"
