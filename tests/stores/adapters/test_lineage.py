"""Parents, and whose texts trained what: a child carries the people of all it went on from."""

import json
import shutil
from pathlib import Path

import pytest
from adapter_fixtures import manifest
from patlm.stores.adapters.lineage import people_in, person_key
from patlm.stores.adapters.manifest import PEOPLE
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.datasets.splits import user_key
from patlm.stores.episodes.schema import Episode, EvidenceRecord, IterationRecord
from patlm.stores.errors import AdapterDamaged, AdapterNotFound
from raising import raises

ANN, BOB, CAT = (person_key("default", user) for user in ("ann", "bob", "cat"))


@pytest.fixture
def family(registry: AdapterRegistry, trained: Path) -> AdapterRegistry:
    """Four in a line, the second without a person of its own, and one beside them."""
    for name, parent, people in (
        ("style@1", None, [ANN]),
        ("style@2", "style@1", []),
        ("style@3", "style@2", [BOB]),
        ("preference@1", None, [BOB, CAT, BOB]),
    ):
        registry.add(trained, manifest(name, parent=parent), trained_on=people)
    return registry


def test_people_lie_beside_the_weights_sorted_and_under_a_checksum(family: AdapterRegistry) -> None:
    folder = family.root / "preference@1"
    assert (folder / PEOPLE).read_text() == "".join(f"{key}\n" for key in sorted([BOB, CAT]))
    assert PEOPLE in family.get("preference@1").manifest.files
    (folder / PEOPLE).write_text(f"{BOB}\n")
    with raises(AdapterDamaged, "adapter_file_changed", "preference@1", PEOPLE):
        family.get("preference@1")


def test_a_person_is_found_in_what_they_trained_and_in_all_that_went_on_from_it(
    family: AdapterRegistry,
) -> None:
    assert family.trained_on(ANN) == ("style@1", "style@2", "style@3")
    assert family.trained_on(BOB) == ("preference@1", "style@3")
    assert family.trained_on(person_key("default", "dan")) == ()
    assert family.people() == {
        "preference@1": {BOB, CAT},
        "style@1": {ANN},
        "style@2": {ANN},
        "style@3": {ANN, BOB},
    }


def test_people_of_two_tenants_are_two_and_a_key_names_nobody() -> None:
    keys = {person_key(*person) for person in (("a", "ann"), ("b", "ann"), ("a", "b"))}
    assert len(keys) == 3 and user_key("ann") not in keys
    assert person_key("a", "b\x1fc") != person_key("a\x1fb", "d")
    assert all(len(key) == 16 and not set(key) - set("0123456789abcdef") for key in keys)


@pytest.mark.parametrize("key", ["ann", ANN.upper(), ANN[:15], f"{ANN}\n", ""])
def test_what_is_no_key_is_not_kept(registry: AdapterRegistry, trained: Path, key: str) -> None:
    with raises(ValueError, None, repr(key)):
        registry.add(trained, manifest("style@1"), trained_on=[BOB, key])
    assert [path.name for path in registry.root.iterdir()] == [".adapters.lock"]


def test_without_a_record_nobody_can_tell(family: AdapterRegistry, trained: Path) -> None:
    family.add(trained, manifest("style@4", parent="style@3"))
    family.add(trained, manifest("style@5", parent="style@4"), trained_on=[CAT])
    unknown = [name for name, people in family.people().items() if people is None]
    assert unknown == ["style@4", "style@5"]
    assert family.trained_on(CAT) == ("preference@1", "style@5"), "what is known counts"
    assert family.trained_on(ANN)[-1] == "style@5"


def test_what_is_damaged_or_gone_is_not_taken_for_nobody(family: AdapterRegistry) -> None:
    shutil.rmtree(family.root / "style@2")
    assert family.people()["style@3"] is None, "who trained style@2?"
    assert family.trained_on(ANN) == ("style@1",) and "style@3" in family.trained_on(BOB)
    (family.root / "preference@1" / "manifest.json").unlink()
    (family.root / "style@1" / PEOPLE).write_text(f"{ANN}\n{CAT}\n")
    assert family.people() == dict.fromkeys(("preference@1", "style@1", "style@3"))
    assert family.trained_on(CAT) == ("preference@1", "style@1"), "what it still holds counts"
    (family.root / "style@1" / PEOPLE).write_bytes(b"\xff")
    assert family.trained_on(ANN) == ()


def test_a_chain_goes_from_child_to_first_parent(family: AdapterRegistry) -> None:
    chain = family.chain("style@3")
    assert (chain.names, chain.missing) == (("style@3", "style@2", "style@1"), None)
    assert chain.manifests[0] == family.get("style@3").manifest
    assert family.chain("preference@1").names == ("preference@1",)
    with raises(AdapterNotFound, "adapter_not_found", "style@9"):
        family.chain("style@9")


def test_a_missing_ancestor_is_said_and_not_fatal(family: AdapterRegistry) -> None:
    (family.root / "style@1" / "manifest.json").write_text("{")
    assert family.chain("style@3").names == ("style@3", "style@2")
    assert family.chain("style@3").missing == "style@1"
    shutil.rmtree(family.root / "style@2")
    assert (family.chain("style@3").names, family.chain("style@3").missing) == (
        ("style@3",),
        "style@2",
    )
    assert family.get("style@3").name == "style@3", "it serves all the same"
    with raises(AdapterDamaged, "invalid_manifest", "style@1"):
        family.chain("style@1")


def test_older_manifests_are_read(family: AdapterRegistry) -> None:
    path = family.root / "style@1" / "manifest.json"
    fields = json.loads(path.read_text())
    for newer in ("data", "task", "method"):
        assert fields.pop(newer) is None
    fields["files"].pop(PEOPLE)
    (family.root / "style@1" / PEOPLE).unlink()
    path.write_text(json.dumps(fields))
    assert family.get("style@1").manifest.task is None
    assert family.people()["style@1"] is None


def evidence(user_id: str) -> EvidenceRecord:
    return EvidenceRecord(text_id="0", user_id=user_id, body="words", score=0.5)


def test_the_people_of_an_episode_are_who_asked_and_who_lent() -> None:
    one, other = (
        Episode(
            run_id=asker,
            namespace=namespace,
            request={"user_id": asker, "task": "long"},
            own=(evidence(asker),),
            iterations=(
                IterationRecord(iteration=1, evidence={"style": (evidence(lender),)}),
                IterationRecord(iteration=2, evidence={"preference": (evidence("dan"),)}),
            ),
        )
        for asker, lender, namespace in (("ann", "bob", "default"), ("cat", "bob", "acme"))
    )
    assert people_in(one) == {ANN, BOB, person_key("default", "dan")}
    assert people_in(one, other) - people_in(one) == {
        person_key("acme", user) for user in ("cat", "bob", "dan")
    }
    assert people_in() == frozenset()
