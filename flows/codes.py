"""The exit codes of the command line."""

from flows.early import INTERRUPTED

DONE, SOME_FAILED, WRONG_INPUT, INTERRUPTED_TWICE = 0, 1, 2, 130

__all__ = ["DONE", "INTERRUPTED", "INTERRUPTED_TWICE", "SOME_FAILED", "WRONG_INPUT"]
