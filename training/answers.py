"""Answers of language models, kept on disk: none is paid for twice."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from .errors import TrainingError


class AnswersLost(TrainingError):
    """An answer can't be kept or read; what was kept before is still there."""


class Answers:
    """Answers by key, in one SQLite file that several processes may share.

    Args:
        file: Made where there is none; None: in memory, for this process alone.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(":memory:" if file is None else file, timeout=60)
            self._table.execute("PRAGMA journal_mode=WAL")
            self._table.execute("PRAGMA synchronous=NORMAL")
            self._table.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL)"
            )
        except (sqlite3.Error, OSError) as error:
            raise AnswersLost(self._say(error)) from error

    def get(self, key: str) -> dict[str, Any] | None:
        """Return an answer, or None.

        Raises:
            AnswersLost: The file can't be read.
        """
        try:
            row = self._table.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise AnswersLost(self._say(error)) from error
        return None if row is None else json.loads(row[0])

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keep an answer; the one that is there stays.

        Raises:
            AnswersLost: The file can't be written.
        """
        try:
            with self._table:
                self._table.execute(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?)",
                    (key, json.dumps(answer, ensure_ascii=False)),
                )
        except sqlite3.Error as error:
            raise AnswersLost(self._say(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._table.close()

    def _say(self, error: Exception) -> str:
        return (
            f"answers of the language model can't be kept in {self._file}: {error}; make room, or "
            "name another folder by --cache, and run again: what is finished is not done twice"
        )
