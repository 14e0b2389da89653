"""The program `patlm`. One module a command; it is imported when the command is called.

So the help of the program and every command start without the others: the help takes 0.3 s of CPU,
with all of them 0.9 s. Commands import what they need when they run.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "demo": ("runs.demo", "Write for three people of the sample corpus."),
    "compare": ("runs.compare", "Write for the same requests in several ways."),
    "ingest": ("texts.ingest", "Add the texts of a file to a store."),
    "write": ("runs.write", "Write a text for a user in the user's style."),
    "retrieve": ("runs.retrieve", "Show the evidence that both sides would read."),
    "show": ("runs.inspect", "Show evidence, summaries and drafts of a run."),
    "view": ("runs.inspect", "Show recorded runs as a page."),
    "stats": ("texts.stats", "Count texts, users and topics of a store."),
    "audit": ("audit", "Show who has texts in a store, copies of them, and orphans."),
    "feedback": ("runs.feedback", "Record what became of a draft."),
    "forget": ("texts.forget", "Remove a user from everything, and prove it."),
    "reembed": ("texts.reembed", "Embed a store again with another style encoder."),
    "train": ("training.train", "Train one role's adapter on episodes."),
    "train-encoder": ("training.train_encoder", "Train a style encoder on a store's texts."),
    "collect": ("training.collect", "Draw candidates for known texts as episodes."),
    "rounds": ("training.rounds", "Train all roles in rounds."),
    "index": ("texts.index", "Show, train and store the user-topic graph."),
    "doctor": ("doctor", "Check versions, models, cache and store."),
    "texts": ("texts.texts", "List or remove single texts of a person."),
    "models": ("models", "Install, list, remove and suggest models."),
    "adapters": ("adapters", "Manage the trained adapters of each role."),
    "episodes": ("runs.episodes", "Check, show, count and export records of runs."),
    "bench": ("bench.commands", "Measure quality and speed."),
}
"""Module and short help of each command, in the order of the help."""

_UsageError: Any = typer.BadParameter.__base__  # click's, or typer's own copy of it

EXTRA_OF_COMMAND = {
    "bench": "bench",
    **dict.fromkeys(("train", "train-encoder", "collect", "rounds", "index"), "train"),
}
"""The extra with all packages of a command; others need what their models and stores need."""


class Commands(Mapping[str, Any]):
    """The commands of `COMMANDS` by name, made when they are asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            place, _ = COMMANDS[name]
            module = importlib.import_module(f".{place}", __package__)
            part = typer.Typer(rich_markup_mode=None)
            if hasattr(module, "app"):  # a group of commands
                part.add_typer(module.app, name=name)
            else:
                module.register(part)
            self._made |= typer.main.get_group(part).commands
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Program(TyperGroup):
    """All commands; a missing extra, and a console that cannot show a text, are no tracebacks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "commands": None})
        self.commands = Commands()  # type: ignore[assignment]  # it is only read

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the short help of each command, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command."""
        from .output import own_streams

        with own_streams():
            return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the program's own arguments."""
        with _wrong_usage_in_a_line():
            return super().make_context(*args, **extra)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; one that is empty, or not UTF-8, is refused by name.

        An empty one comes of a variable of the shell that is not set, and would mean something
        else: the sample corpus, the working folder, no limit.
        """
        for place, said in enumerate(args):
            name, gives, value = said.partition("=") if said[:2] == "--" else ("", "=", said)
            before = args[place - 1] if place else ""
            name = name or (before if before.startswith("-") else "an argument")
            if gives and not value.strip():
                raise typer.BadParameter("the value is empty", param_hint=name)
            try:
                said.encode()
            except UnicodeEncodeError:
                wrong = f"expected UTF-8, got {os.fsencode(said)[:80]!r}"
                raise typer.BadParameter(wrong, param_hint=name) from None
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command of a context."""
        try:
            with _wrong_usage_in_a_line(ctx):
                return super().invoke(ctx)
        except ImportError as error:
            from ..models.extras import missing_extra
            from .output import fail

            command = str(ctx.invoked_subcommand)
            missing = missing_extra(error, f"`patlm {command}`", EXTRA_OF_COMMAND.get(command))
            if missing is None:
                raise
            fail(str(missing))


@contextmanager
def _wrong_usage_in_a_line(ctx: Any = None) -> Iterator[None]:
    """Say what is wrong with the arguments, and where help is, on one line."""
    try:
        yield
    except _UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help
            raise
        from .output import fail

        command = "patlm" if ctx is None else f"patlm {ctx.invoked_subcommand}"
        command = command if error.ctx is None else error.ctx.command_path
        fail(f"{error.format_message().rstrip('.')} (see `{command} --help`)", code=2)


app = typer.Typer(
    name="patlm",
    cls=Program,
    help="Personalised writing for users with few or no texts, with style and content from others.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def check_environment() -> None:
    """Refuse a PATLM_ variable that does not exist, and hold `PATLM_TRACING`, in any command.

    No library reports on us, either.
    """
    from ..graph.settings import Settings, check_variables
    from ..models.tracing import silence, switched_on
    from .output import errors_as_lines

    # Libraries of models tell their hub what is run; they read this when they are imported.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with errors_as_lines():
        check_variables(os.environ)
        if switched_on(os.environ):  # also for calls of models outside of a graph, as a judge's
            silence(Settings().tracing)


if __name__ == "__main__":
    app()
