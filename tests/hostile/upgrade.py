"""Run by path, in processes of its own: a chain is begun with one version of a library and gone on with with another.

python upgrade.py FOLDER begin LIBRARY VERSION     stop in the second stage, with the work saved
python upgrade.py FOLDER end LIBRARY VERSION       go on; what is read, and what is said, as JSON
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import warnings
from pathlib import Path

import smallchain

import fitcore as fc


def main(folder: Path, what: str, library: str, version: str) -> None:
    real = importlib.metadata.version
    importlib.metadata.version = lambda name: version if name == library else real(name)
    if what == "begin":
        smallchain.run_pipeline_until_saved(folder)
        return
    store = fc.Store(folder)
    first = store.lookup(store.table()[0]["digest"])
    assert first is not None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        smallchain.run_chain(folder)
    told = [[warning.category.__name__, str(warning.message)] for warning in caught]
    print(json.dumps({"read": len(first.arrays()["parameters"]), "was": first.provenance["versions"][library], "told": told}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
