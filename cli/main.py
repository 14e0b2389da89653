"""The program `patlm`. One module a command; commands import what they need when they run."""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from . import adapters, doctor, models
from .bench import commands as bench
from .output import escape_unprintable
from .runs import compare, demo, episodes, feedback, inspect, retrieve, write
from .texts import forget, index, ingest, reembed, stats, texts
from .training import collect, rounds, train, train_encoder

EXTRA_OF_COMMAND = {
    "bench": "bench",
    **dict.fromkeys(("train", "train-encoder", "collect", "rounds", "index"), "train"),
}
"""The extra with all packages of a command; others need what their models and stores need."""


class Program(TyperGroup):
    """All commands; a missing extra, and a console that cannot show a text, are no tracebacks."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command."""
        escape_unprintable()
        return super().main(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command of a context."""
        try:
            return super().invoke(ctx)
        except ImportError as error:
            from ..models.extras import missing_extra
            from .output import fail

            command = str(ctx.invoked_subcommand)
            missing = missing_extra(error, f"`patlm {command}`", EXTRA_OF_COMMAND.get(command))
            if missing is None:
                raise
            fail(str(missing))


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
    """Refuse a PATLM_ variable that does not exist, whatever the command."""
    from ..graph.settings import check_variables
    from .output import errors_as_lines

    with errors_as_lines():
        check_variables(os.environ)


COMMANDS = (
    demo,
    compare,
    ingest,
    write,
    retrieve,
    inspect,
    stats,
    feedback,
    forget,
    reembed,
    train,
    train_encoder,
    collect,
    rounds,
    index,
    doctor,
)
for command in COMMANDS:
    command.register(app)
app.add_typer(models.app, name="models")
app.add_typer(adapters.app, name="adapters")
app.add_typer(texts.app, name="texts")
app.add_typer(episodes.app, name="episodes")
app.add_typer(bench.app, name="bench")

if __name__ == "__main__":
    app()
