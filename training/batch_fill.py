"""How full a model's batches were: rows generated / (batches x row limit), without the last one."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..models.batch_report import BatchReport
from ..models.scheduling import BatchLimits


@dataclass
class BatchFill:
    """A `models.batch_report.Watch` that counts the rows of each batch.

    Attributes:
        rows: Of each batch that has run, in order.
    """

    rows: list[int] = field(default_factory=list)

    def __call__(self, report: BatchReport) -> None:
        """Take note of a batch."""
        self.rows.append(sum(work.rows for work in report.work))

    def share(self, limit: int = BatchLimits().rows) -> float | None:
        """Return how full they were, 0 to 1; None where there were less than two.

        The last batch is left out: nobody is there to fill it.

        Args:
            limit: Rows that a batch may have.
        """
        whole = self.rows[:-1]
        return sum(whole) / (len(whole) * limit) if whole else None
