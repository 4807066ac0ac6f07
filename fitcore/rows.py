"""A function of many rows in compiled batches of one size: how large a batch may be, and what happens when the memory runs out.

A batch that does not fit is halved, and all rows are computed anew in the smaller ones: so the numbers never depend on when the memory ran
out, only (in the last digits of a ``"vmap"``) on the size that fitted. The compiled code itself is made in `fitcore.evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np
from jax.errors import JaxRuntimeError
from numpy.typing import NDArray

from fitcore.evaluation import chunk_of, compiled, in_chunks, map_batch, vmap_batch
from fitcore.memory import bytes_of, limit_of

del _backend

Array = NDArray[np.float64]
MOST_AT_ONCE = 1024
"""Rows of one batch on an accelerator, where the memory allows it: those of 100 took nearly twice as long a row (`benchmarks/gpu.json`)."""


@dataclass(frozen=True, kw_only=True)
class Batches:
    """How rows were computed.

    Parameters
    ----------
    size : rows of one call of the compiled function.
    n_threads : calls side by side.
    batching : ``"vmap"`` or ``"map"``.
    n_halved : how often the rows at once were halved because the memory ran out.
    """

    size: int
    n_threads: int
    batching: str
    n_halved: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @property
    def is_least(self) -> bool:
        """Whether it is one row at a time."""
        return self.size == self.n_threads == 1

    def halved(self) -> Batches:
        """Half as many rows at once: fewer threads first, since that changes no call."""
        if self.n_threads > 1:
            return Batches(size=self.size, n_threads=self.n_threads // 2, batching=self.batching, n_halved=self.n_halved + 1)
        return Batches(size=self.size // 2, n_threads=1, batching=self.batching, n_halved=self.n_halved + 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: of this process, or of the device."""
    return isinstance(error, MemoryError) or (isinstance(error, JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error))


def batched_rows(
    function: Callable[[Any, Any], Any],
    rows: Array,
    arrays: Any,
    *,
    n_batch: int,
    batching: str,
    batch_size: int | None = None,
    n_threads: int = 1,
) -> tuple[list[Array], Batches]:
    """Apply a traceable ``function(row, arrays)`` that returns a tuple to every row, in compiled batches of one size.

    On a processor a batch has ``n_batch`` rows. An accelerator takes as many at once as its memory allows by the compiler's own figures.

    Parameters
    ----------
    rows : shape (n, n_dim), n at least 1.
    arrays : handed to every call.
    batching : ``"vmap"`` or ``"map"``; an accelerator always gets ``"vmap"``.
    batch_size : rows of a batch instead of both rules.
    n_threads : how many share the work of a ``"map"``.

    Returns
    -------
    columns : an array of shape (n, ...) for each member of the tuple.
    batches : how they were computed.

    Raises
    ------
    Exception
        whatever ``function`` raises; of `is_out_of_memory` when one row at a time does not fit.
    """
    device = jax.devices()[0]
    is_processor = device.platform == "cpu"
    batching = batching if is_processor else "vmap"
    limit = None if is_processor or batch_size is not None else limit_of(device)[0]
    wanted = batch_size or (n_batch if is_processor else evenly(len(rows)))
    batches = Batches(size=min(chunk_of(wanted, batching), len(rows)), n_threads=n_threads if batching == "map" else 1, batching=batching)
    batch = map_batch if batching == "map" else vmap_batch
    batched: Any = compiled(lambda block, given: batch(lambda row: function(row, given), block))
    if limit is not None:
        batched, batches = _fitting(batched, rows, arrays, batches, limit)
    while True:
        try:
            return _columns(batched, rows, arrays, batches), batches
        except Exception as error:
            if batches.is_least or not is_out_of_memory(error):
                raise
        batches = batches.halved()


def evenly(n: int) -> int:
    """Rows of a batch on an accelerator: as few batches as `MOST_AT_ONCE` allows, all of about one size."""
    return -(-n // -(-n // MOST_AT_ONCE))


def _fitting(batched: Any, rows: Array, arrays: Any, batches: Batches, limit: float) -> tuple[Callable[..., Any], Batches]:
    """The function, and batches that take at most ``limit`` bytes by the compiler's figures; the executables are kept for their size."""
    made: dict[int, Any] = {}

    def executable(n: int) -> Any:
        if n not in made:
            made[n] = batched.lower(jax.ShapeDtypeStruct((n, *rows.shape[1:]), rows.dtype), arrays).compile()
        return made[n]

    size = batches.size
    while size > 1 and (bytes_of(executable(size)) or 0) > limit:
        size //= 2
    fitted = Batches(size=size, n_threads=batches.n_threads, batching=batches.batching)
    return lambda block, given: executable(len(block))(block, given), fitted


def _columns(batched: Callable[..., Any], rows: Array, arrays: Any, batches: Batches) -> list[Array]:
    def call(block: Array) -> tuple[Array, ...]:
        return tuple(np.asarray(part) for part in batched(block, arrays))  # here, for a device reports what failed when it is asked

    size = batches.size
    pieces = in_chunks(call, rows[:size], size, None)  # compiled once, not by every thread
    with ThreadPoolExecutor(batches.n_threads) as pool:
        pieces += in_chunks(call, rows[size:], size, pool if batches.n_threads > 1 else None)
    return [np.concatenate(column)[: len(rows)] for column in zip(*pieces, strict=True)]
