"""Errors in store, checkpoints, lease and limits: what makes a kill, a full disk or a damaged file harmless."""

from __future__ import annotations

from benchmarks.mutated.case import Mutation

DURABILITY = [
    Mutation(
        "fitcore/store/durable.py",
        "        discard(temporary)\n        raise\n    fsync_folder(path.parent)",
        "        discard(temporary)\n        raise",
        "replacing a file: the new name is not forced to the disk",
        "tests/fitcore/store/test_durable.py tests/faults/test_power_cuts.py",
    ),
    Mutation(
        "fitcore/store/durable.py",
        "            view = view[write(descriptor, view) :]\n        fsync(descriptor)",
        "            view = view[write(descriptor, view) :]",
        "writing a file: its content is not forced to the disk",
        "tests/fitcore/store/test_durable.py tests/faults/test_power_cuts.py",
    ),
    Mutation(
        "fitcore/store/durable.py",
        "            link(temporary, path)\n            won = True",
        "            rename(temporary, path)\n            won = True",
        "publishing: the last one wins instead of the first",
        "tests/fitcore/store/test_durable.py tests/fitcore/store/test_commit.py",
    ),
    Mutation(
        "fitcore/store/commit.py",
        '            fault = "" if found == data else',
        '            fault = "" if found is not None else',
        "commit: a file without a commit record is adopted unread",
        "tests/fitcore/store/test_commit.py",
    ),
    Mutation(
        "fitcore/store/checkpoint.py",
        'return "" if hashlib.sha256(data).hexdigest() == self.sha256_of_file else',
        'return "" if data else',
        "checkpoint: its hash is not compared",
        "tests/fitcore/store/test_checkpoint.py",
    ),
    Mutation(
        "fitcore/store/checkpoint.py",
        "            if difference:\n                refused = refused or difference\n                continue",
        "            if difference:\n                refused = refused or difference",
        "checkpoint: one of other library versions is used",
        "tests/fitcore/store/test_checkpoint.py",
    ),
    Mutation(
        "fitcore/store/checkpoint.py",
        "KEPT = 2",
        "KEPT = 1",
        "checkpoint: only the last one is kept",
        "tests/fitcore/store/test_checkpoint.py",
    ),
    Mutation(
        "fitcore/store/checkpoint.py",
        "max(1.0, n_calls / max(1, self._n_calls_saved))",
        "1.0",
        "checkpoint: a growing state is expected to cost what the last one did",
        "tests/fitcore/store/test_checkpoint.py",
    ),
    Mutation(
        "fitcore/store/lease.py",
        "if still >= self._patience * self._heartbeat:",
        "if still >= 0.0:",
        "lease: a living holder is taken for dead",
        "tests/fitcore/store/test_lease.py",
    ),
    Mutation(
        "fitcore/store/lease.py",
        "self._still += min(now - self._last_look, heartbeat)",
        "self._still += now - self._last_look",
        "lease: a machine that slept takes everybody for dead",
        "tests/fitcore/store/test_lease.py",
    ),
    Mutation(
        "fitcore/store/setbacks.py",
        "ENOUGH = 3",
        "ENOUGH = 2",
        "setbacks: two failures condemn a state",
        "tests/fitcore/store/test_setbacks.py",
    ),
    Mutation(
        "fitcore/store/setbacks.py",
        "return attempt.holder.boot == Process.own().boot",
        "return True",
        "setbacks: a machine that stopped counts against the state",
        "tests/fitcore/store/test_setbacks.py",
    ),
    Mutation(
        "fitcore/store/setbacks.py",
        " and not mark.exists()",
        "",
        "setbacks: a search restarts from the beginning for ever",
        "tests/fitcore/store/test_setbacks.py",
    ),
    Mutation(
        "fitcore/limits.py",
        "if self.n_calls is not None and n_calls >= self.n_calls:",
        "if self.n_calls is not None and n_calls > 2 * self.n_calls:",
        "limits: twice the calls are made",
        "tests/fitcore/test_limits.py",
    ),
    Mutation(
        "fitcore/fitting.py",
        "found = find(request, store)  # another process",
        "found = None  # another process",
        "fit: what another process finished meanwhile is computed again",
        "tests/fitcore/test_fit_twice.py",
    ),
    Mutation(
        "fitcore/search/nautilus.py",
        "            ledger.pending = self._save_sampler  #",
        "            pass  #",
        "nautilus: the end of its exploration is never saved",
        "tests/fitcore/test_nonfinite.py",
    ),
]
