"""The errors of servers and databases that commands tell in words, apart from what raises them: to tell one, no client is imported."""


class ServerError(RuntimeError):
    """A Prefect server could not be started or reached."""


class DatabaseError(ValueError):
    """A database cannot be used."""
