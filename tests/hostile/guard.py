"""Opens hostile files, each in a process of its own with 1 GB of memory and little time, and tells what came of each as JSON.

python guard.py FOLDER [NAME ...]     all cases, or those named

A payload that ran would make the file CANARY. The processes are forked from one that has imported everything, so that each costs
milliseconds; the memory they may take is counted from what that one holds.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from damage import unforced
from hostile_data import DATA_CASES
from hostile_stores import STORE_CASES
from payloads import ServedError, canary

from fitcore.errors import FitcoreError
from flows.settings import SettingsError

SECONDS = 20.0
MEMORY = 2**30
CASES = {**STORE_CASES, **DATA_CASES}


def _virtual_size() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _attempt(case: Any, folder: Path) -> dict[str, Any]:
    try:
        return {"how": "told", "text": case.attempt(folder)}
    except ServedError as error:
        return {"how": "served", "text": str(error)}
    except (FitcoreError, SettingsError) as error:
        return {"how": type(error).__name__, "text": str(error)}
    except BaseException:
        return {"how": "crash", "text": traceback.format_exc()[-1500:]}


def outcome(name: str, folder: Path) -> dict[str, Any]:
    """What came of one case: how it was refused and in which words, seconds, megabytes, whether anything ran."""
    case = CASES[name]
    place = folder / name.replace(" ", "_")
    place.mkdir(parents=True)
    os.environ["CANARY"] = str(canary(place))
    case.build(place)
    reader, writer = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            limit = _virtual_size() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            os.chdir(place)
            os.write(writer, json.dumps(_attempt(case, place)).encode()[:60000])
        finally:
            os._exit(0)
    os.close(writer)
    answered = bool(select.select([reader], [], [], SECONDS)[0])
    if not answered:
        os.kill(pid, signal.SIGKILL)
    data = b""
    while chunk := os.read(reader, 65536):
        data += chunk
    os.close(reader)
    _, _, usage = os.wait4(pid, 0)
    told = json.loads(data) if data else {"how": "died" if answered else "hangs", "text": ""}
    ran = canary(place).exists()
    for path in place.rglob("*"):
        path.is_fifo() and path.unlink()
    shutil.rmtree(place, ignore_errors=True)
    seconds = usage.ru_utime + usage.ru_stime  # of its own: what else this machine is at does not count
    return {
        **told,
        "seconds": seconds,
        "waited": time.monotonic() - start,
        "megabytes": usage.ru_maxrss / 1024,
        "ran": ran,
        "says": case.says,
    }


if __name__ == "__main__":
    unforced(setattr)
    names = sys.argv[2:] or list(CASES)
    print(json.dumps({name: outcome(name, Path(sys.argv[1])) for name in names}))
