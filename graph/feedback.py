"""Store feedback on a draft beside the record of its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..nodes.errors import RequestError
from ..stores.errors import InvalidField


def give_feedback_on(
    trace: Path | None, namespace: str | None, run_id: str, said: Mapping[str, Any]
) -> None:
    """Store feedback on a run. Blocks.

    Args:
        trace: Folder of the records of runs.
        namespace: The tenant that the run must belong to; None for any.
        run_id: `Result.run_id`.
        said: Fields of `Feedback`.

    Raises:
        RequestError: No trace is kept, or a field or value is not valid.
        StoreError: The feedback is empty, or there is no such run.
    """
    from pydantic import ValidationError

    from ..stores.episodes.feedback import give_feedback
    from ..stores.episodes.schema import Feedback

    if trace is None:
        raise RequestError(
            "feedback is kept beside the records of runs, and none are kept: open it with "
            "Personalizer(trace=FOLDER), or set PATLM_TRACE"
        )
    try:
        feedback = Feedback(run_id=run_id.strip(), **said)
    except ValidationError as error:
        field = InvalidField.of(error)
        raise RequestError(field.with_value(), field=field.place) from None
    give_feedback(trace, feedback, namespace=namespace)
