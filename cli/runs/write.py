"""`patlm write`: write for one user, and show the draft while it is generated."""

from __future__ import annotations

import re
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ..options import (
    BaseUrlOption,
    BudgetOption,
    DraftsOption,
    InstructionOption,
    JsonOption,
    KOption,
    MaxTokensOption,
    ModelOption,
    ModeOption,
    NamespaceOption,
    SidesOption,
    StoreOption,
    TaskOption,
    TextOption,
    TitleOption,
    TopicOption,
    TraceOption,
    UserOption,
    with_options,
)

if TYPE_CHECKING:
    from rich.live import Live

    from ...graph.events import DraftToken, Event
    from ...graph.personalizer import Personalizer
    from ...nodes.state import Request, Result


@dataclass(frozen=True)
class WriteOptions:
    """Options of `patlm write`."""

    user: UserOption
    task: TaskOption = None
    topic: TopicOption = None
    title: TitleOption = None
    text: TextOption = None
    instruction: InstructionOption = None
    language: Annotated[str, typer.Option(help="Language of the draft.")] = "en"
    k: KOption = None
    mode: ModeOption = None
    sides: SidesOption = None
    max_tokens: MaxTokensOption = None
    drafts: DraftsOption = 1
    iterations: Annotated[int, typer.Option(help="Maximum number of iterations.")] = 2
    deadline: Annotated[float, typer.Option(help="Time limit in seconds.")] = 120.0
    store: StoreOption = None
    model: ModelOption = None
    budget: BudgetOption = None
    base_url: BaseUrlOption = None
    trace: TraceOption = None
    namespace: NamespaceOption = "default"
    details: Annotated[
        bool, typer.Option("--details", help="Also print summaries and evidence.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the text.")] = False
    json: JsonOption = False

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of the request."""
        return {
            "user_id": self.user,
            "task": self.task,
            "topic_id": self.topic,
            "title": self.title,
            "text": self.text,
            "instruction": self.instruction,
            "language": self.language,
        }

    @property
    def context(self) -> dict[str, Any]:
        """Settings of the run."""
        return {
            "k": self.k,
            "mode": self.mode,
            "sides": self.sides,
            "max_tokens": self.max_tokens,
            "drafts": self.drafts,
            "max_iterations": self.iterations,
            "deadline_s": self.deadline,
        }


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("write")(with_options(write, WriteOptions))


def write(options: WriteOptions) -> None:
    """Write a text for USER in the user's style."""
    from ...graph.personalizer import Personalizer
    from ...graph.request import read_context_fields, read_fields
    from ..output import emit_json, errors_as_lines, run

    with errors_as_lines():  # before the models are loaded, which takes seconds
        request = read_fields(options.fields)
        read_context_fields(options.context)
    loud = not options.quiet
    screen = Screen(request, drafts=loud and not options.json, progress=loud)

    async def main() -> Result:
        parts = Personalizer(
            options.store,
            model=options.model,
            budget=options.budget,
            base_url=options.base_url,
            trace=options.trace,
            namespace=options.namespace,
        )
        prepared = opened(parts)
        with screen:
            screen.says("opening store and model")
            async with prepared as p:
                events = p.astream(**request.model_dump(), **options.context)
                async with aclosing(events):  # the reader of stdout may go away in the middle
                    async for event in events:
                        screen.show(event)
        return screen.result

    result = run(main)
    if options.json:
        emit_json(result.model_dump())
    else:
        screen.end()
        show_end(result, quiet=options.quiet, details=options.details)


def opened(personalizer: Personalizer) -> Personalizer:
    """Return the personalizer; the model that serves is told and converted first.

    Raises:
        NoSuchStore: The store does not exist; a mistyped name must not create an empty one.
    """
    from ...stores.texts.connection import check_exists
    from ..model_choice import ready

    if personalizer.settings.store is not None:
        check_exists(personalizer.settings.store)
    settings = personalizer.settings
    model = ready(settings.model, settings.dtype)
    personalizer.settings = settings.model_copy(update={"model": model})
    return personalizer


LEAST_SAID = 0.01
"""Smallest share that is said to be cut."""

_PREAMBLE = re.compile(r"\W*(sure|here|certainly|of course|okay|absolutely)\b[^\n]{0,80}", re.I)
"""The beginning of a draft that may turn out to be a preamble, which is no part of it."""


class Screen:
    """Shows a run while it goes on: drafts on stdout, the nodes at work on stderr.

    A second draft gets a heading. The draft that is kept stands last: `end` prints it again if
    another one, or another form of it, was printed last.

    Args:
        request: What is written for.
        drafts: Whether to print drafts as they are generated.
        progress: Whether to show the nodes at work, if stderr is a terminal.
    """

    def __init__(self, request: Request, *, drafts: bool, progress: bool) -> None:
        from ..output import stderr

        self._request, self._drafts = request, drafts
        self._progress = progress and stderr.redraws
        self._status: Live | None = None
        self._nodes: list[str] = []
        self._iteration, self._attempt, self._answer, self._shown = 0, 1, "", ""
        self.result: Result

    def __enter__(self) -> Screen:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove what shows the progress; after an error, end the line of the draft."""
        from ..output import echo

        self._clear()
        if kind is not None and self._shown:
            echo()

    def says(self, doing: str) -> None:
        """Show what is being done."""
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        from ..output import stderr

        if not self._progress:
            return
        shown = Spinner("line", Text(doing))  # plain ASCII
        if self._status is None:
            self._status = Live(shown, console=stderr, transient=True)
            self._status.start(refresh=True)
        else:
            self._status.update(shown, refresh=True)

    def show(self, event: Event) -> None:
        """Show an event of the run, or keep its result."""
        from ...graph.events import DraftToken, NodeStart, NodeUpdate

        if isinstance(event, DraftToken):
            if self._drafts:
                self._clear()
                self._add(event)
        elif isinstance(event, NodeStart):
            self._nodes.append(event.node)
            self.says(", ".join(self._nodes))
        elif isinstance(event, NodeUpdate):
            self._nodes = [node for node in self._nodes if node != event.node]
        else:
            self.result = event

    def end(self) -> None:
        """End the draft on the screen with the text of the result."""
        from ...models.sanitise import visible
        from ..output import echo

        text = self.result.text or "(empty)"
        if not self._drafts:
            echo(self.result.text)
        elif self._shown == visible(text):
            echo()
        elif self._shown or self._iteration > 1:
            echo(f"\n\nkept:\n{text}")
        else:
            echo(text)

    def _add(self, token: DraftToken) -> None:
        """Print what a token adds to the draft.

        The draft is what is read from the whole answer so far. It may also get shorter, by a
        closing quotation mark for example: then `end` prints the whole.
        """
        from ...models.sanitise import visible
        from ...nodes.integrate import read_draft
        from ..output import echo

        if (token.iteration, token.attempt) != (self._iteration, self._attempt):
            if self._shown:
                again = ", once more" if token.attempt > 1 else ""
                echo(f"\n\ndraft {token.iteration}{again}:")
            self._iteration, self._attempt = token.iteration, token.attempt
            self._answer, self._shown = "", ""
        self._answer += token.text
        draft = visible(read_draft(self._answer, self._request)[0])
        if draft.startswith(self._shown) and not _PREAMBLE.fullmatch(draft):
            echo(draft.removeprefix(self._shown), nl=False)
            self._shown = draft

    def _clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def show_end(result: Result, *, quiet: bool, details: bool) -> None:
    """Print what was cut, borrowed and abstained, how the run ended, and warnings."""
    from ..output import echo, show_details, stdout, warn

    for warning in result.warnings:
        warn(warning)
    if quiet:
        return
    echo()
    if details:
        show_details(result)
    people = borrowed_from(result)
    borrowed = [f"{side} from {', '.join(names)}" for side, names in people.items()]
    silent = [side for side, said in result.summaries.items() if said is None]
    for name, said in (
        ("cut", cut_of(result)),
        ("borrowed", "; ".join(borrowed) or "nothing"),
        ("abstained", ", ".join(silent) or "no side"),
    ):
        stdout.print(f"[dim]{name + ':':<10} {escape(said)}[/dim]")
    count = "1 iteration" if result.iterations == 1 else f"{result.iterations} iterations"
    stdout.print(
        f"[dim]{count}, stopped: {result.stop_reason}; history: {result.cold_start}; "
        f"{result.calls} calls, {result.tokens_in:,} + {result.tokens_out:,} tokens, "
        f"{result.timings.get('total', 0.0):.1f} s; run {result.run_id[:12]}[/dim]"
    )


def cut_of(result: Result) -> str:
    """Say what was cut to fit the prompts."""
    cut = [f"{share:.0%} of {part}" for part, share in result.cut.items() if share >= LEAST_SAID]
    return ", ".join(cut) or "nothing"


def borrowed_from(result: Result) -> dict[str, list[str]]:
    """Return whose texts each side's prompt showed; a side that showed none is left out."""
    read = {side: result.evidence[side][:number] for side, number in result.shown.items()}
    return {
        side: list(dict.fromkeys(piece.user_id for piece in pieces))
        for side, pieces in read.items()
        if pieces
    }
