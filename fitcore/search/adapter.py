"""Everything that knows nautilus's insides: its version, the two parts that are replaced by faster ones, state to and from a file, and its
shells. `nautilus.py` beside it is the search.

nautilus looks its emulator and its geometry up in module globals, so the replacement is made there, for as long as one of our samplers
runs, and undone after. Other users of nautilus in the same process keep the stock parts outside of that time.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nautilus
from nautilus import sampler as sampler_module
from nautilus.bounds import basic, neural, union
from nautilus.bounds import nautilus as bound_module
from sklearn.mixture import GaussianMixture

from fitcore.errors import ConfigError
from fitcore.search.base import Array
from fitcore.search.ellipsoid import minimum_volume_enclosing_ellipsoid
from fitcore.search.emulator import FastEmulator
from fitcore.search.journal import inside_cube
from fitcore.search.pooled import Shell

VERSION = "1.0.6"
SIGNATURES: tuple[tuple[Callable[..., Any], tuple[str, ...]], ...] = (
    (neural.NeuralNetworkEmulator.train, ("x", "y", "n_networks", "neural_network_kwargs", "pool")),
    (neural.NeuralNetworkEmulator.predict, ("self", "x")),
    (neural.NeuralNetworkEmulator.read, ("group",)),
    (neural.NeuralNetworkEmulator.write, ("self", "group")),
    (basic.minimum_volume_enclosing_ellipsoid, ("points", "n_max", "n_batch")),
    (basic.Ellipsoid.transform, ("self", "points", "inverse")),
    (
        nautilus.Sampler.run,
        ("self", "f_live", "n_shell", "n_eff", "n_like_max", "discard_exploration", "timeout", "verbose"),
    ),
)


def check_version() -> None:
    """Refuse a nautilus that is not the one whose insides are replaced here.

    Raises
    ------
    ConfigError
        with the version seen and the one needed.
    """
    version = importlib.metadata.version("nautilus-sampler")
    wrong = [f.__qualname__ for f, names in SIGNATURES if tuple(inspect.signature(f).parameters) != names]
    if version != VERSION or wrong:
        detail = f", and {', '.join(wrong)} has another signature" if wrong else ""
        raise ConfigError(
            f"nautilus-sampler is {version}{detail}; {VERSION} is needed, because two of its parts are replaced. "
            f"Install nautilus-sampler=={VERSION}."
        )


def _transform(self: Any, points: Array, inverse: bool = False) -> Array:
    if inverse:
        return points @ self.B.T + self.c
    return (points - self.c) @ self.B_inv.T


def _two_gaussians(n_components: int = 2, n_init: int = 1, random_state: Any = None) -> GaussianMixture:
    del n_init
    return GaussianMixture(n_components=n_components, n_init=2, max_iter=50, tol=1e-2, random_state=random_state)


@contextlib.contextmanager
def _unlimited(limits: Any = None) -> Iterator[None]:
    # threadpoolctl looks through all loaded libraries at every entry, 3 ms each; our searches limit the threads once, outside.
    del limits
    yield


_REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (neural, "NeuralNetworkEmulator", FastEmulator),
    (basic, "minimum_volume_enclosing_ellipsoid", minimum_volume_enclosing_ellipsoid),
    (basic.Ellipsoid, "transform", _transform),
    (union, "GaussianMixture", _two_gaussians),
    (sampler_module, "threadpool_limits", _unlimited),
    (basic, "threadpool_limits", _unlimited),
    (bound_module, "threadpool_limits", _unlimited),
)
_LOCK = threading.Lock()
_stock: list[Any] = []
_users = [0]


@contextlib.contextmanager
def fast_parts() -> Iterator[None]:
    """nautilus with the faster emulator and geometry, within."""
    with _LOCK:
        if _users[0] == 0:
            _stock[:] = [getattr(owner, name) for owner, name, _ in _REPLACED]
            for owner, name, ours in _REPLACED:
                setattr(owner, name, ours)
        _users[0] += 1
    try:
        with warnings.catch_warnings():
            # Ill-conditioned polynomial fits and unfinished mixtures are its daily business; a poor bound costs calls only.
            warnings.filterwarnings("ignore", module=r"(nautilus|sklearn|numpy\.lib)(\..*)?")
            yield
    finally:
        with _LOCK:
            _users[0] -= 1
            if _users[0] == 0:
                for (owner, name, _), stock in zip(_REPLACED, _stock, strict=True):
                    setattr(owner, name, stock)


def _identity(u: Array) -> Array:
    return u


def new_sampler(
    log_likelihood: Callable[[Array], Array], *, n_dim: int, n_live: int, n_batch: int, seed: int, state: Path | None = None
) -> Any:
    """A sampler in the unit cube that writes no files of its own; from the state in a file, where one is given."""
    found: Any = nautilus.Sampler(
        _identity,
        log_likelihood,
        n_dim=n_dim,
        n_live=n_live,
        n_batch=n_batch,
        n_networks=1,
        vectorized=True,
        pass_dict=False,
        pool=None,
        seed=seed,
        filepath=state,
        resume=True,
    )
    found.filepath = None
    if state is not None:
        check_state(found, state)
    return found


def check_state(sampler: Any, state: Path) -> None:
    """Refuse a state that does not fit: nautilus itself compares nothing when it resumes.

    Raises
    ------
    ValueError
        when points and counts disagree.
    """
    sizes = [len(part) for part in sampler.points]
    n = len(sampler.bounds)
    is_whole = n > 0 and n == len(sizes) == len(sampler.shell_n) and all(part.shape[1:] == (sampler.n_dim,) for part in sampler.points)
    if not is_whole or int(sampler.n_like) < max(sizes):
        raise ValueError(f"{state.name} holds no state of a sampler with {sampler.n_dim} parameters")


def shell_of(sampler: Any, i: int, n_dim: int) -> Shell:
    """A shell of a sampler whose exploration is discarded; its places without the parameters beyond ``n_dim``.

    The variance of the volume adds the binomial error of the shell's fraction of its bound and that of the bound's own volume, which is
    found by rejection, twice.
    """
    begin, n = int(sampler.shell_end_exp[i]), int(sampler.shell_n[i])
    variance = 0.0
    if n:
        n_drawn = int(sampler.shell_n_sample[i]) - int(sampler.shell_n_sample_exp[i])
        fraction = min(n / n_drawn, 1.0)
        variance = (1.0 - fraction) / (fraction * n_drawn)
        for bound in (sampler.bounds[i], getattr(sampler.bounds[i], "outer_bound", None)):
            if bound is not None and getattr(bound, "n_sample", 0):
                accepted = 1.0 - bound.n_reject / bound.n_sample
                variance += (1.0 - accepted) / (accepted * bound.n_sample)
    return Shell(
        u=inside_cube(sampler.points[i][begin:, :n_dim]),
        log_likelihood=sampler.log_l[i][begin:],
        log_volume=float(sampler.shell_log_v[i]),
        volume_variance=variance,
    )
