"""Run by path from the tests, in a process of its own that may fork: cuts the power at every moment of a chain, on paper.

The calls of one chain are recorded, and every state that `disk` allows after each of them is made for real in a folder. In it nothing
that was promised may be missing (results and parts whose commit returned, checkpoints whose save returned, the note, the store itself),
nothing may be served that is not true, nothing may be damaged, and going on ends with the same bytes. Going on happens under another
boot of the machine, so that no lease can be judged by its process.

python powercuts.py chain FOLDER SHARE GO_ON     after every SHARE-th call; every GO_ON-th state goes on to the end
python powercuts.py killed FOLDER SHARE          after a kill behind every SHARE-th new name that is not forced yet, and going on
python powercuts.py killed-anywhere FOLDER SHARE     after a kill at every SHARE-th call of all, and going on
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pandas imports pyarrow where it is

import contextlib
import hashlib
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from disk import Disk, Tree
from harness import Board, Diary, end_of, every_call, reporting, start_child
from toychain import Truth, broken_promises, difference, run_chain, undisturbed

from fitcore.store import attempts

SHORT = {"heartbeat": 0.02, "patience": 5}
PROMISE = "promise"
Event = tuple[str, tuple[Any, ...]]


class Killed(BaseException):
    """The process ends here: nothing that it would do after this reaches the disk."""


def recorded(folder: Path, events: list[Event], *, killed_at: int = 0, **settings: Any) -> None:
    """Run a chain in this process and add every change of the disk, and every promise, to ``events``; dead from ``killed_at`` on."""
    count = 0

    def hook(name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
        nonlocal count
        count += 1
        if killed_at and count >= killed_at:
            raise Killed
        answer = real(*arguments)
        first = arguments[0]
        if name == "open_exclusive":
            events.append((name, (first, os.fstat(answer).st_ino, b"")))
        elif name == "write_foreign":
            path = arguments[1]
            events.append((name, (path, path.stat().st_ino, path.read_bytes())))
        elif name in ("write", "write_at_start"):
            events.append((name, (os.fstat(first).st_ino, bytes(arguments[1])[:answer])))
        elif name == "fsync":
            events.append((name, (os.fstat(first).st_ino,)))
        else:
            events.append((name, arguments))
        return answer

    def note(*words: str | int) -> None:
        events.append((PROMISE, tuple(map(str, words))))

    with every_call(hook), contextlib.suppress(Killed):
        run_chain(folder, Board(), note, save_every=2, **settings)


def make(tree: Tree, folder: Path) -> None:
    """The files and folders of a state, for real."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in sorted(tree):
        data = tree[name]
        if data is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(data)


def key_of(tree: Tree, n_promises: int) -> bytes:
    """The same for equal states with the same promises."""
    parts = [(name, "" if data is None else hashlib.sha256(data).hexdigest()) for name, data in sorted(tree.items())]
    return hashlib.sha256(repr((n_promises, parts)).encode()).digest()


def goes_on(folder: Path, promises: Sequence[Sequence[str]], truth: Truth, diary: Diary) -> list[str]:
    """Run the chain to its end after another boot; what is wrong then."""
    diary.path.unlink(missing_ok=True)

    def action() -> None:
        with mock.patch.object(attempts, "_boot", return_value="the boot after the power cut"):
            run_chain(folder, Board(), diary.note, save_every=2, **SHORT)

    code = end_of(start_child(action))
    if code != 0:
        return [f"going on ended with exit code {code}"]
    return [*broken_promises(folder, [*promises, *diary.lines()], truth), *difference(folder, truth)]


def through_a_chain(base: Path, share: int, every: int) -> None:
    with reporting(what="power cuts in a chain") as report:
        truth = undisturbed(base)
        original, copy = base / "original", base / "copy"
        original.mkdir()
        events: list[Event] = []
        recorded(original / "store", events, heartbeat=60.0)
        disk = Disk(base=original)
        promises: list[tuple[str, ...]] = []
        seen: set[bytes] = set()
        calls = moments = gone_on = 0
        for name, told in events:
            if name == PROMISE:
                promises.append(told)
                continue
            disk.apply(name, told)
            calls += 1
            if calls % share:
                continue
            moments += 1
            for word, tree in disk.after_cut():
                key = key_of(tree, len(promises))
                if key in seen:
                    continue
                seen.add(key)
                make(tree, copy)
                wrong = broken_promises(copy / "store", promises, truth)
                if len(seen) % every == 0:
                    gone_on += 1
                    wrong += goes_on(copy / "store", promises, truth, Diary(base / "diary"))
                if wrong:
                    report["failures"].append({"call": calls, "name": name, "state": word, "wrong": wrong})
        report |= {"count": len(seen), "calls": calls, "moments": moments, "gone_on": gone_on}


def after_a_kill(base: Path, share: int, *, anywhere: bool) -> None:
    """All that is not forced to the disk is lost after a chain that was killed, went on and said that it was done."""
    with reporting(what="power cuts after a kill and going on") as report:
        truth = undisturbed(base)
        original, copy = base / "original", base / "copy"
        whole: list[Event] = []
        original.mkdir()
        recorded(original / "store", whole, heartbeat=60.0)
        calls = [name for name, _ in whole if name != PROMISE]
        points = [i + 1 for i in range(1, len(calls)) if anywhere or calls[i - 1] in ("make_one_folder", "link")][share // 2 :: share]
        threading.excepthook = lambda _: None  # the thread that beats dies with its process
        for point in points:
            original = base / f"original{point}"
            original.mkdir()
            events: list[Event] = []
            recorded(original / "store", events, killed_at=point, heartbeat=60.0)
            recorded(original / "store", events, **SHORT)
            disk = Disk(base=original)
            for name, told in events:
                if name != PROMISE:
                    disk.apply(name, told)
            shutil.rmtree(original)
            promises = [told for name, told in events if name == PROMISE]
            promises += [("committed", digest, part) for digest, part in truth.sha256]
            make(dict(disk.after_cut())["every name lost, contents lasting"], copy)
            wrong = broken_promises(copy / "store", promises, truth)
            if wrong:
                report["failures"].append({"killed_at": point, "call": calls[point - 1], "wrong": wrong})
        report |= {"count": len(points), "calls": len(calls)}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["chain", folder, share, every]:
            through_a_chain(Path(folder), int(share), int(every))
        case ["killed" | "killed-anywhere" as where, folder, share]:
            after_a_kill(Path(folder), int(share), anywhere=where == "killed-anywhere")
        case _:
            sys.exit(__doc__)
