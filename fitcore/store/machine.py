"""What the machine lets this process have, read from the system's own files. Nothing of a store is touched here."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

KIB = 1024
CGROUPS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_memory(root: Path = Path("/")) -> float | None:
    """Bytes that the process may still take: the least of what is free, what its control group leaves, and what its limits allow.

    Parameters
    ----------
    root : where the system's files are.

    Returns
    -------
    float or None
        None where the system does not tell.
    """
    found = [value for value in (_free(root), *(_left(root, *files) for files in CGROUPS), _limit_of_process(root)) if value is not None]
    return max(0.0, min(found)) if found else None


def peak_memory() -> float:
    """Bytes of memory that this process had at most so far."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1.0 if sys.platform == "darwin" else KIB)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _field(path: Path, name: str) -> float | None:
    lines = [line.split() for line in _text(path).splitlines() if line.startswith(f"{name}:")]
    return float(lines[0][1]) * KIB if lines else None


def _free(root: Path) -> float | None:
    return _field(root / "proc/meminfo", "MemAvailable")


def _left(root: Path, limit: str, used: str) -> float | None:
    most, now = _text(root / limit).strip(), _text(root / used).strip()
    return float(most) - float(now) if most.isdigit() and now.isdigit() else None


def _limit_of_process(root: Path) -> float | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _field(root / "proc/self/status", "VmSize")
    return None if limit == resource.RLIM_INFINITY or taken is None else float(limit) - taken
