"""What the store tells of a result beyond the result itself: who asked for it, and its latent variables. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import analysis_identity
from fitcore.errors import ConfigError, CorruptResultError, ModelError, ResultNotFoundError, SpecError
from fitcore.identity import canonical, form_digest, is_form
from fitcore.model import Model
from fitcore.result import Result, ResultSource
from fitcore.samples import Samples
from fitcore.store import Record, Store
from fitcore.store.internal import internal_of
from fitcore.summary import SamplesSummary


@dataclass(frozen=True, kw_only=True)
class StoredRequest:
    """A request as far as it can be told from its stored result and its analysis: enough for the hooks after the commit."""

    digest: str
    model: Model
    analysis: Analysis
    name: str
    n_latents: int | None = None


def specified_analysis(record: Record) -> Any:
    """The canonical form of the analysis that a stored result was asked with; None where its record tells of none."""
    if not is_form(record.spec) or record.spec[0] != "dict":
        return None
    return next((form for key, form in record.spec[1] if key == canonical("analysis")), None)


def summary_of(attributes: Mapping[str, Any]) -> SamplesSummary:
    """The summary among a stored result's attributes.

    Raises
    ------
    SpecError
        when there is none that fitcore can have written.
    """
    return SamplesSummary.from_dict(attributes.get("summary", {}))


def usable_record(store: Store, key: str) -> Record | None:
    """The stored result of a digest, or None. What is whole by its hashes and was not made by fitcore goes to quarantine, and is a miss."""
    record = store.lookup(key)
    if record is None:
        return None
    try:
        if form_digest(record.spec) != key:
            raise SpecError("what was asked, as it records it, has another digest")
        summary_of(record.attributes)
    except SpecError as error:
        store.quarantine(key, f"the result cannot be used: {error}")
        return None
    return record


def n_latent_samples(part: Record) -> int:
    """How many latent samples a stored part tells of; 0 where the analysis has none.

    Raises
    ------
    CorruptResultError
        when it does not tell.
    """
    counts = [count for name in ("n_keys", "n_samples") if type(count := part.attributes.get(name)) is int and count >= 0]
    if len(counts) < 2:
        raise CorruptResultError(
            f"{part.path} does not say how many latent variables it holds, so fitcore has not made it: remove it and its commit record, "
            "and run the same command again to compute them anew."
        )
    return counts[1] if counts[0] else 0


def stored_request(analysis: Analysis, store: Store, *, digest: str | None = None) -> StoredRequest:
    """The request of the one stored result of ``analysis``; of several, of the one whose digest begins with ``digest``.

    Raises
    ------
    ResultNotFoundError
        when there is none.
    ConfigError
        when there are several; their digests are told.
    """
    wanted = canonical(analysis_identity(analysis))
    records = [record for row in store.table() if (record := store.lookup(row["digest"])) is not None]
    own = [r for r in records if specified_analysis(r) == wanted and r.digest.startswith(digest or "")]
    if not own:
        which = "" if digest is None else f" whose digest begins with {digest!r}"
        raise ResultNotFoundError(
            f"The store {store.path} holds no result of this {type(analysis).__name__}{which} among its {len(records)}. Its data, settings "
            "and version must be those of the fit; fit it first."
        )
    if len(own) > 1:
        found = ", ".join(f"{r.digest[:12]} ({r.provenance.get('name', '')})" for r in own)
        raise ConfigError(
            f"The store {store.path} holds {len(own)} results of this {type(analysis).__name__}: {found}. Name one by digest."
        )
    record = own[0]
    name = str(record.provenance.get("name", "fit"))
    return StoredRequest(digest=record.digest, model=Model.from_dict(record.attributes.get("model", {})), analysis=analysis, name=name)


def latents_part(n_latents: int | None) -> str:
    """The name under which a result's latent variables are stored: of every sample, or of so many draws."""
    return "latents" if n_latents is None else f"latents-{n_latents}"


def read_latents(store: Store, key: str, n_latents: int | None) -> Samples | None:
    """The stored latent variables; None where they are not computed yet, or the analysis has none."""
    part = store.lookup(key, latents_part(n_latents))
    if part is None or n_latent_samples(part) == 0:
        return None
    return Samples.from_arrays(part.arrays())


def store_latents(store: Store, key: str, n_latents: int | None, found: Samples | None, provenance: Mapping[str, Any]) -> int:
    """Store latent variables, or that there are none, beside their result; returns the number of samples.

    ``provenance`` (device, batches, seconds) goes into the commit record alone: the file has the same bytes whatever computed it.
    """
    attributes = {
        "n_keys": 0 if found is None else len(found.paths),
        "n_samples": 0 if found is None else len(found),
        "masked": {} if found is None else found.n_masked,
    }
    arrays = {} if found is None else found.to_arrays()
    store.commit_part(key, latents_part(n_latents), arrays=arrays, attributes=attributes, provenance=provenance)
    return attributes["n_samples"]


def read_result(store: Store, digest: str) -> Result:
    """A stored result by its digest, without its analysis, which no store keeps: summary, samples, latent samples, model, provenance.

    Parameters
    ----------
    digest : the whole of it, or its beginning where one result alone begins so; `Store.table` lists them.

    Raises
    ------
    ResultNotFoundError
        when there is none.
    ConfigError
        when several begin so.
    CorruptResultError
        when its file is whole and was not made by fitcore.
    """
    found = [digest] if len(digest) == len("0" * 64) else store.digests(digest)
    if len(found) > 1:
        raise ConfigError(
            f"{len(found)} results of {store.path} begin with {digest!r}: {', '.join(d[:16] for d in found[:5])}. Give more of it."
        )
    if not found:
        raise ResultNotFoundError(f"No result of {store.path} begins with {digest!r}. Store.table() lists them.")
    record = store.read(found[0])
    try:
        summary = summary_of(record.attributes)
    except SpecError as error:
        raise CorruptResultError(f"{record.path} holds no summary, so no search of fitcore has made it: {error}") from error
    result = Result(summary, paths=store.paths(record.digest))
    return result.attach(cast(ResultSource, _ReadSource(store, record)))


class _ReadSource:
    """A `ResultSource` of a result that was read by its digest; it knows no analysis."""

    is_cached, analysis = True, None

    def __init__(self, store: Store, record: Record) -> None:
        self._store, self._record, self.digest = store, record, record.digest

    @cached_property
    def model(self) -> Model:
        return Model.from_dict(self._record.attributes.get("model", {}))

    @property
    def running(self) -> Analysis:
        raise ConfigError(
            f"The result {self.digest[:12]} was read by its digest, and a store keeps no analysis. Ask with the analysis: fitcore.fit."
        )

    def rerun_hooks(self, analysis: Analysis | None) -> Result:
        return cast(Result, self.running)

    def read_samples(self) -> Samples:
        samples = Samples.from_arrays(self._record.arrays())
        try:
            return samples.with_model(self.model)
        except ModelError:  # of components that are not imported here: the samples are none the worse for it
            return samples

    def read_latents(self) -> Samples | None:
        parts = [part for part in self._store.parts(self.digest) if part.partition("-")[0] == latents_part(None)]
        part = self._store.lookup(self.digest, parts[0]) if parts else None
        return None if part is None or n_latent_samples(part) == 0 else Samples.from_arrays(part.arrays())

    def read_internal(self, trust: bool) -> Any:
        plain = internal_of(self._record)
        if plain is not None:
            return plain
        raise ConfigError(
            f"What the search of {self.digest[:12]} kept may run code when it is read: Store.read_internal gives its bytes, on trust"
        )

    def read_provenance(self) -> Mapping[str, Any]:
        return self._record.provenance
