"""What every fault test needs: failpoints at each call that changes the disk, children that can be killed, and a board and a diary that
outlive them.

A child is forked from a process that has imported everything and runs no thread, so that a kill costs milliseconds. It notes on a board
(shared memory) which phase it is in, so that a killer can aim, and in a diary (a file outside the store, one short write for each line)
what the store has promised: what it said was committed, saved or noted before the kill must be there after it.
"""

import functools
import importlib.metadata
import json
import mmap
import os
import signal
import struct
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import fitcore.chain
import fitcore.fitting
import fitcore.search.adapter
import fitcore.search.sampling
from fitcore.evaluation import BatchedLikelihood
from fitcore.store import Store, durable
from fitcore.store.checkpoint import FileCheckpoint

CALLS = (
    "open_exclusive",
    "write",
    "write_at_start",
    "fsync",
    "link",
    "rename",
    "unlink",
    "make_one_folder",
    "remove_folder",
    "fsync_folder",
)
PHASES = ("start", "sampling", "checkpoint", "commit", "latents")
# Reading the versions of ten packages takes longer than a likelihood of the toy's whole search.
importlib.metadata.version = functools.cache(importlib.metadata.version)


def write_foreign(writer: Callable[[Path], None], path: Path) -> None:
    """A file that another library writes for a checkpoint: the one change of the disk that does not pass through `durable`."""
    writer(path)


# ---- children ------------------------------------------------------------------------------------------------------------------------


def start_child(function: Callable[[], Any]) -> int:
    """Run a function in a child; its process id. What it raises is printed on standard error, and its exit code is 1."""
    threads = len(os.listdir("/proc/self/task"))
    assert threads == 1, f"a process with {threads} threads must not fork"
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def end_of(pid: int) -> int:
    """Wait for a child: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def forked(function: Callable[[], Any]) -> int:
    """Run in a child; its signal if it was killed, else 0. What fails in it fails here."""
    code = end_of(start_child(function))
    assert code <= 0, f"the child ended with exit code {code}"
    return -code


# ---- failpoints ----------------------------------------------------------------------------------------------------------------------

ARMED: list[Any] = []
Hook = Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]


@contextmanager
def every_call(hook: Hook) -> Iterator[None]:
    """Hand each change of the disk to ``hook(name, call, arguments)``, which makes the call itself, or does not."""

    def around(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: hook(name, real, arguments)

    real_save = FileCheckpoint.save_through

    def save_through(self: FileCheckpoint, writer: Callable[[Path], None], **more: Any) -> None:
        real_save(self, lambda path: hook("write_foreign", write_foreign, (writer, path)), **more)

    with ExitStack() as stack:
        for name in CALLS:
            stack.enter_context(mock.patch.object(durable, name, around(name, getattr(durable, name))))
        stack.enter_context(mock.patch.object(FileCheckpoint, "save_through", save_through))
        yield


def half(name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Do half of a write; of anything else nothing."""
    if name in ("write", "write_at_start"):
        real(arguments[0], arguments[1][: len(arguments[1]) // 2])
    if name == "write_foreign":
        real(*arguments)
        os.truncate(arguments[1], arguments[1].stat().st_size // 2)


def arm(point: int, when: str, number: int = signal.SIGKILL) -> None:
    """Send this process a signal at its change of the disk number ``point``: before, in the middle of (a write cut short) or after it."""
    count = 0

    def deadly(name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        nonlocal count
        count += 1
        if count != point:
            return real(*arguments)
        if when == "middle" and number == signal.SIGKILL:
            half(name, real, arguments)
        if when in ("before", "middle"):
            os.kill(os.getpid(), number)
        try:
            return real(*arguments)
        finally:
            if when == "after":
                os.kill(os.getpid(), number)

    armed = every_call(deadly)
    armed.__enter__()
    ARMED.append(armed)  # or it would be undone when nobody refers to it


# ---- the board and the diary ---------------------------------------------------------------------------------------------------------


class Board:
    """Shared memory: the phase that a child is in, and how often it entered each."""

    FORM = struct.Struct("<6I")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.FORM.size)

    def clear(self) -> None:
        """As before the start of a child."""
        self._memory[: self.FORM.size] = bytes(self.FORM.size)

    @property
    def phase(self) -> str:
        """The phase that was entered last."""
        return PHASES[self.FORM.unpack(self._memory[: self.FORM.size])[0]]

    def entries(self, phase: str) -> int:
        """How often a phase was entered."""
        return self.FORM.unpack(self._memory[: self.FORM.size])[1 + PHASES.index(phase)]

    def enter(self, phase: str) -> None:
        """Note that a phase begins."""
        values = list(self.FORM.unpack(self._memory[: self.FORM.size]))
        values[0] = PHASES.index(phase)
        values[1 + values[0]] += 1
        self.FORM.pack_into(self._memory, 0, *values)


class Diary:
    """Lines that outlive the process that wrote them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, *words: str | int) -> None:
        """Add a line."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
        os.close(descriptor)

    def lines(self) -> list[list[str]]:
        """All lines, as words."""
        return [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []


Note = Callable[..., None]


@contextmanager
def observed(board: Board, note: Note, save_every: int) -> Iterator[None]:
    """Note phases on the board, promises by ``note``, and make a checkpoint due at every ``save_every``-th time that it is asked."""
    asked = 0
    working_on: list[str] = []

    def due(self: FileCheckpoint) -> bool:
        nonlocal asked
        asked += 1
        return asked % save_every == 0

    def within(phase: str, real: Callable[..., Any], told: Callable[..., tuple[str | int, ...] | None]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(*arguments: Any, **more: Any) -> Any:
            before = board.phase
            board.enter(phase)
            answer = real(*arguments, **more)
            words = told(*arguments, **more)
            if words is not None:
                note(*words)
            board.enter(before if phase != "start" else "start")
            return answer

        return call

    real_call = BatchedLikelihood.__call__
    real_lease = Store.lease

    def lease(self: Store, digest: str, **more: Any) -> Any:
        working_on.append(digest)
        return real_lease(self, digest, **more)

    def likelihood(self: BatchedLikelihood, u: Any) -> Any:
        values = real_call(self, u)
        if board.phase == "start":
            board.enter("sampling")
            note("searching", working_on[-1] if working_on else "?")
        return values

    def nothing(*_: Any, **__: Any) -> None:
        return None

    changes = [
        (FileCheckpoint, "due", due),
        (
            FileCheckpoint,
            "_save",
            within("checkpoint", FileCheckpoint._save, lambda self, *_, n_calls, **__: ("saved", self._digest, n_calls)),
        ),
        (Store, "check_writable", within("start", Store.check_writable, nothing)),
        (Store, "commit", within("commit", Store.commit, lambda self, digest, **_: ("committed", digest, "result"))),
        (Store, "write_internal", within("commit", Store.write_internal, lambda self, digest, _: ("committed", digest, "internal"))),
        (FileCheckpoint, "discard", within("commit", FileCheckpoint.discard, lambda self: ("discarded", self._digest))),
        (Store, "commit_part", within("latents", Store.commit_part, lambda self, digest, part, **_: ("committed", digest, part))),
        (fitcore.chain, "latents", within("latents", fitcore.chain.latents, nothing)),
        (Store, "record_run", within("commit", Store.record_run, lambda *_, **__: ("noted",))),
        (Store, "lease", lease),
        (BatchedLikelihood, "__call__", likelihood),
    ]
    with ExitStack() as stack:
        for owner, name, change in changes:
            stack.enter_context(mock.patch.object(owner, name, change))
        board.enter("start")
        yield


# ---- reports -------------------------------------------------------------------------------------------------------------------------


@contextmanager
def reporting(**facts: Any) -> Iterator[dict[str, Any]]:
    """A report to be filled in, printed as JSON at the end with the seconds it took."""
    report: dict[str, Any] = {**facts, "failures": []}
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        yield report
    report["seconds"] = round(time.monotonic() - start, 1)
    print(json.dumps(report))
