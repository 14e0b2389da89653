"""What options say, read: lists with commas, tasks, histories, the settings of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ..graph.settings import Settings


def parts_of(said: str) -> list[str]:
    """Return what stands between commas."""
    return [part.strip() for part in said.split(",") if part.strip()]


def one_of(option: str, said: str, known: tuple[str, ...]) -> str:
    """Return what was said, if it is one of what is known.

    Raises:
        BadParameter: It is not.
    """
    if said not in known:
        raise typer.BadParameter(f"{option} takes one of {', '.join(known)}, got {said!r}")
    return said


def tasks_of(said: str | None) -> list[Any]:
    """Return the tasks that stand between commas.

    Raises:
        BadParameter: One is none.
    """
    from ..training.targets import TASKS

    parts = parts_of(said or "")
    if wrong := [part for part in parts if part not in TASKS]:
        raise typer.BadParameter(f"no task {', '.join(wrong)}: one of {', '.join(TASKS)}")
    return parts


def task_of(said: str | None) -> Any:
    """Return the one task that was said, or None.

    Raises:
        BadParameter: It is none.
    """
    from ..training.targets import TASKS

    return None if said is None else one_of("--task", said, TASKS)


def history_of(said: str) -> str:
    """Return the one history that was said.

    Raises:
        BadParameter: It is neither all nor a number.
    """
    if said != "all" and not said.isdecimal():
        raise typer.BadParameter(f"--history takes all or a number, got {said!r}")
    return said


def histories_of(said: str) -> list[str]:
    """Return the histories that stand between commas: all, or numbers of own texts.

    Raises:
        BadParameter: One is neither, or none is there.
    """
    parts = parts_of(said)
    if not parts or not all(part == "all" or part.isdecimal() for part in parts):
        raise typer.BadParameter(f"--history takes all or numbers with commas, got {said!r}")
    return parts


def settings_of(**given: Any) -> Settings:
    """Return the settings, with what was given in place of the environment's; None: it was not."""
    from ..graph.settings import Settings

    return Settings(**{name: value for name, value in given.items() if value is not None})
