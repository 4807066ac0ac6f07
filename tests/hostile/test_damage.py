"""Single flipped bits and truncations of every file of a store: none is served, each is told, set aside and computed anew.

The figures for ten thousand are those of `test_damage_soak`; what is done to each file is in `damage`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import run, unforced

from fitcore.store import encoding

KEY = b"0123456789abcdef0123456789abcdef"
KINDS = {
    "fitcore-store.json", "result.h5", "manifest.json", "latents.part.h5", "internal.part.h5",
    "state.h5", "state.hdf5", "state.json", "small.json",
}  # fmt: skip


@pytest.mark.parametrize(("key", "flips", "cuts"), [(None, 90, 40), (KEY, 20, 10)], ids=["unsigned", "signed"])
def test_no_damage_is_served(quick_path: Path, monkeypatch: pytest.MonkeyPatch, key: bytes | None, flips: int, cuts: int) -> None:
    unforced(monkeypatch.setattr)
    account = run(quick_path / "store", seed=11, flips=flips, cuts=cuts, key=key)
    assert account.failures == []
    assert account.n == flips + cuts
    assert sum(account.outcomes.values()) == account.n
    if key is None:
        assert set(account.by_kind) == KINDS
        assert set(account.outcomes) == {"quarantined", "not read, then quarantined", "left out", "refused"}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: data.replace(b"\n ", b"\n\t", 1),
        lambda data: data.replace(b'": ', b'" :', 1),
        lambda data: data.replace(b"\\u00e9", b"\\u00E9"),
        lambda data: data.replace(b"1e+300", b"1E+300"),
        lambda data: data.replace(b'"small": 1e', b'"small": 3, "small": 1e'),
    ],
    ids=["cut", "longer", "tab", "space", "letter case of an escape", "letter case of an exponent", "key twice"],
)
def test_a_change_that_changes_no_value_is_noticed_too(change: Callable[[bytes], bytes]) -> None:
    """A seal over the values alone would let these pass; a single bit can do two of them."""
    data = encoding.signed({"name": "é", "small": 1e300}, "record")
    assert encoding.unsigned(data) == {"name": "é", "small": 1e300}
    changed = change(data)
    assert changed != data
    assert json.loads(changed) == json.loads(data)
    with pytest.raises(ValueError, match="not its bytes"):
        encoding.unsigned(changed)
