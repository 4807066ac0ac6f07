"""What computes: named in the records, and required where somebody asks for it. Nothing is computed here, and no identity depends on it."""

from __future__ import annotations

import platform
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from fitcore import backend as _backend  # isort: skip

import jax

from fitcore.errors import ConfigError

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis

del _backend

Wanted = Literal["gpu", "cpu", "any"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """``platform`` is cpu, gpu or tpu; ``kind`` is the name that JAX has for it, or says that NumPy computes."""

    platform: str
    kind: str

    def to_dict(self) -> dict[str, str]:
        """Plain words."""
        return asdict(self)


def device_of(analysis: Analysis) -> Device:
    """What evaluates this analysis in this process.

    Raises
    ------
    ConfigError
        when JAX can start no device.
    """
    if not analysis.use_jax:
        return Device(platform="cpu", kind=f"NumPy on {platform.machine()}")
    try:
        first = jax.devices()[0]
    except RuntimeError as error:
        raise ConfigError(
            f"JAX can start no device on {socket.gethostname()}: {error}. Look at JAX_PLATFORMS in the environment, and at what "
            "'fitcore doctor' says."
        ) from error
    return Device(platform=first.platform, kind=first.device_kind)


def require(wanted: str, analysis: Analysis, what: str) -> None:
    """Refuse to compute ``what`` where ``wanted`` (gpu, cpu or any) is not what computes here.

    Raises
    ------
    ConfigError
        with what computes here, and what to do.
    """
    if wanted not in ("gpu", "cpu", "any"):
        raise ConfigError(f"device is {wanted!r}; it must be gpu, cpu or any.")
    if wanted == "any":
        return
    device = device_of(analysis)
    if device.platform == wanted:
        return
    if wanted == "cpu":
        remedy = "Set JAX_PLATFORMS=cpu in the environment, or say device: any."
    elif analysis.use_jax:
        remedy = "Send it to a worker on a machine with a GPU and the CUDA build of JAX ('fitcore doctor' shows it), or say device: any."
    else:
        remedy = f"{type(analysis).__name__} has use_jax=False, so that no GPU serves it: say device: any."
    raise ConfigError(f"{what}: a {wanted} is required, and {socket.gethostname()} computes on {device.kind} ({device.platform}). {remedy}")
