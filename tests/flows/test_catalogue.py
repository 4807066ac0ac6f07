"""Which chain a dataset gets: the entry's one, or the one that it chooses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from flows.catalogue import chain_of


def test_an_entry_may_choose_its_chain_by_the_dataset() -> None:
    plain: Any = SimpleNamespace(build=lambda settings: ("one", settings))
    choosing: Any = SimpleNamespace(build=plain.build, build_for=lambda dataset, settings: (dataset, settings))
    settings = {"first": {"n_eff": 5}}
    assert chain_of(plain, "bands", settings) == ("one", settings)
    assert chain_of(choosing, "bands", settings) == ("bands", settings)
