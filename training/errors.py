"""What can go wrong when a role's adapter is trained, each with what to do about it."""

from __future__ import annotations

from ..evaluation.errors import TrainingError


class ConfigRefused(TrainingError):
    """A setting that can't be, or settings that don't go together."""


class EpisodesUnfit(TrainingError):
    """Episodes that can't be trained on together, or at all."""


class NothingToTrainOn(EpisodesUnfit):
    """No sample, pair or group is left of the episodes."""


class AdapterNotTrained(TrainingError):
    """The adapter is not what is being trained: inactive, frozen, or not the one resumed."""


class OtherRun(TrainingError):
    """A folder holds checkpoints of a run with other settings or data."""


class WrongWorldSize(TrainingError):
    """The number of processes is not the one that was asked for."""


class NotWritten(TrainingError):
    """Checkpoint or adapter could not be written; what was written before is untouched."""
