"""Sciences built on fitcore. None of them knows Prefect."""
