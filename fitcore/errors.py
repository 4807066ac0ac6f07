"""The one tree of errors. Every message says what was wrong, the value seen, what is allowed, and the remedy.

    FitcoreError
    ├── SpecError (ValueError)               the request itself is wrong
    │   ├── ModelError                       a model's tree, paths, ties or constraints
    │   ├── PriorError                       a prior's own numbers
    │   ├── LinkError                        a result cannot seed the next stage
    │   └── CanonicalFormError (TypeError)   a value has no stable form to hash
    ├── LikelihoodError (RuntimeError)       the user's likelihood misbehaves
    │   ├── NonFiniteLikelihoodError         NaN too often, or +inf
    │   └── PrecisionError                   not in double precision
    ├── SearchError (RuntimeError)
    │   ├── NotConvergedError                a limit was reached first; nothing is published as done
    │   └── SearchInterruptedError           stopped with its work saved: run it again   [retryable]
    ├── StoreError (OSError)
    │   ├── ResultNotFoundError (KeyError)
    │   ├── CorruptResultError
    │   ├── SchemaVersionError
    │   └── LeaseHeldError                   another process is at work on it             [retryable]
    ├── DataError (ValueError)               a dataset that cannot be used
    └── ConfigError (ValueError)             settings, names or options that cannot be used

Nothing but the classes lives here.
"""


class FitcoreError(Exception):
    """Root of everything fitcore raises on purpose; ``retryable`` says whether the same call may succeed later."""

    retryable: bool = False


class SpecError(FitcoreError, ValueError):
    """The request is wrong, before anything was computed."""


class ModelError(SpecError):
    """A model's tree, paths, ties or constraints are wrong."""


class PriorError(SpecError):
    """A prior's numbers are wrong."""


class LinkError(SpecError):
    """A result cannot seed the next stage."""


class CanonicalFormError(SpecError, TypeError):
    """A value has no stable form, so no digest can be made of it."""


class LikelihoodError(FitcoreError, RuntimeError):
    """The likelihood misbehaves."""


class NonFiniteLikelihoodError(LikelihoodError):
    """The likelihood is NaN too often, or +inf."""


class PrecisionError(LikelihoodError):
    """The likelihood is not in double precision."""


class SearchError(FitcoreError, RuntimeError):
    """A search failed."""


class NotConvergedError(SearchError):
    """A limit was reached before the search had converged; nothing was published."""


class SearchInterruptedError(SearchError):
    """The search was asked to stop and has saved its work; the same call goes on from there."""

    retryable = True


class StoreError(FitcoreError, OSError):
    """The store cannot do what was asked."""


class ResultNotFoundError(StoreError, KeyError):
    """No such result in the store."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class CorruptResultError(StoreError):
    """A file of the store is damaged; it was moved to quarantine."""


class SchemaVersionError(StoreError):
    """The store or file was written by another version of its format."""


class LeaseHeldError(StoreError):
    """Another process is at work on the same result."""

    retryable = True


class DataError(FitcoreError, ValueError):
    """A dataset that cannot be used."""


class ConfigError(FitcoreError, ValueError):
    """Settings, names or options that cannot be used."""
