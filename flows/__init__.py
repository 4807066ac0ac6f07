"""Prefect flows and the command line. Only this package and `deploy` know Prefect; the work itself is done by `fitcore` and `pipelines`."""

from flows import early

del early  # it is imported for what it does first of all: see there
