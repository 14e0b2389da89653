"""The base class of all intended errors of evaluation and training."""

from __future__ import annotations

from ..stores.errors import CodedError


class EvaluationError(CodedError):
    """An error that the command line shows in one line: what was expected and what to do."""

    code = "evaluation_failed"
