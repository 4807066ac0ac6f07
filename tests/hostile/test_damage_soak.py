"""Ten thousand flipped bits and a thousand truncations; the account is kept in benchmarks/hostile.json by `benchmarks.hostile`."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import run, unforced


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_damage_of_thousands_is_served(quick_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    unforced(monkeypatch.setattr)
    account = run(quick_path / "store", seed=seed, flips=5000, cuts=500)
    assert account.failures == []
    assert account.n == 5500
