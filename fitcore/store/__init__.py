"""Everything on disk: committed results, checkpoints, leases, the corner of each result. The map of this folder is in `store`."""

from fitcore.store.attempts import Attempt
from fitcore.store.checkpoint import FileCheckpoint
from fitcore.store.lease import Lease
from fitcore.store.notices import CheckpointWarning, QuarantineWarning, StoreWarning
from fitcore.store.paths import Paths
from fitcore.store.reading import Record
from fitcore.store.store import Store
from fitcore.store.upkeep import Finding

__all__ = [
    "Attempt",
    "CheckpointWarning",
    "FileCheckpoint",
    "Finding",
    "Lease",
    "Paths",
    "QuarantineWarning",
    "Record",
    "Store",
    "StoreWarning",
]
