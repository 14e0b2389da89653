"""Random histories of several tenants on one store, and leaks that must be seen in them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import histories, history
from patlm.graph import open as opening
from patlm.graph import request
from patlm.stores.texts.store import TextStore
from patlm.stores.types import Text
from store_fixtures import cheap_encoders

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: Patch) -> None:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)


@pytest.mark.parametrize("count", [10, pytest.param(500, marks=pytest.mark.slow)])
def test_nothing_of_one_is_seen_by_another(count: int) -> None:
    seen, crossings = histories(count, seed=0)
    assert crossings == []
    assert seen["requests"] >= 8 * count
    assert seen["marks and ids looked at"] > 100 * count


def share_all(patch: Patch) -> None:
    take = request.take_new_texts

    async def taken(*given: Any) -> list[Text]:
        return [replace(each, shared=True) for each in await take(*given)]

    patch.setattr(request, "take_new_texts", taken)


def mix_tenants(patch: Patch) -> None:
    own = TextStore.history

    async def history_of_left(self: TextStore, _: str, *given: Any, **more: Any) -> Any:
        return await own(self, "left", *given, **more)

    patch.setattr(TextStore, "history", history_of_left)


LEAKS: dict[str, Callable[[Patch], None]] = {
    "another person's private text": share_all,
    "of another namespace": mix_tenants,
}


@pytest.mark.parametrize("says", LEAKS)
def test_a_leak_is_seen(tmp_path: Path, monkeypatch: Patch, says: str) -> None:
    LEAKS[says](monkeypatch)
    made = asyncio.run(history(tmp_path, seed=0))
    assert any(says in each and "a result of" in each for each in made.crossings)
