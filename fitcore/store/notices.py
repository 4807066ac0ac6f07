"""The store's warnings, each with a class of its own so that it can be filtered or counted. No logic lives here."""


class StoreWarning(UserWarning):
    """Something about the store that a user should know; nothing was lost."""


class QuarantineWarning(StoreWarning):
    """A damaged file was moved to ``quarantine/``; what it held is computed again."""


class CheckpointWarning(StoreWarning):
    """A checkpoint could not be used, or not the newest one; work is repeated."""
