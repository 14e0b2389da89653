"""Find personal data in a text, and put the name of its kind in its place.

`KINDS` is the registry: an entry says how a kind is found, and what stands for it. Numbers are
checked by well-kept libraries (phonenumbers, python-stdnum), which are imported where a text first
has something that looks like one. Most texts have nothing of the sort: a quick look per kind
(`DataKind.hint`) tells. Names are not found: that takes a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import SettingsError, say_unknown

KindName = Literal["email", "link", "iban", "card", "id", "ip", "phone", "address"]

Spans = Iterator[tuple[int, int]]

_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class DataKind:
    """A kind of personal data.

    Attributes:
        name: Its name in settings.
        label: What it is called; in brackets it stands where it was.
        digits: How many digits a text that has it has at least.
        hint: Tells quickly whether a text, in lower case, may have it.
        find: Yields the places of a text, given its language, too.
    """

    name: KindName
    label: str
    digits: int
    hint: Callable[[str], object]
    find: Callable[[str, str], Spans]


@dataclass(frozen=True)
class PersonalData:
    """Personal data in a text, at `start` to `end`."""

    kind: KindName
    start: int
    end: int
    text: str


def _spans(*patterns: str) -> Callable[[str, str], Spans]:
    """Return what yields the places of some patterns: their group `item`, where there is one.

    They are compiled when a first text needs them: all together that takes long.
    """

    def find(text: str, language: str) -> Spans:
        for pattern in patterns:
            for found in re.finditer(pattern, text):
                yield found.span("item" if "item" in found.re.groupindex else 0)

    return find


_AT = r"(?:[(\[{<] ?(?:at|ät|arroba) ?[)\]}>])"
_DOT = r"(?:\.|[(\[{<] ?(?:dot|punkt|ponto|punto) ?[)\]}>])"
_LOCAL = r"(?<![\w.+-])[\w.+-]{1,64}"
_EMAIL = rf"{_LOCAL} ?@ ?(?:[\w-]{{1,63}}\.){{1,8}}[^\W\d_]{{2,24}}(?![\w@])"
_EMAIL_HIDDEN = (
    rf"(?i){_LOCAL} ?{_AT} ?[\w-]{{1,63}}(?: ?{_DOT} ?[\w-]{{1,63}}){{1,8}}"
    rf"|{_LOCAL} (?:at|ät|arroba) [\w-]{{1,63}}(?: (?:dot|punkt|ponto|punto) \w{{1,24}}){{1,8}}"
)

# A site's name alone (amazon.com) is nobody's; a page of it may be.
_LINK = (
    r"(?i)\b(?:https?://|www\.)[^\s<>\"”»]{1,2000}(?<![.,;:!?)\]'’])"
    r"|(?<![\w@.])(?:[a-z0-9-]{1,63}\.){1,6}[a-z]{2,10}/[^\s<>\"”»]{1,2000}(?<![.,;:!?)\]'’])"
    r"|(?<![\w@.])@[a-z_]\w{2,29}\b(?!\.\w)"
)

_IBAN = r"(?i)\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,30}"


def _ibans(text: str, language: str) -> Spans:
    """Yield the places of IBANs; words may follow one, so that its end is where it is valid."""
    from stdnum import iban

    for found in re.finditer(_IBAN, text):
        ends = [at for at in range(found.start() + 15, found.end() + 1) if text[at - 1].isalnum()]
        for end in ends:
            if iban.is_valid(text[found.start() : end], check_country=False):
                yield found.start(), end
                break


_CARD = r"(?<![\w.,-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}|3\d{3}([ -]?)\d{6}\2\d{4,5})(?![\w-])"


def _cards(text: str, language: str) -> Spans:
    from stdnum import luhn

    for found in re.finditer(_CARD, text):
        digits = re.sub(r"\D", "", found.group())
        if digits[0] in "23456" and luhn.is_valid(digits):
            yield found.span()


_NUMBER_SIGN = r"(?:\W{0,3}(?:numbers?|no|nr|nummer|n[uú]mero|n[º°]?|num|is|ist|é|es)\b)?"
_ID_WORDS = (
    r"passport|passaporte|pasaporte|reisepass|(?:personal)?ausweis(?:nummer)?|ssn|social security"
    r"|national insurance|ni|cpf|cnpj|nif|nie|dni|rg|steuer-?id(?:entifikationsnummer)?|idnr"
    r"|steuernummer|sozialversicherungsnummer|rentenversicherungsnummer|driver'?s licen[cs]e"
    r"|driving licence|führerschein|tax id|id card|identity card|bilhete de identidade"
)
_ID_SAID = (
    rf"(?i)\b(?:{_ID_WORDS})\b{_NUMBER_SIGN}[\s.:#-]{{0,4}}{_NUMBER_SIGN}[\s.:#-]{{0,4}}"
    r"(?P<item>(?=(?:[ ./-]?[a-z0-9]){0,3}(?:[ ./-]?\d))(?=(?:[ ./-]?[a-z]{0,3}\d){5})"
    r"[a-z]{0,3}\d[a-z0-9]{0,20}(?:[ ./-](?:\d[a-z0-9]{0,20}|[a-z](?![a-z])))*"
    r"|[a-z]{1,2} \d[\d ]{4,14}(?: ?[a-z]\b)?)"
)
_ID_SHAPED = (
    r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])"  # SSN
    r"|(?<![\d.])\d{3}\.\d{3}\.\d{3}-\d\d(?!\d)"  # CPF
    r"|\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?(?:\d\d ?){3}[A-D]\b"  # NINO
)

_IPV4 = r"(?i)(?<![\d.])(?<!v)(?<!version )(?<!firmware )(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)"
_IPV6 = r"(?i)(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])"


def _ips(text: str, language: str) -> Spans:
    from ipaddress import ip_address

    for pattern in (_IPV4, _IPV6):
        for found in re.finditer(pattern, text):
            try:
                ip_address(found.group())
            except ValueError:
                continue
            said = found.group()
            if len(said) > 5 and _DIGIT.search(said):  # `std::` stands in prose and in programs
                yield found.span()


REGIONS = {
    "de": ("DE", "AT", "CH"),
    "en": ("US", "GB"),
    "es": ("ES", "MX"),
    "fr": ("FR",),
    "it": ("IT",),
    "nl": ("NL",),
    "pt": ("BR", "PT"),
}
"""Where numbers without a country's code are looked up, by the language of a text."""


def _phones(text: str, language: str) -> Spans:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in REGIONS.get(language.partition("-")[0], ("US",)):
        matcher = PhoneNumberMatcher(text, region, leniency=Leniency.VALID, max_tries=100)
        yield from ((found.start, found.end) for found in matcher)


_WORD = r"[A-ZÀ-Ý][\w'’-]{0,30}\.?"
_STREET_EN = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Close|Place|Pl"
    r"|Terrace|Highway|Hwy|Parkway|Pkwy|Circle|Crescent|Gardens|Mews|Grove|Square|Way|Alley)"
)
_ADDRESS_EN = rf"(?<![\w.,$€£-])\d{{1,5}}[A-Za-z]?,? (?:{_WORD} ){{1,3}}{_STREET_EN}\b"
_POSTCODE_UK = r"\b[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}\b"
_BOX = r"(?i)\b(?:P\.? ?O\.? ?Box|Postfach|CEP:?) \d[\d -]{1,8}(?<=\d)"
_ADDRESS_PT = (
    r"\b(?i:rua|r\.|av\.|avenida|travessa|trav\.|alameda|praça|largo|estrada|rodovia|calle|c/)"
    rf" (?:(?:{_WORD}|d[aeo]s?|de la|e|y)[ ,]{{1,2}}){{1,6}}(?:n[º°.o]*|km)? ?\d{{1,5}}\b"
)
_ADDRESS_DE = (
    r"\b(?:(?:Alte|Neue|Am|An der|Auf dem|Zum|Zur) )?[A-ZÄÖÜ][\wäöüß-]{0,30} ?"
    r"(?i:straße|strasse|str\.?|weg|allee|platz|gasse|ufer|damm|ring|markt|hof|graben)"
    r" \d{1,4} ?[a-z]?\b"
)
_NUMBER = re.compile(r"\d+")
_BEFORE_A_NAME = re.compile(r"\d[A-Za-z]?,? [A-ZÀ-Ý]").search
_LIKE_POSTCODE = re.compile(r"\d[A-Z\d]? \d[A-Z]{2}\b").search
_ENDS_DE = (
    *(
        "straße ",
        "strasse ",
        "str. ",
        "str ",
        "weg ",
        "allee ",
        "platz ",
        "gasse ",
        "ufer ",
        "damm ",
    ),
    *("ring ", "markt ", "hof ", "graben "),
)


def _addresses(text: str, language: str) -> Spans:
    """Yield the places of streets with a number, boxes and some postcodes.

    Each land's pattern is tried where one of its words is there: together they take long.
    """
    low = text.lower()
    wanted = [_ADDRESS_EN] if _BEFORE_A_NAME(text) else []
    if _LIKE_POSTCODE(text):
        wanted.append(_POSTCODE_UK)
    for found in _NUMBER.finditer(low):
        if low.endswith(_ENDS_DE, 0, found.start()):
            wanted.append(_ADDRESS_DE)
            break
    if _STREETS_PT(low):
        wanted.append(_ADDRESS_PT)
    if _BOXES(low):
        wanted.append(_BOX)
    yield from _spans(*wanted)(text, language)


def _any_of(*marks: str) -> Callable[[str], bool]:
    """Return what tells whether a text has one of some marks; a loop is faster than `any`."""

    def has_one(text: str) -> bool:
        for mark in marks:
            if mark in text:
                return True
        return False

    return has_one


_EMAIL_MARKS = _any_of(
    "@", "at)", "at]", "at}", "at>", "ät)", "ät]", "ät}", " arroba", " dot ", " punkt "
)
_LINK_MARKS, _PAGE = _any_of("@", "://", "www."), re.compile(r"\.[a-z]{2,10}/\w").search
_FIVE_NEAR, _SEVEN_NEAR = (
    re.compile(rf"\d(?:[ ()./–-]{{0,3}}[a-z]{{0,2}}\d){{{more}}}").search for more in (4, 6)
)
_FOUR_NUMBERS, _COLONS = re.compile(r"\d\.\d+\.\d").search, re.compile(r":[\da-f]*:").search
_STREETS_PT = _any_of(
    *("rua ", " r. ", "av. ", "avenida ", "travessa ", "trav. ", "alameda ", "praça ", "largo "),
    *("estrada ", "rodovia ", "calle ", "c/ "),
)
_BOXES = _any_of("box ", "postfach ", "cep")

KINDS: dict[KindName, DataKind] = {
    kind.name: kind
    for kind in (
        DataKind("email", "e-mail address", 0, _EMAIL_MARKS, _spans(_EMAIL, _EMAIL_HIDDEN)),
        DataKind("link", "link", 0, lambda low: _LINK_MARKS(low) or _PAGE(low), _spans(_LINK)),
        DataKind("iban", "bank account", 9, _SEVEN_NEAR, _ibans),
        DataKind("card", "card number", 13, _SEVEN_NEAR, _cards),
        DataKind("id", "id number", 5, _FIVE_NEAR, _spans(_ID_SAID, _ID_SHAPED)),
        DataKind("ip", "IP address", 1, lambda low: _FOUR_NUMBERS(low) or _COLONS(low), _ips),
        DataKind("phone", "phone number", 7, _SEVEN_NEAR, _phones),
        DataKind("address", "postal address", 1, lambda low: True, _addresses),
    )
}
"""By name; where two overlap, the first one holds."""


def find(
    text: str, language: str = "en", kinds: Collection[str] = tuple(KINDS)
) -> list[PersonalData]:
    """Return the personal data of a text in order, none of it overlapping.

    Args:
        text: The text.
        language: Its language: numbers are written as in its countries.
        kinds: The kinds that are sought.
    """
    items: list[PersonalData] = []
    low = text.lower()
    digits = len(_DIGIT.findall(low))
    for kind in KINDS.values():
        if kind.name not in kinds or digits < kind.digits or not kind.hint(low):
            continue
        for start, end in kind.find(text, language):
            if all(end <= item.start or item.end <= start for item in items):
                items.append(PersonalData(kind.name, start, end, text[start:end]))
    return sorted(items, key=lambda item: item.start)


def _counter(kind: str) -> Callable[[str, str], int]:
    return lambda text, language: len(find(text, language, (kind,)))


COUNTERS: dict[str, Callable[[str, str], int]] = {kind: _counter(kind) for kind in KINDS}
"""How often a text has each kind, given its language: for an audit."""

LABELLED = re.compile(
    rf"\[({'|'.join(re.escape(kind.label) for kind in KINDS.values())})\]", re.IGNORECASE
)
"""What stands for personal data in a text."""


def scrub(
    text: str, language: str = "en", kinds: Collection[str] = tuple(KINDS)
) -> tuple[str, list[PersonalData]]:
    """Return a text with the name of its kind in the place of each item, and the items.

    >>> scrub("Write to ana@example.org!")[0]
    'Write to [e-mail address]!'
    """
    items = find(text, language, kinds)
    parts, at = [], 0
    for item in items:
        parts += [text[at : item.start], f"[{KINDS[item.kind].label}]"]
        at = item.end
    return "".join([*parts, text[at:]]) if items else text, items


def read_kinds(said: str) -> frozenset[str]:
    """Return the kinds that a setting names: `all`, `off`, or names with commas between.

    Raises:
        SettingsError: There is no such kind.
    """
    names = [name.strip() for name in said.split(",")]
    if names == ["all"] or names == ["off"]:
        return frozenset(KINDS if names == ["all"] else ())
    for name in names:
        if name not in KINDS:
            raise SettingsError(say_unknown("kind of personal data", name, ["all", "off", *KINDS]))
    return frozenset(names)


COPIED_WORDS = 8
"""Words in a row that are a copy."""


@dataclass(frozen=True)
class GuardSettings:
    """Settings of the guards.

    Attributes:
        personal_data: Kinds that are replaced in other people's texts, of `KINDS`.
        copied_words: Words in a row of somebody else's text that a summary or draft may not have;
            0: they are not compared.
    """

    personal_data: frozenset[str] = frozenset(KINDS)
    copied_words: int = COPIED_WORDS

    @property
    def version(self) -> str:
        """Changes with what they do: part of what determines a measured draft."""
        return f"guards {','.join(sorted(self.personal_data))} {self.copied_words}"
