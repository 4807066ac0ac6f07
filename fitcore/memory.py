"""How much memory a batched likelihood takes, told by the compiler before anything runs. Nothing is evaluated here.

The executables are those of `fitcore.evaluation.BatchedLikelihood`, the same that a search runs: batches by ``vmap`` or ``map``, and the
arrays of ``traced_arrays`` as arguments. Two batch sizes give a fixed part (data, constants, code) and a part for each point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fitcore import backend as _backend  # isort: skip

import jax

from fitcore.errors import ConfigError
from fitcore.evaluation import BatchedLikelihood
from fitcore.store.machine import available_memory

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model

del _backend

MIB = 2**20
USABLE = 0.9
"""Of a device's free memory: a batch needs one piece of it, and XLA plans for less than all (a batch of 100 % does not fit an H100)."""


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """Bytes that one compiled function takes: ``fixed`` + ``per_point`` times the points of a batch."""

    fixed: float
    per_point: float

    def of(self, n: int) -> float:
        """Bytes of a batch of ``n`` points."""
        return self.fixed + self.per_point * n

    def largest_batch(self, limit: float) -> int:
        """The largest batch that takes at most ``limit`` bytes; 0 when one point does not fit."""
        if self.per_point <= 0.0:
            return 2**31 - 1 if self.fixed <= limit else 0
        return max(0, int((limit - self.fixed) // self.per_point))


def bytes_of(executable: Any) -> int | None:
    """Bytes that an executable holds while it runs: arguments, results, temporaries and code; None where the device does not tell."""
    memory = executable.memory_analysis()
    if memory is None:
        return None
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return int(held + memory.generated_code_size_in_bytes - memory.alias_size_in_bytes)


def memory_use(analysis: Analysis, model: Model, batch_size: int) -> tuple[MemoryUse | None, MemoryUse | None]:
    """What the values, and the values with their gradients, take: from executables for ``batch_size`` and for twice as many points."""
    likelihood = BatchedLikelihood(analysis, model, n_batch=batch_size)
    try:
        single, double = (likelihood.compiled_for(n) for n in (batch_size, 2 * batch_size))
    finally:
        likelihood.close()
    uses: list[MemoryUse | None] = []
    for one, two in zip(single, double, strict=True):
        small, large = bytes_of(one), bytes_of(two)
        if small is None or large is None:
            uses.append(None)
            continue
        slope = max(0.0, (large - small) / batch_size)
        uses.append(MemoryUse(fixed=small - slope * batch_size, per_point=slope))
    return uses[0], uses[1]


def memory_report(analysis: Analysis, model: Model, batch_size: int) -> str:
    """Compiled memory of the batched likelihood and of its gradient, and the largest batch that fits the device, as text."""
    name = type(analysis).__name__
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"print_vram_use of {name}: batch_size is {batch_size!r}; it must be an integer of at least 1.")
    if not analysis.use_jax:
        return f"{name} has use_jax=False: nothing is compiled, so no device memory is used."
    device = jax.devices()[0]
    limit, source = limit_of(device)
    lines = [f"{name}: batch of {batch_size}, {model.n_dim} parameters, on {device.device_kind}, by {analysis.batching}"]
    for label, use in zip(("likelihood", "gradient"), memory_use(analysis, model, batch_size), strict=True):
        if use is None:
            lines.append(f"{label:<10} this device does not tell")
            continue
        largest = "" if limit is None else f"; the largest batch that fits: {use.largest_batch(limit)}"
        lines.append(
            f"{label:<10} {use.of(batch_size) / MIB:.3f} MiB = {use.fixed / MIB:.3f} MiB + {batch_size} x {use.per_point / MIB:.6f} MiB"
            f"{largest}"
        )
    lines.append("limit      " + ("this device does not tell" if limit is None else f"{limit / MIB:.0f} MiB, {source}"))
    return "\n".join(lines)


def limit_of(device: Any) -> tuple[float | None, str]:
    """Bytes that a batch may take on a device, None where it does not tell; and what they are, in words."""
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        free = statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
        return USABLE * free, f"{USABLE:.0%} of the device's memory that is not in use"
    if device.platform != "cpu":
        return None, ""
    return available_memory(), "the memory of this machine that is available to the process, for lack of a device with its own"
