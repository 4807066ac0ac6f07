"""``python -m flows.worker_start PARENT THREADS``: the worker, tied to its parent before its imports, which take seconds."""

import runpy
import signal
import sys

from flows.processes import die_with_parent

die_with_parent(int(sys.argv[1]), signal.SIGKILL)  # nothing has begun yet that could be saved; the worker asks for a milder signal then
runpy.run_module("flows.worker", run_name="__main__")
