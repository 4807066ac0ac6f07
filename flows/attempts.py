"""How often the unfinished part of a chain was tried in vain; a deployed run reads it before it tries again. No Prefect here."""

from __future__ import annotations

from typing import Any

from fitcore import Pipeline, Store
from fitcore.chain import asked
from fitcore.fitting import find
from fitcore.store.attempts import Attempt
from fitcore.store.layout import RESULT
from fitcore.stored import latents_part

NO_FAULT = ("running", "interrupted", "done")


def unfinished_attempts(pipeline: Pipeline, latent_stage: str, dataset: Any, store: Store, seed: int) -> list[str]:
    """A line for each attempt at the next part that is not in the store, oldest first, but for those that saved and ended in order.

    That part is a stage, of several that are next the one that was tried most often; where all are stored it is the latent variables of
    ``latent_stage``.
    """
    requests = asked(pipeline, dataset, store, seed=seed)
    missing = [stage for stage, request in requests.items() if find(request, store) is None]
    if missing:
        return max((_in_vain(stage, requests[stage].digest, RESULT, store) for stage in missing), key=len)
    digest, part = requests[latent_stage].digest, latents_part(pipeline.stage(latent_stage).n_latents)
    if store.lookup(digest, part) is not None:
        return []
    return _in_vain(f"{latent_stage} (latent variables)", digest, part, store)


def _in_vain(stage: str, digest: str, part: str, store: Store) -> list[str]:
    return [told(stage, attempt) for attempt in store.attempts(digest, part) if attempt.ended not in NO_FAULT]


def told(stage: str, attempt: Attempt) -> str:
    """One attempt in words."""
    how = "killed, or taken over" if attempt.ended == "lost" else attempt.ended
    return (
        f"stage {stage}, attempt {attempt.number} on {attempt.holder.host} since {attempt.started}: {how} after {attempt.n_calls:,} calls"
    )
