"""A disk that fails: every call by which the store changes it can be made to fail, once or from then on."""

from __future__ import annotations

import errno
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import smallchain

import fitcore as fc
from fitcore.store import Store, durable

CALLS = (
    "open_exclusive", "write", "write_at_start", "fsync", "link", "rename", "unlink", "make_one_folder", "remove_folder", "fsync_folder",
)  # fmt: skip
FREEING = ("unlink", "remove_folder")
ERRORS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EIO")
FULL = ("ENOSPC", "EDQUOT", "EFBIG")
# A holder whose last beat could not be written looks alive to its own process: do not wait long for it.
LEASE: Any = {"heartbeat": 0.02, "patience": 10}
WORDS = {
    **dict.fromkeys(FULL, ("no space left while", "MB free", "name a store on another disk", "run the same command again")),
    **dict.fromkeys(("EROFS", "EACCES"), ("not allowed while", "Change its permissions or name another store")),
    "EIO": ("the disk failed while", "Check the disk"),
}


@dataclass
class Disk:
    """Counts the calls and fails at one of them; ``n_after`` is how many came after that, to see that nobody tries for ever."""

    point: int = 0
    error: str = "ENOSPC"
    lasts: bool = False
    n: int = 0
    n_after: int = 0
    calls: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.n += 1
        self.calls.append(name)
        if not self.point or self.n < self.point:
            return
        self.n_after += 1
        is_failing = self.n == self.point or (self.lasts and not (self.error in FULL and name in FREEING))
        if is_failing:
            number = getattr(errno, self.error)
            raise OSError(number, os.strerror(number))


@contextmanager
def failing(disk: Disk) -> Iterator[Disk]:
    """Every durable call asks ``disk`` first."""
    real = {name: getattr(durable, name) for name in CALLS}

    def asking(name: str) -> Any:
        def call(*arguments: Any) -> Any:
            disk(name)
            return real[name](*arguments)

        return call

    for name in CALLS:
        setattr(durable, name, asking(name))
    try:
        yield disk
    finally:
        for name, function in real.items():
            setattr(durable, name, function)


class Patient:
    """A store with a finished first stage and a begun second one, copied for each fault; and what the whole chain leaves in the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        whole = folder / "whole"
        smallchain.run_chain(whole)
        self.truth = smallchain.result_files(whole)
        self.first = fc.Store(whole).run(smallchain.NAME)["stages"]["first"]
        self.second = fc.Store(whole).run(smallchain.NAME)["stages"]["second"]
        self.begun = folder / "begun"
        smallchain.run_chain(self.begun)
        self._forget_second()
        self.n = 0
        with failing(Disk()) as disk:
            self._copy_and_run("counted")
        self.calls = disk.calls

    def _forget_second(self) -> None:
        """Back to the moment when the second stage had saved its work after three of four batches."""
        for place in ("results", "work"):
            shutil.rmtree(self.begun / place / self.second[:2] / self.second)
        shutil.rmtree(self.begun / "runs")
        calls = iter(range(100))

        class StoppedError(Exception):
            pass

        real = smallchain.write_file

        def write_file(path: Path, log_l: np.ndarray) -> None:
            real(path, log_l)
            if next(calls) == 2:
                raise StoppedError

        smallchain.write_file = write_file
        try:
            smallchain.run_chain(self.begun)
        except StoppedError:
            pass
        finally:
            smallchain.write_file = real

    def _copy_and_run(self, name: str) -> Path:
        folder = self.folder / name
        shutil.copytree(self.begun, folder)
        smallchain.run_chain(folder, **LEASE)
        return folder

    def check(self, point: int, error: str, *, lasts: bool) -> str:
        """Fail at one call, look, mend the disk, run again: "" or what broke a promise. The copy is removed."""
        self.n += 1
        folder = self.folder / f"copy{self.n}"
        try:
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                return self._look(folder, Disk(point=point, error=error, lasts=lasts))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _look(self, folder: Path, disk: Disk) -> str:  # noqa: PLR0911 - one return for each broken promise
        shutil.copytree(self.begun, folder)
        start = time.monotonic()
        told = ""
        try:
            with failing(disk):
                smallchain.run_chain(folder, **LEASE)
        except fc.StoreError as error:
            told = str(error)
            if error.retryable:
                return f"the error says that it may be tried again: {told}"
        except Exception as error:
            return f"{type(error).__name__} instead of a StoreError: {error}"
        if time.monotonic() - start > 20 or disk.n_after > len(self.calls) + 50:
            return f"it tried for {time.monotonic() - start:.0f} s, with {disk.n_after} calls after the failure"
        if told and not all(word in told for word in (str(folder), *WORDS[disk.error])):
            return f"the error does not say where and what to do: {told}"
        if not told and disk.lasts and disk.error != "EFBIG" and disk.point < len(self.calls) // 2:
            return "nothing was said"
        store = Store(folder)
        damaged = [finding.message for finding in store.verify() if finding.is_damage]
        if damaged:
            return f"damaged: {damaged}"
        for name in self.truth:
            if self.first in name and smallchain.file_of((folder / name).read_bytes()) != self.truth[name]:
                return f"{name} is not what it was"
        if store.lookup(self.first) is None or store.lookup(self.first, "latents") is None:
            return "the finished stage is gone"
        smallchain.run_chain(folder, **LEASE)
        return "" if smallchain.result_files(folder) == self.truth else "the next run ends with other bytes"
