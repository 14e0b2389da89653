"""`patlm train-encoder`: train a style encoder on the texts of one store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import JsonOption, NamespaceOption, NeededStoreOption, SeedOption

if TYPE_CHECKING:
    from ...stores.datasets.splits import Splits
    from ...stores.types import Text
    from ...training.style_encoder.train import StyleFit, StyleSettings


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train-encoder")(train_encoder)


def train_encoder(
    store: NeededStoreOption,
    out: Annotated[Path, typer.Option(help="Folder for the encoder.")],
    namespace: NamespaceOption = "default",
    epochs: Annotated[int, typer.Option(min=0, help="Maximum number of epochs.")] = 30,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Train a style encoder on the texts of STORE's train split."""
    from ...stores.copies.ledger import note_copy
    from ...stores.files import make_folder
    from ...training.style_encoder.train import StyleSettings
    from ..output import emit_json, errors_as_lines, run, stdout

    began = time.monotonic()
    texts, splits = run(lambda: _read(store, namespace))
    with errors_as_lines():
        fit = _train(texts, splits, StyleSettings(epochs=epochs, seed=seed))
        about = _about(fit, splits, seed)
        note_copy("learned", out, of=store)
        fit.encoder.save(make_folder(out), about)
    found = {
        "encoder": str(out),
        "version": fit.encoder.version,
        **about,
        "seconds": round(time.monotonic() - began, 1),
    }
    if json:
        emit_json(found)
        return
    stdout.print(
        f"{fit.pairs} positives of {fit.authors} people; the encoder is in {out}", markup=False
    )
    if fit.gate:
        stdout.print(
            f"triplet accuracy on people of gate: {fit.gate[0]:.3f} before training, "
            f"{fit.gate[fit.kept]:.3f} after"
        )
    else:
        stdout.print("gate has nobody to measure on: all epochs were run")


async def _read(store: str, namespace: str) -> tuple[list[Text], Splits]:
    from ...stores.datasets.splits import Splits, find_splits_file, load_splits
    from ...stores.texts.store import TextStore

    async with TextStore.open_existing(store) as opened:
        texts = await opened.shared_texts(namespace)
    kept = find_splits_file(store)
    return texts, Splits() if kept is None else load_splits(kept, namespace)


def _train(texts: list[Text], splits: Splits, settings: StyleSettings) -> StyleFit:
    from ...training.style_encoder.data import split_for_style
    from ...training.style_encoder.train import train_style
    from ..model_choice import progress_bar

    train, gate = split_for_style(texts, splits)
    with progress_bar() as report:
        report(0.0, f"counting {len(train)} texts")

        def progress(epoch: int, accuracy: float | None) -> None:
            right = "" if accuracy is None else f", gate {accuracy:.3f}"
            report(epoch / settings.epochs, f"epoch {epoch}{right}")

        return train_style(train, gate, settings, progress=progress)


def _about(fit: StyleFit, splits: Splits, seed: int) -> dict[str, Any]:
    return {
        "authors": fit.authors,
        "pairs": fit.pairs,
        "gate": [round(accuracy, 4) for accuracy in fit.gate],
        "kept": fit.kept,
        "split": splits.fingerprint,
        "seed": seed,
    }
