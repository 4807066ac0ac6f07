"""The names of the package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pipelines.lens


def test_every_name_can_be_imported() -> None:
    for name in pipelines.lens.__all__:
        assert getattr(pipelines.lens, name).__name__ == name


def test_the_package_alone_imports_no_jax() -> None:
    code = "import sys, pipelines.lens; raise SystemExit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'powerlaw'; it has \['NFW'"):
        _ = pipelines.lens.powerlaw  # type: ignore[attr-defined]
