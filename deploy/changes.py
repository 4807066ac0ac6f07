"""What must change on a server so that it is as a settings file says: a comparison of plain data. No server here."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from deploy.wanted import Thing
from fitcore import ConfigError

MADE, CHANGED, SAME, LEFT = "made", "changed", "same", "not in the file"
TOLD = reprlib.Repr()
TOLD.maxstring = TOLD.maxother = 60


@dataclass(frozen=True, kw_only=True)
class Found:
    """A thing on the server, its identity there, and whether a settings file of this name made it."""

    thing: Thing
    id: UUID
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of one thing.

    Parameters
    ----------
    what : made, changed, same or not in the file.
    thing : as it shall be; for what is not in the file, as it is.
    id : its identity on the server; None where it is not there.
    differences : the fields that differ, in words.
    """

    what: str
    thing: Thing
    id: UUID | None = None
    differences: tuple[str, ...] = ()


def compare(wanted: Sequence[Thing], found: Sequence[Found]) -> list[Change]:
    """The changes, in the order of ``wanted``; then what was made before and is wanted no longer, the last made first.

    Raises
    ------
    ConfigError
        when a name is taken by something that was not made from this file, or by a pool of another type.
    """
    there = {(item.thing.kind, item.thing.name): item for item in found}
    changes = []
    for thing in wanted:
        item = there.pop((thing.kind, thing.name), None)
        if item is None:
            changes.append(Change(what=MADE, thing=thing))
        elif not item.is_ours:
            raise ConfigError(
                f"There is a {thing.kind} {thing.name!r} on the server that was not made from this settings file. Choose another name in "
                "the file, or remove that one from the server. Nothing was changed."
            )
        elif thing.kind == "pool" and thing.fields["type"] != item.thing.fields["type"]:
            raise ConfigError(
                f"The pool {thing.name!r} is of type {thing.fields['type']} in the file and {item.thing.fields['type']} on the server, "
                "which cannot change it. Give the new pool another name, and remove the old one by --prune. Nothing was changed."
            )
        else:
            told = tuple(differences(item.thing.fields, thing.fields))
            changes.append(Change(what=CHANGED if told else SAME, thing=thing, id=item.id, differences=told))
    left = [Change(what=LEFT, thing=item.thing, id=item.id) for item in there.values() if item.is_ours]
    order = ("automation", "deployment", "pool")  # a pool goes after what runs in it
    return changes + sorted(left, key=lambda change: (order.index(change.thing.kind), change.thing.name))


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """One line for each field that differs: where it is, its old value and its new one."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*new, *old)):
            yield from differences(old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
    elif old != new:
        yield f"{where} {TOLD.repr(old)} -> {TOLD.repr(new)}"


def line(change: Change, *, is_dry: bool, is_pruning: bool) -> str:
    """One change in a line."""
    name = f"{change.thing.kind} {change.thing.name}"
    if change.what == LEFT:
        if not is_pruning:
            return f"not in the file: {name} (--prune removes it)"
        return f"{'would be removed' if is_dry else 'removed'}: {name}"
    what = f"would be {change.what}" if is_dry and change.what != SAME else change.what
    return f"{what}: {name}" + (f": {'; '.join(change.differences)}" if change.differences else "")
