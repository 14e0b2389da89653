"""What can go wrong in training, and how it is told: in one line, with what to do."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """Base of everything that training raises on purpose."""


class TooFewAuthors(TrainingError):
    """There is too little to learn a style encoder from."""


class TooFewLinks(TrainingError):
    """There is too little to train the user-topic graph on."""
