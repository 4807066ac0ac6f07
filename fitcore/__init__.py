"""fitcore fits models to data by chains of searches: nested samplers, stored results, each stage seeded by the one before.

Everything public is here, as `__init__.pyi` lists it. A name is imported when it is first used, so that reading a table of results waits
for no JAX.
"""

import lazy_loader

from fitcore import precision as _precision  # before the first JAX array, whoever makes it

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
del _precision
