"""The base of every error that evaluation and training raise on purpose."""

from __future__ import annotations


class EvaluationError(RuntimeError):
    """A failure that the command line shows in one line: what was expected, what to do."""
