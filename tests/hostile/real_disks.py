"""Run by path, in a process of its own: the small chain on a disk, or as a user, that cannot take it. What happened is told as JSON.

python real_disks.py FOLDER full                no room from the second stage on (the caller has mounted something small at FOLDER)
python real_disks.py FOLDER limit BYTES        no file may be larger (RLIMIT_FSIZE)
python real_disks.py FOLDER user NUMBER        as this user
python real_disks.py FOLDER plain              nothing special
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import smallchain

from fitcore.store import store as store_module


def fill_up(folder: Path) -> None:
    """Take all the room that is left, to the last block."""
    with (folder / "ballast").open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def main(folder: Path, how: str, *rest: str) -> None:
    store_module.REFUSED_BELOW = 0
    if how == "full":
        real = smallchain.write_file

        def write_file(path: Path, log_l: object) -> None:
            if len(log_l) > 40 and "ballast" not in os.listdir(folder):  # type: ignore[arg-type]
                fill_up(folder)
            real(path, log_l)  # type: ignore[arg-type]

        smallchain.write_file = write_file
    if how == "limit":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest[0]), int(rest[0])))
    if how == "user":
        with tempfile.TemporaryDirectory() as other:
            smallchain.run_chain(Path(other) / "store")  # imports all that is needed: the user may not read where Python is
        os.setgid(int(rest[0]))
        os.setuid(int(rest[0]))
    start = time.monotonic()
    told = {"kind": "", "text": "", "retryable": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            smallchain.run_chain(folder / "store")
        except Exception as error:
            told = {"kind": type(error).__name__, "text": str(error), "retryable": getattr(error, "retryable", None)}
    print(json.dumps({**told, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
