"""The base class of all intended errors of evaluation and training."""

from __future__ import annotations


class EvaluationError(RuntimeError):
    """An error that the command line shows in one line: what was expected and what to do."""
