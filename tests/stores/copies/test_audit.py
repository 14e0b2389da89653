"""An audit counts what each person has, finds equal texts of several, copies and orphans."""

import asyncio
import json
import re
from pathlib import Path

from patlm.stores.copies.audit import audit, equal_texts, orphans
from patlm.stores.copies.ledger import note_copy
from processes import call, output
from store_fixtures import TEXTS, opened, text

LONG = "The kettle boils in two minutes and keeps the water hot for most of a long winter evening."
CAMPAIGN = [
    text("eve", "tea", LONG),
    text("eve2", "tea", LONG.upper()),
    text("eve3", "tea", f"Honestly: {LONG} Buy it!"),
    text("eve", "milk", LONG, shared=False),
    text("fay", "tea", "The kettle boils in two minutes, they say, but mine came broken."),
    text("gus", "tea", "Fine."),
    text("hal", "jam", "fine."),
    text("ida", "tea", LONG, namespace="acme"),
]


def test_nearly_equal_texts_of_several_people_are_one_group() -> None:
    found = equal_texts([*TEXTS, *CAMPAIGN])
    groups = [(each.namespace, each.authors, len(each.text_ids)) for each in found]
    assert groups == [
        ("default", ("eve", "eve2", "eve3"), 4),
        ("default", ("gus", "hal"), 2),
    ]
    assert equal_texts([]) == [] == equal_texts(TEXTS)


async def test_people_copies_and_orphans(tmp_path: Path) -> None:
    root, page = tmp_path / "store", tmp_path / "runs.html"
    async with opened(root) as store:
        await store.add([*TEXTS, *CAMPAIGN])
        await store.add([text("eve", "jam", "Call 123 or 456.")])
        await store.forget("default", "bob")
        await store.compact(threshold=0)
        await store.add([text("eve", "sun", "Once more.")])
        assert orphans(root) == [], "what a store makes itself belongs to it"
        for name in ("notes.txt", "texts.lance/data/0badc0de.lance", "old/rows.csv"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(b"left here")
        page.write_text("<p>")
        note_copy("page", page, of=root)
        digits = {"number": lambda body, language: len(re.findall(r"\d+", body))}
        found = await audit(store, str(root), personal=digits)
    eve = found.people[0]
    assert (eve.user_id, eve.texts, eve.shared, eve.personal) == ("eve", 5, 4, {"number": 2})
    assert "bob" not in {each.user_id for each in found.people}
    assert [(each.kind, each.path, each.of_store) for each in found.places] == [
        ("page", str(page), True)
    ]
    names = sorted(Path(each).relative_to(root).as_posix() for each in found.orphans)
    assert names == ["notes.txt", "old/rows.csv", "texts.lance/data/0badc0de.lance"]
    assert json.loads(json.dumps(found.as_dict()))["totals"]["people"] == len(found.people)


async def test_the_command_shows_it_to_people_and_programs(tmp_path: Path) -> None:
    async with opened(tmp_path / "store") as store:
        await store.add(TEXTS)
    found = await asyncio.to_thread(output, "audit", "--store", tmp_path / "store")
    assert found["totals"] == {"people": 5, "texts": 9, "shared": 9}
    assert found["equal"] == [] == found["orphans"] and "iban" in found["searched"]
    done = await asyncio.to_thread(call, "audit", "--store", tmp_path / "store", "--rows", 2)
    assert done.exit_code == 0, done.output
    assert "the first 2 of 5" in done.stdout and "phone" in done.stdout
