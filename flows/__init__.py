"""Prefect flows and the command line. Only this package knows Prefect; the work itself is done by `fitcore` and `pipelines`."""
