"""Near-copies: by hand, against plain sets, and what a request hides."""

import numpy as np
from patlm.stores.search.duplicates import (
    ALIKE,
    COPIED,
    LEAST_SHARED,
    EvidenceFilter,
    copies_among,
    copies_of,
    shingles_of,
    voices_among,
)
from patlm.stores.search.request import SearchRequest
from patlm.stores.search.selection import without_copies
from patlm.stores.search.words import bare, terms_of
from patlm.stores.types import History, Hit
from store_fixtures import text

ASKED = (
    "this kettle boils a full litre in two minutes and the handle stays cool while the lid is "
    "tight enough to pour with one hand"
)


def corpus(*texts: str) -> tuple[np.ndarray, np.ndarray]:
    terms = [terms_of(text) for text in texts]
    starts = np.cumsum([0, *map(len, terms)])
    return shingles_of(np.concatenate(terms), starts), starts


def test_cut_prolonged_and_retouched_texts_are_copies() -> None:
    words = ASKED.split()
    copies = [
        ASKED.upper() + "!",
        f"As the box says: {ASKED}. Mine took five, and the lid broke within a week of that.",
        " ".join(words[:18]),
        ASKED.replace("litre", "quart").replace("tight", "firm"),
    ]
    others = [
        "the handle of this kettle stays cool and the lid is tight, which I like a lot in a kettle",
        "boils a full litre in two minutes",  # a phrase of it, however like, is not the text
        "",
    ]
    found = copies_of(terms_of(ASKED), *corpus(*copies, *others))
    assert found.tolist() == [True] * 4 + [False] * 3


def test_a_request_of_few_words_has_no_copies() -> None:
    few = " ".join(ASKED.split()[: LEAST_SHARED + 1])
    assert not copies_of(terms_of(few), *corpus(ASKED, few)).any()
    assert not copies_of(terms_of(""), *corpus(ASKED)).any()


def test_both_ways_agree_with_plain_sets() -> None:
    random = np.random.default_rng(0)
    vocabulary = np.array([f"{one}{other}d" for one in "bdhl" for other in "aeiou"])
    texts = [" ".join(random.choice(vocabulary, random.integers(0, 60))) for _ in range(30)]
    for each in random.permutation(30)[:15]:  # texts that end in the beginning of another
        texts[each] += " " + texts[(each + 7) % 30][: 4 * int(random.integers(5, 40))]
    sets = [{*zip(*(text.split()[at:] for at in range(3)), strict=False)} for text in texts]
    shingles, starts = corpus(*texts)
    terms = np.concatenate([terms_of(text) for text in texts])
    bodies = [bare(text) for text in texts]
    found = copies_among(terms, starts, np.arange(30), bodies, np.zeros(30, np.int64))
    words = [set(text.split()) for text in texts]
    expected = 0
    for one in range(30):
        of_request = copies_of(terms_of(texts[one]), shingles, starts)
        for other in range(30):
            shared, least = len(sets[one] & sets[other]), min(len(sets[one]), len(sets[other]))
            copy = shared >= LEAST_SHARED and shared >= COPIED * least
            expected += copy and one != other
            assert of_request[other] == copy
            same = texts[one] == texts[other]
            common, either = len(words[one] & words[other]), len(words[one] | words[other])
            alike = common > ALIKE * either
            assert found[one, other] == (one != other and (copy or same or alike))
    assert expected > 3


SAID = "The lamp is bright, easy to hang and worth its price"

RETOUCHED = (
    "Worth its price: the lamp is bright and easy to hang!!! 😀",
    "The lmap is bright, easy to hang and worht its price",
    "the lamp is so bright, easy to mount and well worth its price",
    "Bright lamp, easy to hang, and it is worth the price",
)


def test_retouched_texts_are_copies_however_short() -> None:
    others = ("The lamp is dim, hard to hang and dear", "Worth its price", "A bright idea", "", "!")
    bodies = [SAID, *RETOUCHED, *others]
    titles = [f"Title {' '.join('abcdefgh'[:at])}" for at in range(len(bodies))]
    terms = [terms_of(f"{title} {body}") for title, body in zip(titles, bodies, strict=True)]
    starts = np.cumsum([0, *map(len, terms)])
    bare_bodies = [bare(body) for body in bodies]
    places, of_titles = np.arange(len(bodies)), np.array([len(title.split()) for title in titles])
    found = copies_among(np.concatenate(terms), starts, places, bare_bodies, of_titles)
    assert found[0].tolist() == [False, *[True] * len(RETOUCHED), *[False] * len(others)]
    assert not found[len(RETOUCHED) + 1 :].any()


def test_copies_of_copies_are_one_voice() -> None:
    words = [f"word{number}" for number in range(24)]
    # Eight words each, six of them in common with the nearest one: no copies (Jaccard .6).
    bodies = ["nothing of it", *(" ".join(words[at : at + 8]) for at in (8, 4, 6, 2, 0))]
    terms = [terms_of(body) for body in bodies]
    places, none = np.arange(len(bodies)), np.zeros(len(bodies), np.int64)
    given = (np.concatenate(terms), np.cumsum([0, *map(len, terms)]), places, bodies, none)
    assert not copies_among(*given).any()
    bodies[1:] = [" ".join(words[at : at + 16]) for at in (8, 5, 2, 0, 6)]
    terms = [terms_of(body) for body in bodies]
    given = (np.concatenate(terms), np.cumsum([0, *map(len, terms)]), places, bodies, none)
    copies = copies_among(*given)
    assert not copies[1, 4] and copies[1, 2] and copies[2, 3] and copies[3, 4]
    assert voices_among(*given).tolist() == [0, 1, 1, 1, 1, 1]


def test_the_first_of_near_copies_stays() -> None:
    hits = [
        (Hit(text(user, "tea", body), 1.0, ""), terms_of(body))
        for user, body in (("a", ASKED), ("b", "Bad."), ("c", ASKED + "."), ("d", " bad. "))
    ]
    assert [hit.text.user_id for hit, _ in without_copies(hits)] == ["a", "b"]
    assert without_copies([]) == []


def test_a_request_hides_own_texts_targets_and_its_own_text() -> None:
    none = np.zeros((0, 2), np.float32)
    history = History("default", "ann", (), none, none, {}, frozenset({"my target."}))
    users = ("ann", "bob", "cat", "dan")
    bodies = ("mine.", "my target.", "so so.", "fine.")

    def allowed(asked: str) -> list[bool]:
        evidence = EvidenceFilter(SearchRequest(history, none[:, 0], text=asked))
        return evidence.allowed(users, bodies, lambda: corpus(*bodies)).tolist()

    assert allowed("") == [False, False, True, True]
    assert allowed("So  SO.") == [False, False, False, True]
