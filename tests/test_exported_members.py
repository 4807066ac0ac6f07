"""`fitcore.__all__` is the index of the package: sorted, true, and everything public is in it."""

from __future__ import annotations

import types

import fitcore


def test_the_index_is_sorted_and_without_repetition() -> None:
    assert fitcore.__all__ == sorted(set(fitcore.__all__))


def test_every_name_in_the_index_exists() -> None:
    assert [name for name in fitcore.__all__ if not hasattr(fitcore, name)] == []


def test_every_public_name_is_in_the_index() -> None:
    public = {name for name, value in vars(fitcore).items() if not name.startswith("_") and not isinstance(value, types.ModuleType)}
    assert public == set(fitcore.__all__)


def test_every_error_of_the_tree_is_in_the_index() -> None:
    def tree(error: type) -> set[str]:
        return {error.__name__}.union(*(tree(child) for child in error.__subclasses__() if child.__module__ == "fitcore.errors"))

    assert tree(fitcore.FitcoreError) <= set(fitcore.__all__)


def test_every_member_is_documented_and_comes_from_the_package() -> None:
    members = {name: getattr(fitcore, name) for name in fitcore.__all__}
    assert [name for name, member in members.items() if not (member.__doc__ or "").strip()] == []
    assert [name for name, member in members.items() if not str(getattr(member, "__module__", "fitcore")).startswith("fitcore")] == []
