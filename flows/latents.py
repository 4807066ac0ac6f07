"""The flow `latents` that a deployment runs, on a pool of its own: the latent variables of a stored stage, where a GPU is perhaps.

The run of `fit` that asks for them is on another machine, maybe. What both must have is the store and the datasets, under the same paths:
that is looked at first.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from fitcore import ConfigError, Store
from fitcore.device import Wanted
from fitcore.store.layout import FORMAT_FILE
from flows.artifacts import name_of_run
from flows.chain import Settings, compute_latents
from flows.deployed import ATTEMPTS, checked_request, served
from flows.settings import read


@flow(name="latents", flow_run_name=name_of_run, persist_result=False, retries=0)
def latents(
    dataset: str,
    pipeline: str,
    store: str,
    stage: str,
    digests: dict[str, str],
    seed: int = 0,
    settings: Settings | None = None,
    attempts: int = ATTEMPTS,
    device: Wanted = "any",
) -> str | State:
    """The latent variables of a stored stage, at once where they are in the store; the digest of their result, or the state Cancelled.

    Parameters
    ----------
    dataset, store : paths, as seen by the machine that runs this.
    digests : of the stage and those before it, as the run that asks has them.
    settings : search settings that were replaced, by stage and field.
    attempts : how often this may be tried, by the store's account.
    device : gpu, cpu or any: what must compute them. It is no part of any digest.

    Raises
    ------
    ConfigError
        for input that cannot be used, a store that is not shared, a device that is not there.
    AttemptsSpentError
        when ``attempts`` attempts ended in vain, with how each of them ended.
    """
    request = checked_request(dataset, pipeline, store, seed, settings or {}, attempts)
    check_shared(store, digests, read().key)
    return served(request, attempts, lambda: compute_latents(stage, digests, {**request, "device": device}))


def check_shared(store: str, digests: Mapping[str, str], key: bytes | None = None) -> None:
    """Raise ConfigError unless the store is there and has these results; nothing is made where it is not."""
    host = socket.gethostname()
    remedy = "The machines of both deployments need one store: mount the disk that has it, under the same path, on each"
    if not (Path(store) / FORMAT_FILE).is_file():
        raise ConfigError(f"There is no store {store} on {host}. {remedy}.")
    found = Store(store, key=key)
    missing: dict[str, Any] = {stage: digest for stage, digest in digests.items() if found.lookup(digest) is None}
    if missing:
        told = ", ".join(f"{stage!r} ({digest[:12]})" for stage, digest in missing.items())
        raise ConfigError(
            f"The store {store} as {host} sees it does not have the results of {told}, which the run that asks for their latent variables "
            f"has. Is it another folder of the same name? {remedy}; or run the chain again if they were removed."
        )
