"""What a request must not be shown: the requester's own texts, the target, the request's own text.

In short and rating tasks the text itself stands in the request. Whoever else posted it again would
hand back what is asked for, or give four pieces of evidence that say what is known already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from .near_copies import Mask, copies_of, shingles_of
from .records import History
from .rows import terms_of_rows
from .words import Terms, bare, terms_of


@dataclass(frozen=True)
class Unseen:
    """Tells for one request which texts may be shown.

    Attributes:
        history: The requester, whose own texts are left out as are copies of their targets.
        text: The request's own text; "" where it has none (a title is no text to be copied).
    """

    history: History
    text: str = ""

    @cached_property
    def terms(self) -> Terms:
        """Terms of the request's own text."""
        return terms_of(self.text)

    @cached_property
    def _hidden(self) -> frozenset[str]:
        return self.history.hidden_bodies | ({bare(self.text)} - {""})

    def shown(self, users: Sequence[str], bodies: Sequence[str]) -> Mask:
        """Return which texts are neither the requester's own nor the same as a hidden one.

        Args:
            users: Author of each text.
            bodies: Bare body of each text.
        """
        own, hidden = self.history.user_id, self._hidden
        pairs = zip(users, bodies, strict=True)
        return np.fromiter((u != own and b not in hidden for u, b in pairs), bool, len(users))

    def rows(self, rows: pa.Table) -> pa.Table:
        """Return those rows of the table `texts` that may be shown.

        Args:
            rows: With the columns `user_id`, `body` and `terms`.
        """
        bodies = [bare(body) for body in rows.column("body").to_pylist()]
        shown = self.shown(rows.column("user_id").to_pylist(), bodies)
        if self.text and rows.num_rows:
            terms, starts = terms_of_rows(rows)
            shown &= ~copies_of(self.terms, shingles_of(terms, starts), starts)
        return rows if shown.all() else rows.filter(pa.array(shown))
