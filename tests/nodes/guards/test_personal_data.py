"""Personal data: what is found of a made set, what is not taken for it, and how long it takes."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from made_personal_data import KINDS as MADE
from made_personal_data import made_items, read_items
from patlm.nodes.guards.personal_data import KINDS, find, read_kinds, scrub

LEAST = {
    "email": 50,
    "link": 50,
    "iban": 50,
    "card": 50,
    "id": 50,
    "ip": 50,
    "phone": 47,
    "address": 47,
}
"""Found of 50 of each kind (docs/results/trust.md)."""

HONEST = {
    "en": (
        "I paid $1,299.99 for 2 of them in 2019, and 3 years later I would pay 45.50 again.",
        "Rated 4.5/5 (1,024 reviews), size 10 1/2, 5'11\", 180 lbs, 32x34.",
        "Order 113-4456789-0021337 came on 12/05/2019 at 10:30:45, firmware v1.2.3.4.",
        "Room 1204, floors 10-12, check-in 15:00, we were 2 adults and 3 kids from 9/10 to 9/14.",
        "Look at amazon.com and/or the 2 Main attractions; 24/7, 50/50, 1:1, C::B.",
        "It has 16 GB of RAM, 1920x1080 at 60 Hz, a 5000 mAh battery, DDR4-3200.",
        "ISBN 978-3-16-148410-0, model WH1000XM4, part no. 0123456789, made in 1987-1991.",
        "The 5 star way: 3 long streets, 10 courts, a 2 way road.",
        "Meet me at noon; it was dot for dot the same.",
        "Songs: 1. Close to the Edge 2. Roundabout 3. Drive",
    ),
    "pt": (
        "Comprei por R$ 1.299,90 em 10x de 129,99 no dia 12/05/2019 às 10:30.",
        "A rua é boa, nº 1 do bairro; nota 10 de 10, 100% recomendo.",
        "Chegou dia 23, 5 dias antes; celular de 128 GB e 6.000 mAh.",
        "Pedido 20230115-7, produto 987654, voltagem 110/220.",
        "Largo de ombros, uso 42; a avenida fica a 200 metros.",
    ),
    "de": (
        "Am Montag um 12 Uhr kam das Paket, 3 Tage zu spät, für 1.299,00 Euro.",
        "Im Januar 2019 gekauft, am Abend 3 Gäste, alles weg 2 Stunden später.",
        "Größe 42, 5 Sterne, Seite 128, Kapitel 3.2.1, Modell X-200.",
        "Auf dem Weg 3 Mal gehalten.",
    ),
}
"""Sentences with numbers, and none of anybody's data."""


def covers(item: dict, found: list) -> bool:
    """Return whether four fifths of an item's letters and digits are found."""
    places = [at for at in range(item["start"], item["end"]) if item["text"][at].isalnum()]
    held = sum(any(each.start <= at < each.end for each in found) for at in places)
    return held >= 0.8 * len(places)


def test_the_committed_set_is_the_made_one() -> None:
    items = read_items()
    assert items == list(made_items()) and len(items) == 400
    assert Counter(item["kind"] for item in items) == dict.fromkeys(MADE, 50)
    assert set(MADE) == set(KINDS)


def test_what_is_found_of_the_made_set() -> None:
    found = Counter(
        item["kind"] for item in read_items() if covers(item, find(item["text"], item["language"]))
    )
    assert all(found[kind] >= least for kind, least in LEAST.items()), found


@pytest.mark.parametrize("language", HONEST)
def test_numbers_that_are_nobodys_stay(language: str) -> None:
    taken = {text: found for text in HONEST[language] if (found := find(text, language))}
    assert not taken


@pytest.mark.slow
@pytest.mark.skipif("PATLM_DATA" not in os.environ, reason="needs the benchmarks' data")
def test_nothing_is_taken_for_personal_data_in_2_000_real_texts() -> None:
    """By eye: ten telephone numbers, and an account that is written like an e-mail address."""
    from patlm.stores.datasets.formats import read_texts

    data, found, texts = Path(os.environ["PATLM_DATA"]), Counter(), 0
    for path in sorted([*data.glob("pgraphrag/*.json"), *data.glob("amazon14/*.jsonl")]):
        by_id = {text.text_id: text for text in read_texts(path) if getattr(text, "body", None)}
        for text_id in sorted(by_id)[:400]:
            texts += 1
            found.update(each.kind for each in find(by_id[text_id].body, by_id[text_id].language))
    assert texts == 2_000 and found == {"phone": 10, "email": 1}


def test_a_scrubbed_text_has_nothing_left_and_stays_as_it_is() -> None:
    for item in read_items():
        clean, items = scrub(str(item["text"]), str(item["language"]))
        again, more = scrub(clean, str(item["language"]))
        assert again == clean and not more
        assert all(each.text not in clean for each in items)


def test_kinds_are_read_by_name() -> None:
    text = "Mail ana@example.org or call +44 20 7946 0123."
    assert scrub(text, kinds=read_kinds("phone"))[0].startswith("Mail ana@example.org or call [")
    assert scrub(text, kinds=read_kinds("off")) == (text, [])
    assert read_kinds("all") == set(KINDS) and read_kinds(" email, ip ") == {"email", "ip"}


HOSTILE = (
    *("a@", "a.", "1 ", "1.", "(1) ", "GB82 WEST 1234 5698 7654 32 ", "4111 1111 1111 1112 "),
    *("www.", "http://", "@a", "a at b dot ", "Rua A ", "12 Mill ", "Am Markt", "passport no. no."),
    *("::1:", "1:2:", "+1 202 ", "ssn ", "a-", "a_", "P.O. Box ", "ä(at)", "x.de/"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_it_takes_time_in_proportion_to_the_length(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        best = []
        for _ in range(2):
            begin = time.process_time()
            find(text, "en")
            best.append(time.process_time() - begin)
        return min(best)

    seconds(100)  # the libraries are imported
    assert seconds(4_000) < 0.005 + 12 * seconds(1_000)
