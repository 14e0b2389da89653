"""How sure a mean is: see `training/intervals.py`, which trainers decide by as well."""

from __future__ import annotations

from ..training.intervals import RESAMPLES, interval

__all__ = ["RESAMPLES", "interval"]
