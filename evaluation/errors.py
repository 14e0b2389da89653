"""The base of every error that evaluation and training raise on purpose."""

from __future__ import annotations


class EvaluationError(RuntimeError):
    """What can go wrong when drafts are measured; told in one line, with what to do."""
