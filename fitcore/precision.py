"""Double precision for JAX from its first array on, for programs that import fitcore and have not touched anything of it that needs JAX.

Where JAX is there already it is told at once; otherwise its own variable of the environment tells it when it comes, here and in child
processes. Modules that import JAX themselves import `fitcore.backend`.
"""

import os
import sys
from importlib import import_module

if "jax" in sys.modules:  # asked only: nothing is taken from there
    import_module("fitcore.backend")
else:
    os.environ["JAX_ENABLE_X64"] = "1"
