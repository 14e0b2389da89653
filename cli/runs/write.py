"""`patlm write`: write for one user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import (
    BaseUrlOption,
    BudgetOption,
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
)

if TYPE_CHECKING:
    from ...graph.personalizer import Personalizer
    from ...nodes.state import Result


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("write")(write)


def write(
    user: UserOption,
    task: TaskOption = None,
    topic: TopicOption = None,
    title: TitleOption = None,
    text: TextOption = None,
    instruction: InstructionOption = None,
    language: Annotated[str, typer.Option(help="Language of the draft.")] = "en",
    k: KOption = None,
    mode: ModeOption = None,
    sides: SidesOption = None,
    max_tokens: MaxTokensOption = None,
    iterations: Annotated[int, typer.Option(help="Maximum number of iterations.")] = 2,
    deadline: Annotated[float, typer.Option(help="Time limit in seconds.")] = 120.0,
    store: StoreOption = None,
    model: ModelOption = None,
    budget: BudgetOption = None,
    base_url: BaseUrlOption = None,
    trace: TraceOption = None,
    namespace: NamespaceOption = "default",
    json: JsonOption = False,
) -> None:
    """Write a text for USER in the user's style."""
    from ...graph.personalizer import Personalizer
    from ...graph.request import read_context_fields, read_fields
    from ..output import emit_json, errors_as_lines, run, show_result

    fields = {
        "user_id": user,
        "task": task,
        "topic_id": topic,
        "title": title,
        "text": text,
        "instruction": instruction,
        "language": language,
    }
    by_budget = {"k": k, "mode": mode, "sides": sides, "max_tokens": max_tokens}
    settings = {**by_budget, "max_iterations": iterations, "deadline_s": deadline}
    with errors_as_lines():  # before the models are loaded, which takes seconds
        request = read_fields(fields)
        read_context_fields(settings)

    async def main() -> Result:
        models: dict[str, Any] = {"model": model, "base_url": base_url, "budget": budget}
        parts = Personalizer(store, trace=trace, namespace=namespace, **models)
        async with opened(parts) as p:
            (result,) = await p.abatch([request], **settings)
            return result

    result = run(main)
    if json:
        emit_json(result.model_dump())
    else:
        show_result(result)


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
