"""The worker process, started through `worker_start`. All heavy work is done here; it knows no Prefect.

It reads requests from standard input, a line of JSON each, and answers on standard output with events and one ``done`` or ``error`` for
each request. One process serves a whole run, so that JAX is imported, and every function compiled, once. It ends with its parent, or
at the end of its input. SIGTERM and SIGINT ask the search to save at its next batch.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from fitcore import FitcoreError, Pipeline, Result, SearchInterruptedError, StageOutcome, Store, run_latents, run_stage, stored_results
from fitcore.chain import outcome_of
from fitcore.search.base import ProgressEvent
from fitcore.store import durable
from fitcore.store.attempts import RUNNING
from fitcore.stored import latents_part
from flows import catalogue
from flows.attempts import unfinished_attempts
from flows.preview import Allowance, preview_of, preview_path
from flows.processes import die_with_parent, end_after, let_terminations
from flows.protocol import line, message
from flows.reasons import exports_of, reasons
from flows.records import command_of, in_force, links_of, record, refuse_others, report_path
from flows.settings import read

SECONDS_BETWEEN_EVENTS = 0.5


class Worker:
    """Serves requests until the input ends."""

    def __init__(self, output: TextIO, threads: int, key: bytes | None = None) -> None:
        self.output = output
        self.threads = threads
        self.key = key
        self.is_stopping = False  # no Event: a second signal within its set() would wait for the first for ever
        self._lock = threading.RLock()  # a warning may come up while an event is being written
        self._datasets: dict[tuple[str, str], Any] = {}
        self._allowance = Allowance()
        self._last = 0.0
        self._phase = ""

    def ask_to_stop(self, number: int, frame: Any) -> None:
        """Handle a signal: the search saves at its next batch."""
        self.is_stopping = True

    def send(self, **event: Any) -> None:
        """Write one event; where nobody listens any more, the search saves at its next batch instead of failing in the midst of one."""
        with self._lock:
            try:
                self.output.write(line(event))
                self.output.flush()
            except BrokenPipeError:
                self.is_stopping = True

    def serve(self, requests: TextIO) -> None:
        """Answer every request of the input, in order."""
        for text in requests:
            request = message(text)
            try:
                answer = self.answer(request)
            except FitcoreError as error:
                self.send(event="error", kind=type(error).__name__, message=str(error), retryable=error.retryable)
            except Exception as error:  # an error of a user's code must reach the parent in words, and the next request be served
                self.send(event="error", kind=type(error).__name__, message=str(error), retryable=False)
            else:
                self.send(event="done", answer=answer)

    def answer(self, request: dict[str, Any]) -> Any:
        """The answer to one request."""
        operation = request["operation"]
        if operation == "ready":
            return os.getpid()
        if self.is_stopping:
            raise SearchInterruptedError(f"asked to stop before {operation!r}; what came before it is saved, and the same command goes on")
        entry = catalogue.find(request["pipeline"])
        dataset = self._dataset(entry, request)
        pipeline = catalogue.chain_of(entry, dataset, request["settings"])
        store, seed = Store(request["store"], key=self.key), request["seed"]
        if operation in ("stages", "latents_part", "attempts", "is_held"):
            return self._told(operation, entry, pipeline, dataset, store, seed)
        if operation == "stage":
            return self._stage(request, entry, pipeline, dataset, store)
        if operation == "latents":
            self._news(request["stage"], "latents", n_calls=0)
            return asdict(run_latents(**self._asked(request, pipeline, dataset, store), device=request.get("device", "any")))
        if operation in ("report", "page"):
            self._news("", "report", n_calls=0)
            results = stored_results(pipeline, dataset, store, seed=seed)
            if operation == "page":
                refuse_others(pipeline, dataset, store, request)
            outcomes = self._outcomes(results, store, request["cached"])
            if operation == "report":
                request = {**request, "why": reasons(outcomes, results, store, dataset.name, entry.name)}
            context = {
                "command": command_of(request),
                "dataset": request["dataset"],
                "seed": seed,
                "why": request["why"],
                "exports": exports_of(request, dataset.name),
            }
            page = catalogue.page(entry.name)
            page.report(dataset, results, outcomes, links=links_of(pipeline), target=Path(request["target"]), context=context)
            if operation == "report":
                durable.discard(preview_path(Path(request["target"])))
                record(store, entry, dataset, results, outcomes, request)
            return request["target"]
        raise ValueError(f"unknown operation {operation!r}")

    def _stage(self, request: dict[str, Any], entry: catalogue.Entry, pipeline: Pipeline, dataset: Any, store: Store) -> dict[str, Any]:
        """Search, with a preview of the report now and then."""
        preview = preview_of(request, entry, pipeline, dataset, store, self._allowance)
        seed = pipeline.stage_seed(request["seed"], request["stage"])

        def progress(event: ProgressEvent) -> None:
            preview(event)
            self._progress(request, event)

        with closing(preview):
            outcome = run_stage(
                **self._asked(request, pipeline, dataset, store),
                progress=progress,
                stop=lambda: self.is_stopping,
                about={"dataset": dataset.name, "command": command_of(request)},
                provenance={
                    "dataset": dataset.name,
                    "settings": in_force(read(), request, pipeline.stage(request["stage"]), seed),
                },
            )
        return {**outcome.to_dict(), "effort": asdict(store.effort(outcome.digest))}

    def _asked(self, request: dict[str, Any], pipeline: Pipeline, dataset: Any, store: Store) -> dict[str, Any]:
        """What a search and the computation of latent variables are told alike."""
        return {
            "pipeline": pipeline,
            "stage": request["stage"],
            "dataset": dataset,
            "store": store,
            "seed": request["seed"],
            "digests": request["digests"],
            "n_threads": request.get("threads") or self.threads,
        }

    def _told(self, operation: str, entry: catalogue.Entry, pipeline: Pipeline, dataset: Any, store: Store, seed: int) -> Any:
        """What is known without computing."""
        if operation == "latents_part":
            return latents_part(pipeline.stage(entry.latent_stage).n_latents)
        if operation == "is_held":
            return any(work.dataset == dataset.name and work.state == RUNNING for work in store.activity().works)
        if operation == "attempts":
            return unfinished_attempts(pipeline, entry.latent_stage, dataset, store, seed)
        target = report_path(store, entry.name, dataset.name)
        return {"stages": list(pipeline.stage_names), "needs": pipeline.needs, "latent_stage": entry.latent_stage, "target": str(target)}

    def _outcomes(self, results: dict[str, Result], store: Store, cached: list[str]) -> list[StageOutcome]:
        rows = [outcome_of(name, result, store) for name, result in results.items()]
        return [StageOutcome(**{**row.to_dict(), "cached": row.name in cached}) for row in rows]

    def _dataset(self, entry: catalogue.Entry, request: dict[str, Any]) -> Any:
        key = (request["pipeline"], request["dataset"])
        if key not in self._datasets:
            self._datasets = {key: entry.load(Path(request["dataset"]))}
        return self._datasets[key]

    def _progress(self, request: dict[str, Any], event: ProgressEvent) -> None:
        now = time.monotonic()
        if event.phase == self._phase and now - self._last < SECONDS_BETWEEN_EVENTS:
            return
        self._last, self._phase = now, event.phase
        self._news(request["stage"], event.phase, n_calls=event.n_calls, log_evidence=event.log_evidence, text=event.message)

    def _news(self, stage: str, phase: str, *, n_calls: int, log_evidence: float | None = None, text: str = "") -> None:
        self.send(event="progress", stage=stage, phase=phase, n_calls=n_calls, log_evidence=log_evidence, text=text)


def main() -> None:
    """Serve the parent that started this process."""
    die_with_parent(int(sys.argv[1]))
    output, sys.stdout = sys.stdout, sys.stderr  # what a user's code prints must not look like an answer
    worker = Worker(output, threads=int(sys.argv[2]), key=read().key)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.ask_to_stop)
    let_terminations()
    threading.Thread(target=end_after, args=(int(sys.argv[1]),), daemon=True).start()

    def show(text: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        worker.send(event="warning", kind=category.__name__, text=str(text))

    warnings.showwarning = show
    worker.serve(sys.stdin)


if __name__ == "__main__":
    main()
