"""Double precision for JAX, set before the first array is made. Every module that imports jax imports this one first.

Nothing is compiled and no device is started here.
"""

import jax

jax.config.update("jax_enable_x64", True)
