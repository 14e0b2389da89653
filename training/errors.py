"""What can go wrong in training, each with what to do about it."""

from __future__ import annotations

from ..evaluation.errors import EvaluationError


class TrainingError(EvaluationError):
    """Base of everything that training raises on purpose."""

    code = "training_failed"


class ConfigRefused(TrainingError, ValueError):
    """A setting that can't be, or settings that don't go together."""

    code = "invalid_config"


class EpisodesUnfit(TrainingError):
    """Episodes that can't be trained on together, or at all."""

    code = "episodes_unfit"


class NothingToTrainOn(EpisodesUnfit):
    """No sample, pair or group is left of the episodes."""

    code = "nothing_to_train_on"


class AdapterNotTrained(TrainingError):
    """The adapter is not what is being trained: inactive, frozen, or not the one resumed."""

    code = "adapter_not_trained"


class OtherRun(TrainingError):
    """A folder holds checkpoints of a run with other settings or data."""

    code = "other_run"


class WrongWorldSize(TrainingError):
    """The number of processes is not the one that was asked for."""

    code = "wrong_world_size"


class NotWritten(TrainingError):
    """Checkpoint or adapter could not be written; what was written before is untouched."""

    code = "not_written"


class TooFewAuthors(TrainingError):
    """There is too little to learn a style encoder from."""

    code = "too_few_authors"


class TooFewLinks(TrainingError):
    """There is too little to train the user-topic graph on."""

    code = "too_few_links"
