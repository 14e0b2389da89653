"""Options that several commands share, and parsers for their values."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from ..models.open import forms_of_names
from ..stores.errors import shortened

if TYPE_CHECKING:
    from ..graph.settings import Settings
    from ..stores.values import RatingScale


def one_of(option: str, said: str, known: Sequence[str]) -> str:
    """Return a value if it is one of the known ones.

    Raises:
        BadParameter: It is not.
    """
    if said not in known:
        said = f"expected one of {', '.join(known)}, got {shortened(said)}"
        raise typer.BadParameter(said, param_hint=option)
    return said


def finite(value: float) -> float:
    """Return a number; the callback of options whose range NaN and infinity would pass.

    Raises:
        BadParameter: It is NaN or infinite.
    """
    if not math.isfinite(value):
        raise typer.BadParameter(f"expected a number, got {value}")
    return value


def parts_of(said: str, option: str | None = None) -> list[str]:
    """Return the comma-separated parts of the value of an option.

    Raises:
        BadParameter: There are commas alone.
    """
    parts = [part.strip() for part in said.split(",") if part.strip()]
    if said and not parts:
        said = f"expected names separated by commas, got {shortened(said)}"
        raise typer.BadParameter(said, param_hint=option)
    return parts


def from_list(
    option: str, known: Callable[[], Iterable[str]], *, several: bool = False
) -> Callable[[Any], Any]:
    """Return a callback that refuses a value that is none of a list, before anything is opened.

    Args:
        option: The option's name.
        known: Returns the list, which may lie in a module that is imported when it is needed.
        several: Whether the value is a list with commas.
    """

    def check(said: Any) -> Any:
        for part in () if said is None else parts_of(said) if several else (said,):
            one_of(option, part, list(known()))
        return said

    return check


def _dtypes() -> Iterable[str]:
    from ..models.device import DTYPES

    return DTYPES


def _cleanings() -> Iterable[str]:
    from ..stores.datasets.cleaning import CLEANINGS

    return CLEANINGS


def _splits() -> Iterable[str]:
    from ..stores.datasets.splits import SPLITS

    return (*SPLITS, "all")


def _check_adapters(said: str) -> str:
    from ..stores.adapters.manifest import parse_name
    from ..stores.errors import InvalidAdapterName

    try:
        for name in () if said in ("none", "promoted") else parts_of(said):
            parse_name(name)
    except InvalidAdapterName as error:
        raise typer.BadParameter(f"{error}; or none, or promoted") from None
    return said


def _check_namespace(said: str) -> str:
    from ..stores.errors import InvalidFilter
    from ..stores.texts.filters import checked_namespace

    try:
        return checked_namespace(said)
    except InvalidFilter as error:
        raise typer.BadParameter(str(error)) from None


check_dtype = from_list("--dtype", _dtypes)
check_split = from_list("--split", _splits)

SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Random seed.")]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype", help="Number format of the model: auto, fp32 or bf16.", callback=check_dtype
    ),
]
CleanOption = Annotated[
    str,
    typer.Option(
        "--clean",
        help="Cleaning: more, replies, promotions, duplicates; comma-separated.",
        callback=from_list("--clean", _cleanings, several=True),
    ),
]
NamedAdaptersOption = Annotated[
    str,
    typer.Option(
        "--adapters",
        help="none, promoted, or role@step names, comma-separated.",
        callback=_check_adapters,
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="PATLM_STORE",
        help="Folder or object-store URI. Default: the sample corpus.",
        show_default=False,
    ),
]
NeededStoreOption = Annotated[
    str,
    typer.Option(
        "--store", envvar="PATLM_STORE", help="Folder or object-store URI.", show_default=False
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="PATLM_MODEL",
        help=f"{forms_of_names()}.",
        show_default="auto",
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        envvar="PATLM_BASE_URL",
        help="Server of a provider:model: http://host:port/v1.",
        show_default="the provider's own",
    ),
]
TraceOption = Annotated[
    str | None,
    typer.Option(
        "--trace", envvar="PATLM_TRACE", help="Folder for records of runs.", show_default=False
    ),
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", help="Tenant.", callback=_check_namespace)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

UserOption = Annotated[
    str, typer.Option("--user", help="Id of the user to write for.", show_default=False)
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="long, short, rating or free. Default: long with --title, short with --text, "
        "free with --instruction.",
        show_default=False,
    ),
]
TopicOption = Annotated[
    str | None, typer.Option("--topic", help="Topic id of the store, such as a product.")
]
TitleOption = Annotated[str | None, typer.Option("--title", help="Title of the text to write.")]
TextOption = Annotated[
    str | None, typer.Option("--text", help="Text to write a title or rating for.")
]
InstructionOption = Annotated[
    str | None, typer.Option("--instruction", help="What to write, as a free instruction.")
]
KOption = Annotated[
    int | None,
    typer.Option(
        "--k", "-k", help="Number of evidence texts per trajectory.", show_default="by the budget"
    ),
]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        envvar="PATLM_BUDGET",
        help="Length of prompts and draft: auto, small, medium, large.",
        show_default="auto",
    ),
]
ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode",
        help="own_quoted, summaries or quoted: what the draft is written from.",
        show_default="by the budget",
    ),
]
SidesOption = Annotated[
    str | None,
    typer.Option(
        "--sides", help="Whose texts are used: both, style, preference.", show_default="both"
    ),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", help="Maximum tokens of the draft.", show_default="by the budget"),
]
DraftsOption = Annotated[
    int,
    typer.Option(
        "--drafts",
        min=1,
        max=16,
        help="Drafts of an iteration, of which the best is kept; with more than one it is shown "
        "when it is chosen.",
    ),
]
RatingScaleOption = Annotated[
    str,
    typer.Option(
        "--rating-scale",
        help="Scale of the ratings, as 1-10. Default: that of the format, or 1-5 if they fit.",
    ),
]


Options = TypeVar("Options")


def with_options(command: Callable[[Options], None], options: type[Options]) -> Callable[..., None]:
    """Return a command whose options are the fields of a dataclass.

    Args:
        command: Takes the options as one value; its docstring becomes the help text.
        options: A dataclass; each field is annotated with a `typer.Option`.
    """
    types = get_type_hints(options, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=types[field.name],
        )
        for field in fields(options)  # type: ignore[arg-type]
    ]
    return with_parameters(lambda **given: command(options(**given)), command.__doc__, parameters)


def with_parameters(
    command: Callable[..., None], help_text: str | None, parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """Return a command with the parameters that typer is to see."""

    def called(**given: Any) -> None:
        command(**given)

    called.__doc__ = help_text
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called


def tasks_of(said: str | None) -> list[Any]:
    """Return comma-separated tasks.

    Raises:
        BadParameter: One is unknown.
    """
    from ..evaluation.targets import TASKS

    parts = parts_of(said or "")
    if wrong := [part for part in parts if part not in TASKS]:
        raise typer.BadParameter(
            f"unknown task {', '.join(map(shortened, wrong))}: expected some of {', '.join(TASKS)}"
        )
    return parts


def task_of(said: str | None) -> Any:
    """Return one task, or None if none was given.

    Raises:
        BadParameter: It is unknown.
    """
    from ..evaluation.targets import TASKS

    return None if said is None else one_of("--task", said, TASKS)


def history_of(said: str) -> str:
    """Return one history setting.

    Raises:
        BadParameter: It is neither all nor a number.
    """
    if said != "all" and not said.isdecimal():
        raise typer.BadParameter(f"--history takes all or a number, got {shortened(said)}")
    return said


def scale_of(said: str) -> RatingScale | None:
    """Return a scale of ratings, or None for `auto`.

    Raises:
        BadParameter: It is none.
    """
    from ..stores.values import RatingScale

    if said == "auto":
        return None
    try:
        return RatingScale.parse(said)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rating-scale") from None


def histories_of(said: str) -> list[str]:
    """Return comma-separated histories: all, or numbers of own texts.

    Raises:
        BadParameter: One is neither, or there is none.
    """
    parts = parts_of(said)
    if not parts or not all(part == "all" or part.isdecimal() for part in parts):
        raise typer.BadParameter(
            f"--history takes all or numbers with commas, got {shortened(said)}"
        )
    return parts


def settings_of(**given: Any) -> Settings:
    """Return the settings, with a model's name for `auto`.

    Given values override the environment, None means not given.

    Raises:
        ModelError: The model is not installed, or none is.
    """
    from ..graph.settings import Settings
    from .model_choice import ready

    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    return settings.model_copy(update={"model": ready(settings.model, settings.dtype)})
