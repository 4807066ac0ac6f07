"""Lines in the log of a flow run: what a person wants to read afterwards."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

from prefect import get_run_logger

from flows.worker_client import WORKERS


@contextlib.contextmanager
def logged(hearer: Callable[[dict[str, Any]], None] | None = None) -> Iterator[None]:
    """Write what workers tell into the log of the flow run, for a while, and pass it on, to ``hearer`` as well."""
    logger, listener = get_run_logger(), WORKERS.listener

    def hear(event: dict[str, Any]) -> None:
        say(logger, event)
        if hearer is not None:
            hearer(event)
        listener(event)

    WORKERS.listener = hear
    try:
        yield
    finally:
        WORKERS.listener = listener


def say(logger: Any, event: dict[str, Any]) -> None:
    """One line of the log for what a person wants to read afterwards."""
    if event.get("event") == "outcome":
        logger.info("%s", figures(event))
    elif event.get("event") == "latents":
        how = "found in the store" if event["cached"] else "done"
        logger.info("latent variables: %s, %s samples, computed by %s", how, f"{event['n_samples']:,}", event["device"] or "unknown")
    elif event.get("event") == "warning":
        logger.warning("%s: %s", event["kind"], event["text"])


def figures(event: dict[str, Any]) -> str:
    """One line of figures for a stage: calls, rate, log-evidence and grade; after a preemption attempts, and what they cost."""
    how = "found in the store" if event["cached"] else f"done in {event['seconds']:.1f} s"
    value = event["log_evidence"]
    is_known = value is not None and math.isfinite(value)  # a stage that looks for a solution has none
    evidence = f", log-evidence {value:.3f} ± {event['log_evidence_error']:.3f}" if is_known else ""
    line = f"stage {event['name']}: {how}, {event['n_calls']:,} calls{evidence}, grade {event['grade'] or '-'}"
    effort = event.get("effort")
    if event["cached"] or not effort or not effort["n_attempts"]:
        return line
    rate = effort["n_calls"] / effort["seconds"] if effort["seconds"] > 0 else 0.0
    line += f", {rate:.1f} calls/s, {effort['n_attempts']} attempt{'s' if effort['n_attempts'] > 1 else ''}"
    if effort["n_attempts"] == 1:
        return line
    again = effort["n_calls_repeated"]
    seconds = again / rate if rate else 0.0
    return f"{line}: {again:,} calls repeated ({seconds:.1f} s) and {effort['seconds_between']:.1f} s between them lost"
