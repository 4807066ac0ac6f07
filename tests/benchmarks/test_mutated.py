"""The list of mutations keeps fitting the sources, so that it can be run at any time."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.mutations")


def test_every_piece_of_source_still_occurs_exactly_once_and_every_test_exists(runner: Any) -> None:
    wrong = []
    for mutation in runner.MUTATIONS:
        try:
            compile(runner.mutated_text(mutation, ROOT), mutation.file, "exec")
        except (ValueError, SyntaxError) as error:
            wrong.append(str(error))
        for name in mutation.tests.split():
            file, _, test = name.partition("::")
            if not (ROOT / file).is_file() or f"def {test}" not in (ROOT / file).read_text(encoding="utf-8"):
                wrong.append(f"{mutation.breaks}: there is no {name}")
    assert not wrong, "\n".join(wrong)


def test_descriptions_tell_them_apart(runner: Any) -> None:
    assert len({(m.file, m.breaks) for m in runner.MUTATIONS}) == len(runner.MUTATIONS) >= 45


def test_a_text_that_does_not_occur_once_is_an_error(runner: Any) -> None:
    with pytest.raises(ValueError, match=r"occurs 0 times; it must occur once\. Mend"):
        runner.mutated_text(runner.Mutation("fitcore/samples.py", "no such text", "", "x", ""), ROOT)
