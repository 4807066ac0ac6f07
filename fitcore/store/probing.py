"""Tries in a store's folder what leases and commits rely on: of two that make one file only one succeeds, and a lock excludes another."""

import contextlib
import fcntl
from pathlib import Path

from fitcore.store import durable

NETWORKED = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")


def lock_faults(folder: Path) -> list[str]:
    """What does not work in a folder, in words; empty where all does. What it writes is removed.

    Raises
    ------
    StoreError : nothing can be written there.
    """
    path = durable.temporary_beside(folder / "locks")
    with durable.explaining(folder, "trying the locks of the file system"):
        try:
            durable.publish_first(path, b"first")
            is_won_again = durable.publish_first(path, b"second")
            faults = ["two processes could both publish one result"] if is_won_again or path.read_bytes() != b"first" else []
            with path.open("rb") as one, path.open("rb") as other:
                try:
                    fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    return [*faults, f"files cannot be locked ({error.strerror})"]
                with contextlib.suppress(OSError):
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    faults.append("a lock does not keep another out")
            return faults
        finally:
            durable.discard(path)


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system of a folder, as the machine calls it; empty where it does not tell."""
    best = ("", "")
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        words = line.split()
        place = words[1].replace("\\040", " ") if len(words) > 2 else ""
        if place and folder.absolute().is_relative_to(place) and len(place) >= len(best[0]):
            best = (place, words[2])
    return best[1]
