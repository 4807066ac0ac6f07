"""`fitcore.__all__` is the index of the package: sorted, true, and everything public is in it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fitcore


def test_the_index_is_sorted_and_without_repetition() -> None:
    assert fitcore.__all__ == sorted(set(fitcore.__all__))


def test_every_name_in_the_index_exists() -> None:
    assert [name for name in fitcore.__all__ if not hasattr(fitcore, name)] == []


def test_the_index_is_what_type_checkers_and_people_see() -> None:
    stub = ast.parse(Path(fitcore.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    told = [(alias.name, alias.asname) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert all(name == shown for name, shown in told)  # else a type checker takes it for private
    assert sorted(name for name, _ in told) == fitcore.__all__ == dir(fitcore)
    with pytest.raises(AttributeError, match="No fitcore attribute Modle"):
        _ = fitcore.Modle  # type: ignore[attr-defined]  # there is none


def test_no_name_is_that_of_a_module() -> None:
    """It would be the module once that is imported."""
    folder = Path(fitcore.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(fitcore.__all__)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import fitcore, sys; print('jax' in sys.modules)", "False"),
        ("import fitcore, sys; fitcore.Store; fitcore.Table; fitcore.ConfigError; print('jax' in sys.modules)", "False"),
        ("import fitcore, jax.numpy as jnp; print(jnp.ones(3).dtype)", "float64"),
        ("import jax.numpy as jnp, fitcore; print(jnp.ones(3).dtype)", "float64"),
        ("from fitcore.fitting import run; import fitcore; print(callable(fitcore.fit))", "True"),
    ],
)
def test_what_an_import_does(code: str, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "JAX_ENABLE_X64"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_every_error_of_the_tree_is_in_the_index() -> None:
    def tree(error: type) -> set[str]:
        return {error.__name__}.union(*(tree(child) for child in error.__subclasses__() if child.__module__ == "fitcore.errors"))

    assert tree(fitcore.FitcoreError) <= set(fitcore.__all__)


def test_every_member_is_documented_and_comes_from_the_package() -> None:
    members = {name: getattr(fitcore, name) for name in fitcore.__all__}
    assert [name for name, member in members.items() if not (member.__doc__ or "").strip()] == []
    assert [name for name, member in members.items() if not str(getattr(member, "__module__", "fitcore")).startswith("fitcore")] == []
