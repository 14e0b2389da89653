"""What can go wrong in training, each with what to do about it."""

from __future__ import annotations

from ..evaluation.errors import EvaluationError


class TrainingError(EvaluationError):
    """Base of everything that training raises on purpose."""


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


class TooFewAuthors(TrainingError):
    """There is too little to learn a style encoder from."""


class TooFewLinks(TrainingError):
    """There is too little to train the user-topic graph on."""
