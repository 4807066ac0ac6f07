"""What earlier attempts at a result tell the next one: that none of them got any further, or that the state they began from is to blame.

A process that died while its machine lived on, and an error that fitcore does not know, count against the state. A machine that stopped,
a request to stop, an error of the likelihood or of the disk do not.
"""

import warnings
from collections.abc import Sequence

from fitcore import errors
from fitcore.store import durable, encoding
from fitcore.store.attempts import LOST, RUNNING, Attempt, Process, attempts
from fitcore.store.checkpoint import State, states
from fitcore.store.layout import Layout
from fitcore.store.notices import CheckpointWarning
from fitcore.store.reading import quarantine

ENOUGH = 3
MARK = "restarted.json"
KNOWN_ERRORS = {f"failed: {name}" for name, kind in vars(errors).items() if isinstance(kind, type)}


def heed(layout: Layout, digest: str, *, number: int) -> None:
    """Look at the attempts before this one; to be called by the holder of the lease, before the search begins.

    After three failures on one state all states of the result go to quarantine and the search starts anew, once. After three attempts
    that could save nothing new, a `CheckpointWarning` says so.

    Parameters
    ----------
    number : of the attempt that is about to begin.
    """
    folder = layout.work_folder(digest)
    known = [state for state in states(folder) if isinstance(state, State)]
    reached = max((state.n_calls for state in known), default=0)
    earlier = [attempt for attempt in attempts(layout.attempts_folder(digest)) if attempt.number < number][-ENOUGH:]
    if len(earlier) < ENOUGH or any(_got_further(attempt, reached) for attempt in earlier):
        return
    mark = layout.attempts_folder(digest) / MARK
    if known and all(_counts_against(attempt, reached) for attempt in earlier) and not mark.exists():
        paths = [path for state in known for path in (state.record_path, state.file)]
        reason = (
            f"the last {ENOUGH} attempts failed on the state at {reached:,} calls ({_told(earlier)}): it may be spoiled in a way that its "
            f"hash cannot show. The search starts anew, once"
        )
        quarantine(layout, digest, paths, reason)
        with durable.explaining(mark, f"noting the restart of {digest[:12]}"):
            durable.publish_first(mark, encoding.to_json({"before_attempt": number, "n_calls": reached}), small=True)
        return
    where = f"the state at {reached:,} calls" if known else "the start"
    warnings.warn(
        f"the last {ENOUGH} attempts at {digest[:12]} ended before they could save anything after {where} ({_told(earlier)}). Is the time "
        f"between two interruptions shorter than one step (start, compilation, one batch)? Then use smaller batches or ask for a longer "
        f"time; if a process ended by itself, look at its memory and its likelihood. The search goes on from {where}",
        CheckpointWarning,
        stacklevel=3,
    )


def _got_further(attempt: Attempt, reached: int) -> bool:
    """Whether it ended well, or saved the newest state itself: then it began from an earlier one and made calls."""
    if attempt.ended in ("done", RUNNING):
        return True
    return attempt.n_calls_at_start != reached and attempt.n_calls > 0


def _counts_against(attempt: Attempt, reached: int) -> bool:
    if attempt.n_calls_at_start != reached:
        return False  # it did not even come to read the state
    if attempt.ended == LOST:
        return attempt.holder.boot == Process.own().boot
    return attempt.ended.startswith("failed: ") and attempt.ended not in KNOWN_ERRORS


def _told(earlier: Sequence[Attempt]) -> str:
    return ", ".join(f"attempt {attempt.number} {attempt.ended} at {attempt.n_calls:,} calls" for attempt in earlier)
