"""Run by path from the tests, in a process of its own that may fork: many processes on one store at once.

python crowd.py FOLDER PROCESSES KEYS     all publish, look up and read all keys, half of them in the same order, half each in its own
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pandas imports pyarrow where it is

import hashlib
import json
import random
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from harness import end_of, reporting, start_child

from fitcore.store import Store


def digest_of(number: int) -> str:
    return hashlib.sha256(f"key {number}".encode()).hexdigest()


def contents(key: int, writer: int) -> dict[str, Any]:
    """What one writer has to say of a key: each something else, so that a mixture shows."""
    rng = np.random.default_rng([key, writer])
    values = rng.normal(size=200)
    return {
        "arrays": {"values": values, "sum": values.sum()},
        "attributes": {"writer": writer, "sum": float(values.sum())},
        "spec": {"key": key},
    }


def seen(store: Store, key: int) -> dict[str, Any] | None:
    """What a reader finds of a key, all parts of which must be of one writer."""
    record = store.lookup(digest_of(key))
    if record is None:
        return None
    arrays = record.arrays()
    writer = record.attributes["writer"]
    expected = contents(key, writer)
    is_whole = np.array_equal(arrays["values"], expected["arrays"]["values"]) and record.attributes == expected["attributes"]
    return {"writer": writer, "sha256": record.sha256, "is_whole": bool(is_whole and record.spec == {"key": key})}


def work(folder: Path, number: int, n_keys: int, begin: float) -> None:
    """Publish every key, after a look at some key, and note what was there after it."""
    store = Store(folder / "store")
    rng = random.Random(number)
    own_order = list(range(n_keys // 2, n_keys))
    rng.shuffle(own_order)
    answers = []
    time.sleep(max(begin - time.monotonic(), 0.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for key in [*range(n_keys // 2), *own_order]:
            other = rng.randrange(n_keys)
            answers.append([other, seen(store, other)])
            store.commit(digest_of(key), **contents(key, number))
            answers.append([key, seen(store, key)])
        answers += [[key, seen(store, key)] for key in range(n_keys)]
    (folder / f"answers{number}.json").write_text(json.dumps(answers))


def main(folder: Path, n_processes: int, n_keys: int) -> None:
    with reporting(what="processes that publish the same keys", processes=n_processes, keys=n_keys) as report:
        begin = time.monotonic() + 0.5
        pids = [start_child(lambda number=number: work(folder, number, n_keys, begin)) for number in range(n_processes)]
        codes = [end_of(pid) for pid in pids]
        report["failures"] += [f"process {number} ended with {code}" for number, code in enumerate(codes) if code]
        answers = [json.loads((folder / f"answers{number}.json").read_text()) for number, code in enumerate(codes) if code == 0]
        by_key: dict[int, set[str]] = {}
        found = [(key, answer) for some in answers for key, answer in some if answer is not None]
        for key, answer in found:
            by_key.setdefault(key, set()).add(answer["sha256"])
            if not answer["is_whole"]:
                report["failures"].append(f"a torn read of key {key}")
        report["failures"] += [f"key {key} was read with {len(hashes)} contents" for key, hashes in by_key.items() if len(hashes) != 1]
        store = Store(folder / "store")
        report["failures"] += [f"verify: {finding.kind} {finding.path.name}" for finding in store.verify()]
        published = len(list((folder / "store").glob("results/*/*/result.h5")))
        winners = {answer["writer"] for _, answer in found}
        report |= {"count": n_processes * n_keys, "published": published, "read": len(found), "winners": len(winners)}


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, processes, keys]:
            main(Path(folder), int(processes), int(keys))
        case _:
            sys.exit(__doc__)
