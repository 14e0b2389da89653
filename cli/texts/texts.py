"""`patlm texts`: list what is held of a person, and remove single texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...stores.errors import shortened
from ..adapters import AdaptersOption
from ..options import JsonOption, NamespaceOption, NeededStoreOption, TopicOption, TraceOption
from .forget import CopiesOption, DryRunOption, EpisodesOption, say_nobody, show_receipt

if TYPE_CHECKING:
    from ...stores.types import Receipt, Text

app = typer.Typer(help="List what is held of a person, and remove single texts.")

UserArgument = Annotated[str, typer.Argument(help="Id of the person.", show_default=False)]


@app.command("list")
def list_of_person(
    user: UserArgument,
    store: NeededStoreOption,
    namespace: NamespaceOption = "default",
    topic: TopicOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only texts of this time or later, such as 2024-05-01.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="How many at most.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the texts that a store holds of USER, the latest first.

    Exits with 1 if there is no such user.
    """
    from ...graph.forget import read_user
    from ...graph.memory import Chosen
    from ...graph.open import look_into_store
    from ..output import emit_json, fail, run, warn

    async def main() -> tuple[str, Sequence[Text], Sequence[Text], Sequence[str]]:
        wanted, chosen = read_user(user), Chosen.read(topic, since, limit)
        async with look_into_store(store) as opened:
            held = await opened.texts_of(namespace, wanted)
            near = () if held else await opened.near_ids(namespace, wanted)
            return wanted, held, chosen.of(held), near

    wanted, held, shown, near = run(main)
    if json:
        texts = [_as_data(text) for text in shown]
        emit_json(
            {"user_id": wanted, "namespace": namespace, "texts": texts, "near_ids": list(near)}
        )
    if not held:
        fail(say_nobody(wanted, namespace, near))
    if not shown:
        warn(f"{shortened(wanted)} has texts, none of them of that topic and time")
    if not json:
        _show(shown)


@app.command("remove")
def remove(
    user: UserArgument,
    ids: Annotated[
        list[str],
        typer.Argument(
            help="Ids of the texts, as `patlm texts list` shows them, or of their source.",
            show_default=False,
        ),
    ],
    store: NeededStoreOption,
    namespace: NamespaceOption = "default",
    trace: TraceOption = None,
    episodes: EpisodesOption = None,
    copies: CopiesOption = None,
    adapters: AdaptersOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Remove single texts of USER from all places that `patlm forget` reaches: all, or none.

    Exits with 1 if there is no such text.
    """
    from ...graph.forget import Places, remove_texts
    from ...graph.open import look_into_store
    from ...graph.settings import adapters_folder
    from ...nodes.errors import RequestError
    from ..output import emit_json, fail, run

    folder = adapters_folder(adapters)
    places = Places(store, Path(trace) if trace else None, episodes or (), folder, copies or ())

    async def main() -> tuple[Receipt, bool]:
        async with look_into_store(store) as opened:
            try:
                receipt = await remove_texts(opened, namespace, user, ids, places, dry_run=dry_run)
            except RequestError as error:
                if error.field != "text_ids":
                    raise
                fail(str(error))  # no wrong usage: there is no such text, or there are several
            return receipt, bool(await opened.texts_of(namespace, receipt.user_id))

    receipt, known = run(main)
    if json:
        emit_json(receipt.as_dict())
    if not receipt.found:
        fail(f"{_say_no_text(receipt, ids, namespace, known=known)}; nothing was removed")
    if not json:
        show_receipt(receipt, folder)


def _say_no_text(receipt: Receipt, ids: Sequence[str], namespace: str, *, known: bool) -> str:
    if not known:
        return say_nobody(receipt.user_id, namespace, receipt.near_ids)
    return (
        f"{shortened(receipt.user_id)} has no text {', '.join(map(shortened, ids))} in namespace "
        f"{shortened(namespace)} of this store (`patlm texts list` shows the ids)"
    )


def _as_data(text: Text) -> Mapping[str, Any]:
    return {"text_id": text.text_id, **asdict(text)}


def _show(held: Sequence[Text]) -> None:
    from ..output import date_of, echo, shorten

    for text in held:
        when = "no date" if text.timestamp is None else date_of(text.timestamp)
        said = {
            f"topic {text.topic_id}": text.topic_id,
            f"rating {text.rating or 0:g}": text.rating is not None,
            f"id in its source {' and '.join(text.source_ids)}": text.source_id,
            "not shared": not text.shared,
            "target": text.target,
        }
        about = ", ".join([when, *(words for words, is_so in said.items() if is_so)])
        echo(f"{text.text_id}  {about}")
        echo(f"    {shorten(': '.join(filter(None, (text.title, text.body))))}")
