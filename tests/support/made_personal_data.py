"""400 sentences with made-up personal data: 50 of each of eight kinds, in three languages.

    python tests/support/made_personal_data.py    # writes tests/data/personal_data.jsonl

Nobody's: names are made up, numbers are drawn (those for films and tests where there are some) and
get their check digits here. Formats are those that people write, awkward ones too. In a format,
what stands before `~` and after `|` is no part of the item: "SSN ~123-45-6789|, thanks".
"""

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "data" / "personal_data.jsonl"
LANGUAGES = ("en", "pt", "de")
EACH = {"en": 17, "pt": 17, "de": 16}

FIRST = {
    "en": ("olive", "harvey", "june", "desmond", "petra", "callum"),
    "pt": ("lurdes", "caio", "benedita", "nuno", "iracema", "tomas"),
    "de": ("gudrun", "henning", "wiebke", "ottmar", "svenja", "falk"),
}
LAST = {
    "en": ("pennywhistle", "larkrise", "oakhanger", "quillfeather", "marsh"),
    "pt": ("pinheirinho", "valadouro", "carqueja", "mourisco", "sabugal"),
    "de": ("birkenstolz", "wolkenrath", "haferkamp", "dornbusch", "lenz"),
}
CARRIERS = {
    "en": (
        "Great seller, shipped in 2 days. Any trouble, {x} and you get an answer.",
        "I have had it for 3 years now. Questions? {x}",
        "{x} - that is where you find me, no need to ask here.",
        "We paid 45.90 for it in 2019 and it still works; mine: {x}.",
        "They never answered so I left them {x} and nothing came back.",
        "the owner wrote {x} on the box, size 10.5, very kind",
    ),
    "pt": (
        "Chegou em 2 dias, tudo certo. Qualquer coisa, {x} e respondo.",
        "Uso há 3 anos e gosto muito. Dúvidas? {x}",
        "{x} - é onde me encontram, não perguntem aqui.",
        "Paguei 45,90 em 2019 e ainda funciona; o meu: {x}.",
        "Nunca responderam, deixei {x} e nada.",
        "o dono escreveu {x} na caixa, tamanho 38, muito simpático",
    ),
    "de": (
        "Kam nach 2 Tagen an, alles gut. Bei Fragen {x}, ich antworte.",
        "Habe es seit 3 Jahren und bin zufrieden. Fragen? {x}",
        "{x} - dort bin ich zu finden, bitte nicht hier fragen.",
        "Hat 2019 noch 45,90 gekostet und läuft immer noch; meine: {x}.",
        "Niemand hat geantwortet, obwohl ich {x} hinterlassen habe.",
        "der Besitzer hat {x} auf den Karton geschrieben, Größe 42, sehr nett",
    ),
}
Draw = Callable[[random.Random, str], str]


def digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def name(rng: random.Random, language: str) -> tuple[str, str]:
    return rng.choice(FIRST[language]), rng.choice(LAST[language])


def email(rng: random.Random, language: str) -> str:
    first, last = name(rng, language)
    host = {"en": "larkmail", "pt": "correiovivo", "de": "postbirke"}[language]
    end = {"en": "com", "pt": "com.br", "de": "de"}[language]
    at, dot = {"en": ("at", "dot"), "pt": ("arroba", "ponto"), "de": ("ät", "punkt")}[language]
    return rng.choice(
        (
            f"{first}.{last}@{host}.{end}",
            f"{first}{digits(rng, 2)}@{host}.{end}",
            f"{first[0]}_{last}+shop@{host}.co.uk",
            f"{first.upper()}.{last.upper()}@{host.upper()}.{end.upper()}",
            f"{first}-{last}@mail.{host}.net",
            f"mailto:~{first}@{host}.{end}",
            f"<~{first}.{last}@{host}.{end}|>",
            f"{first}.{last}(at){host}.{end}",
            f"{first} [at] {host} [dot] {end.split('.')[0]}",
            f"{first}.{last} {at} {host} {dot} {end.split('.')[0]}",
            f"{first}.{last} @ {host}.{end}",
        )
    )


def phone(rng: random.Random, language: str) -> str:
    last = digits(rng, 2)
    if language == "en":
        area = rng.choice(("202", "312", "415", "617"))
        forms = (
            f"({area}) 555-01{last}",
            f"{area}-555-01{last}",
            f"{area}.555.01{last}",
            f"+1 {area} 555 01{last}",
            f"1-{area}-555-01{last}",
            f"call me at ~{area}55501{last}",
            f"tel: ~{area} 555 01{last}",
            f"07700 9001{last}",
            f"+44 7700 9004{last}",
            f"020 7946 01{last}",
            f"+44 (0)161 496 01{last}",
            f"0044 20 7946 09{last}",
        )
    elif language == "pt":
        four = digits(rng, 4)
        area = rng.choice(("11", "21", "31", "71"))
        forms = (
            f"({area}) 9{last}81-{four}",
            f"({area})9{last}81{four}",
            f"{area} 9{last}81-{four}",
            f"+55 {area} 9{last}81-{four}",
            f"+55{area}9{last}81{four}",
            f"whatsapp ~{area}9{last}81{four}",
            f"({area}) 3{last}8-{four}",
            f"0{area} 3{last}8 {four}",
            f"91{last[0]} {last[1]}42 {four[:3]}",
            f"+351 91{last[0]} {last[1]}42 {four[:3]}",
            f"fone: ~{area} 3{last}8-{four}",
            f"21{last[0]} {last[1]}42 {four[:3]}",
        )
    else:
        forms = (
            f"030 23125 1{last}",
            f"030/231251{last}",
            f"(0)30 - 23 12 51 {last}",
            f"+49 30 23125 1{last}",
            f"+49 (0) 30 23125 1{last}",
            f"0049 30 231251{last}",
            f"0171 39200{last}",
            f"0171/39 200 {last}",
            f"+49 171 39200{last}",
            f"Tel. ~089 99998 1{last}",
            f"Handy ~017139200{last}",
            f"040-66969 1{last}",
        )
    return rng.choice(forms)


def iban(rng: random.Random, language: str) -> str:
    land, bank = {
        "en": ("GB", "LARK" + digits(rng, 14)),
        "pt": ("PT", digits(rng, 21)),
        "de": ("DE", digits(rng, 18)),
    }[language]
    plain = "".join(str(int(sign, 36)) for sign in f"{bank}{land}00")
    whole = f"{land}{98 - int(plain) % 97:02}{bank}"
    spaced = " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))
    return rng.choice(
        (
            whole,
            spaced,
            f"IBAN ~{spaced}",
            f"IBAN: ~{whole}",
            spaced.replace(" ", "-"),
            whole.lower(),
        )
    )


def card(rng: random.Random, language: str) -> str:
    begin, size = rng.choice((("4111", 16), ("5555", 16), ("3782", 15), ("6011", 16), ("2223", 16)))
    body = begin + digits(rng, size - 5)
    doubled = (int(each) * 2 for each in body[::-2])
    total = sum(each - 9 if each > 9 else each for each in doubled)
    total += sum(int(each) for each in body[-2::-2])
    whole = f"{body}{-total % 10}"
    if size == 15:
        spaced = f"{whole[:4]} {whole[4:10]} {whole[10:]}"
    else:
        spaced = " ".join(whole[at : at + 4] for at in range(0, 16, 4))
    word = {"en": "card", "pt": "cartão", "de": "Karte"}[language]
    return rng.choice(
        (whole, spaced, spaced.replace(" ", "-"), f"{word} ~{spaced}", f"VISA/MC ~{whole}")
    )


def checked(body: str, weights: Callable[[int], int]) -> str:
    """Append a check digit modulo 11, as CPF and NIF have it."""
    rest = sum(int(each) * weights(place) for place, each in enumerate(body)) % 11
    return f"{body}{0 if rest < 2 else 11 - rest}"


def id_number(rng: random.Random, language: str) -> str:
    passport = rng.choice("CFGHJK") + digits(rng, 8)
    if language == "en":
        group, serial = rng.randint(10, 99), rng.randint(1000, 9999)
        ssn = f"{rng.randint(101, 665)}-{group}-{serial}"
        nino = f"AB{digits(rng, 6)}{rng.choice('ABCD')}"
        forms = (
            ssn,
            f"SSN ~{ssn}",
            f"ssn: ~{ssn.replace('-', '')}",
            f"social security number ~{ssn.replace('-', ' ')}",
            nino,
            f"NI number ~{nino[:2]} {nino[2:4]} {nino[4:6]} {nino[6:8]} {nino[8]}",
            f"passport no. ~{passport}",
            f"Passport number: ~{digits(rng, 9)}",
        )
    elif language == "pt":
        nine = digits(rng, 9)
        cpf = checked(checked(nine, lambda at: 10 - at), lambda at: 11 - at)
        nif = checked("2" + digits(rng, 7), lambda at: 9 - at)
        dotted = f"{cpf[:3]}.{cpf[3:6]}.{cpf[6:9]}-{cpf[9:]}"
        forms = (
            dotted,
            f"CPF ~{dotted}",
            f"CPF: ~{cpf}",
            f"cpf nº ~{cpf[:9]}-{cpf[9:]}",
            f"NIF ~{nif}",
            f"NIF: ~{nif[:3]} {nif[3:6]} {nif[6:]}",
            f"RG ~{nine[:2]}.{nine[2:5]}.{nine[5:8]}-{nine[8]}",
            f"passaporte ~{passport[0]}B{passport[3:]}",
        )
    else:
        forms = (
            f"Steuer-ID ~{tax_id(rng)}",
            f"Steuer-ID: ~{spaced_tax_id(tax_id(rng))}",
            f"Steueridentifikationsnummer ~{tax_id(rng)}",
            f"Reisepass ~{passport[0]}01X00T{passport[1:3]}",
            f"Reisepass-Nr. ~{passport}",
            f"Personalausweis ~L01X00T{passport[1:3]}{passport[3]}",
            f"Ausweisnummer: ~L{digits(rng, 8)}",
            f"Sozialversicherungsnummer ~65 {rng.randint(10, 28)}0764 W {digits(rng, 3)}",
        )
    return rng.choice(forms)


def tax_id(rng: random.Random) -> str:
    """Return a German tax id: one digit twice, ISO 7064 MOD 11,10."""
    some = rng.sample("123456789", 9)
    body = some[0] + "".join(rng.sample([some[0], *some[1:]], 9))
    product = 10
    for each in body:
        total = (int(each) + product) % 10 or 10
        product = total * 2 % 11
    return f"{body}{(11 - product) % 10}"


def spaced_tax_id(whole: str) -> str:
    return f"{whole[:2]} {whole[2:5]} {whole[5:8]} {whole[8:]}"


def ip(rng: random.Random, language: str) -> str:
    four = ".".join(str(rng.randint(11, 223)) for _ in range(4))
    six = ":".join(f"{rng.randint(0x1000, 0xFFFF):x}" for _ in range(6))
    word = {"en": "my IP is", "pt": "meu IP é", "de": "meine IP ist"}[language]
    return rng.choice(
        (
            four,
            f"{word} ~{four}",
            f"{four}|:8080",
            f"http://~{four}|/cam",
            f"2001:db8:{six}",
            f"2001:db8::{rng.randint(1, 0xFFF):x}:{rng.randint(1, 0xFFF):x}",
            f"[~fe80::{rng.randint(0x100, 0xFFFF):x}|]",
            f"IP ~{four}|/24",
        )
    )


def address(rng: random.Random, language: str) -> str:
    number, five = rng.randint(2, 960), digits(rng, 5)
    if language == "en":
        street = rng.choice(("Pinfold", "Old Quarry", "Larch", "Saddlers", "N. Meadow", "Mill"))
        forms = (
            f"{number} {street} Street",
            f"{number} {street} St.|, Elmhurst, IL {five}",
            f"{number}B {street} Avenue|, Apt 4",
            f"{number} {street} Rd|, Dover DE {five}",
            f"Flat 3, ~{number} {street} Lane|, Leeds LS2 8JT",
            f"{number} {street} Drive",
            f"{number} {street.lower()} blvd",
            f"P.O. Box {number}|, Dover, DE {five}",
            f"{number} {street} Court|, London WC2B 6LE",
            f"{number} {street} Close",
            f"{number} {street}gate|, York YO1 9TL",
        )
    elif language == "pt":
        street = rng.choice(("das Amoreiras", "do Carvalhal", "Barão de Itapuã", "Sete de Abril"))
        forms = (
            f"Rua {street}, {number}",
            f"Rua {street} {number}|, Salvador",
            f"rua {street}, nº {number}|, apto 42",
            f"R. {street}, {number}|, CEP {five}-010",
            f"Av. {street}, {number}",
            f"Avenida {street} {number}|, 3º andar",
            f"Travessa {street}, {number}|, 1200-092 Lisboa",
            f"Praça {street}, {number}",
            f"Alameda {street}, n. {number}",
            f"Largo {street} {number}|, Porto",
            f"Estrada {street}, km {number}",
        )
    else:
        street = rng.choice(("Linden", "Goethe", "Mühlen", "Birken", "Schiller"))
        forms = (
            f"{street}straße {number}",
            f"{street}str. {number}|, {five} Wuppertal",
            f"{street}strasse {number}a",
            f"{street}weg {number}|, {five} Köln",
            f"{street}allee {number}",
            f"{street}platz {number % 40 + 1}|, {five} Berlin",
            f"{street.lower()}str {number}",
            f"Alte {street}gasse {number}",
            f"Am {street}hof {number}|, {five} Kiel",
            f"Postfach {number}|, {five} München",
            f"Berliner Straße {number}",
        )
    return rng.choice(forms)


def link(rng: random.Random, language: str) -> str:
    first, last = name(rng, language)
    end = {"en": "com", "pt": "com.br", "de": "de"}[language]
    return rng.choice(
        (
            f"https://www.facebook.com/{first}.{last}.{digits(rng, 2)}",
            f"http://{last}.blogspot.{end}/about",
            f"https://{last}-{first}.{end}/me?id={digits(rng, 4)}",
            f"www.{first}{last}.{end}",
            f"instagram.com/{first}_{last}",
            f"linkedin.com/in/{first}-{last}",
            f"twitter.com/{first}{last}",
            f"t.me/{first}{last}",
            f"@{first}_{last}",
            f"@{first}{last}{digits(rng, 2)}",
            f"https://youtu.be/{first}{digits(rng, 6)}",
            f"{last}.{end}/{first}",
        )
    )


KINDS: dict[str, Draw] = {
    "email": email,
    "phone": phone,
    "iban": iban,
    "card": card,
    "id": id_number,
    "ip": ip,
    "address": address,
    "link": link,
}


def made_items(seed: int = 7) -> Iterator[dict[str, object]]:
    """Yield the items: language, kind, text, and where it is (the street, of an address)."""
    rng = random.Random(seed)
    for kind, draw in KINDS.items():
        for language in LANGUAGES:
            for number in range(EACH[language]):
                before, _, drawn = draw(rng, language).rpartition("~")
                core, _, after = drawn.partition("|")
                carrier = CARRIERS[language][number % len(CARRIERS[language])]
                start = carrier.index("{x}") + len(before)
                yield {
                    "language": language,
                    "kind": kind,
                    "text": carrier.replace("{x}", before + core + after),
                    "start": start,
                    "end": start + len(core),
                }


def read_items() -> list[dict[str, object]]:
    """Return the committed items."""
    return [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]


def main() -> None:
    lines = [json.dumps(item, ensure_ascii=False) for item in made_items()]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(lines)} items in {FILE}\n")


if __name__ == "__main__":
    main()
