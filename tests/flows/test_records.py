"""The command that asks for the same again, and the rows."""

from __future__ import annotations

import shlex

from flows.records import command_of, row_of, unfinished_row


def test_the_command_can_be_pasted() -> None:
    request = {
        "dataset": "/data/my lens",
        "pipeline": "lens",
        "store": "/data/it's",
        "seed": 3,
        "settings": {"power_law": {"n_eff": 500, "wide": False}},
    }
    words = ["fitcore", "run", "/data/my lens", "--pipeline", "lens", "--store", "/data/it's", "--seed", "3"]
    words += ["--set", "power_law.n_eff=500", "--set", "power_law.wide=False"]
    assert shlex.split(command_of(request)) == words


def test_rows_have_the_same_keys_whatever_became_of_them() -> None:
    summary = {"verdict": "accepted", "headline": "r", "reasons": [], "parameters": {"a": {}}, "latents": {}}
    extra = {"summary": summary, "outcomes": [{"name": "first", "cached": False}], "seed": 1, "settings": {}, "report": "a.html"}
    run = {"name": "a", "pipeline": "toy", "stages": {"first": "0" * 64}, "extra": extra}
    row = row_of(run)
    assert row["stages"] == [{"name": "first", "cached": False}]
    assert row_of(run, cached=True)["stages"] == [{"name": "first", "cached": True}]
    assert extra["outcomes"][0]["cached"] is False
    other = unfinished_row("a", "toy", "failed", "why")
    assert set(row) - {"seed", "report"} == set(other) - {"error"}
