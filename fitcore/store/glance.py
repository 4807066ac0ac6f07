"""Quick looks for people: what the newest commit records say, and how far an unfinished search is. Nothing is moved or changed.

The HDF5 files are not opened, so that thousands of results cost seconds: whoever needs certainty reads a result by `reading`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitcore.errors import StoreError
from fitcore.store import durable, encoding
from fitcore.store.checkpoint import State, states
from fitcore.store.layout import MANIFEST_LIMIT, SCHEMA_VERSION, Layout
from fitcore.store.reading import MANIFEST


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """What a commit record says of itself: nothing of it was checked against the result's file.

    Parameters
    ----------
    name : pipeline and stage, as the search was called; empty where it tells none.
    spec : the canonical form of what was asked.
    """

    digest: str
    name: str
    spec: Any
    provenance: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The newest checkpoint of a search: its calls, and why a search now would not go on from it; empty where it would."""

    n_calls: int
    difference: str


def glimpses(layout: Layout, *, most: int) -> Iterator[Glimpse]:
    """What the newest ``most`` commit records of results say, the newest first; those that cannot be read are left out."""
    times: list[tuple[float, str]] = []
    for digest in layout.digests():
        with contextlib.suppress(OSError):
            times.append((os.lstat(layout.manifest(digest)).st_mtime, digest))
    for _, digest in sorted(times, reverse=True)[:most]:
        found = _glimpse(layout, digest)
        if found is not None:
            yield found


def _glimpse(layout: Layout, digest: str) -> Glimpse | None:
    path: Path = layout.manifest(digest)
    try:
        durable.refuse_links(layout.root, path.parent)
        manifest = encoding.unsigned(durable.read_bytes(path, at_most=MANIFEST_LIMIT))
    except (OSError, ValueError, StoreError):
        return None
    provenance = manifest.get("provenance")
    if (
        manifest.get("digest") != digest
        or manifest.get("schema_version") != SCHEMA_VERSION
        or not isinstance(provenance, dict)
        or encoding.signature_fault(manifest, MANIFEST, layout.key)
    ):
        return None
    return Glimpse(digest=digest, name=str(provenance.get("name", "")), spec=manifest.get("spec"), provenance=provenance)


def saved(layout: Layout, digest: str, fingerprint: Mapping[str, Any]) -> Saved | None:
    """How far the checkpoints of a search are, by their records; None where there are none. Their states are not opened.

    The newest that a search with this fingerprint would go on from; where there is none, the newest, and what differs.
    """
    found: list[Saved] = []
    for state in states(layout.work_folder(digest), layout.key):
        if isinstance(state, State):
            found.append(Saved(n_calls=state.n_calls, difference=state.difference(digest, fingerprint)))
    usable = [one for one in found if not one.difference]
    return (usable or found or [None])[0]
