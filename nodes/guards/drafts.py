"""Guards of a run: other people's texts are scrubbed, summaries and drafts are compared with them.

Personal data in other people's texts is replaced where a trajectory has found them, before anything
else reads them: reasoners, the mode `quoted`, results, records. What a model writes must not repeat
them word for word, nor what was replaced; it is asked once more, then cut at sentences. Own texts,
and what the request says, are free.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...stores.search.threads import LONG_WORDS, in_thread_if
from ..prompts.facts import sentence_spans
from .personal_data import KINDS, LABELLED, PersonalData, find, scrub

if TYPE_CHECKING:
    from ..node import Turn

    Retrieved = tuple[dict[str, Any], dict[str, Any]]
    Run = tuple[str, ...]

FRONT = 20_000
"""Characters of a text that are compared; no prompt shows as many."""


async def scrubbed(turn: Turn, update: dict[str, Any], entry: dict[str, Any]) -> Retrieved:
    """Return what a trajectory has found without the personal data of other people.

    Args:
        turn: The turn of its retriever.
        update: The retriever's update of the state; its `evidence` is scrubbed.
        entry: Its entry in the log, which gets the digests of what was replaced (`hidden`).
    """
    kinds, found = turn.parts.guards.personal_data, update.get("evidence")
    if not kinds or not found:
        return update, entry
    long = sum(len(piece["body"]) for pieces in found.values() for piece in pieces) > LONG_WORDS
    clean, hidden = await in_thread_if(long, _scrub_all, turn, found, kinds)
    seen = {"evidence": next(iter(clean.values()))} if "evidence" in entry else {}
    return {**update, "evidence": clean}, {**entry, **seen, "hidden": hidden}


def _scrub_all(
    turn: Turn, found: Mapping[str, Sequence[dict[str, Any]]], kinds: Collection[str]
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return all evidence without personal data, and the digests of what was replaced."""
    earlier = turn.state.get("evidence", {}).values() if turn.iteration > 1 else ()
    # What an earlier iteration has looked at is not looked at again.
    done = {(piece["title"], piece["body"]) for pieces in earlier for piece in pieces}
    hidden: set[str] = set()

    def clean(piece: dict[str, Any]) -> dict[str, Any]:
        if piece["user_id"] == turn.request.user_id or (piece["title"], piece["body"]) in done:
            return piece
        changed = {}
        for part in ("title", "body"):
            text, items = _scrub_once(piece[part], piece.get("language") or "en", kinds)
            if items:
                changed[part] = text
                hidden.update(_digest(_bare(item), turn.run) for item in items)
        return {**piece, **changed} if changed else piece

    return {name: list(map(clean, pieces)) for name, pieces in found.items()}, sorted(hidden)


TEXTS_REMEMBERED = 100_000
"""Texts without personal data whose digests are kept; about 15 MB."""

_clean: OrderedDict[bytes, None] = OrderedDict()


def _scrub_once(
    text: str, language: str, kinds: Collection[str]
) -> tuple[str, Sequence[PersonalData]]:
    """Scrub a text, unless it is known to have no personal data: requests share their evidence.

    Digests are kept of such texts, never the texts: they may be forgotten.
    """
    seen = f"{language} {'*' if len(kinds) == len(KINDS) else sorted(kinds)} {text}"
    key = hashlib.blake2b(seen.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if key in _clean:
        return text, ()
    scrubbed_text, items = scrub(text, language, kinds)
    if not items:
        _clean[key] = None
        if len(_clean) > TEXTS_REMEMBERED:
            _clean.popitem(last=False)
    return scrubbed_text, items


_NO_SIGN = re.compile(r"[\W_]+")
_NUMBERS = ("phone", "card", "iban", "id")
_DIGITS = re.compile(r"\d(?:[ ()./–-]{0,3}\d){6,30}")
_LAST_DIGITS = 7


def _bare(item: PersonalData) -> str:
    """Return what stays of an item however it is written: of a number its last digits."""
    digits = re.sub(r"\D", "", item.text)
    if item.kind in _NUMBERS and len(digits) >= _LAST_DIGITS:
        return digits[-_LAST_DIGITS:]
    return _NO_SIGN.sub("", item.text.casefold())


def _digest(value: str, run: str) -> str:
    """Return a digest by which a run knows again what it has replaced, and does not keep it."""
    key = hashlib.sha256(run.encode()).digest()
    return hashlib.blake2b(value.encode(), key=key, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Repetition:
    """A part of an answer, at `start` to `end`, that it may not have.

    Attributes:
        words: Words in a row of somebody else's text; none: something that was replaced.
        what: The words, or the kind of data.
    """

    start: int
    end: int
    what: str
    words: int = 0


# Scripts without spaces: each character is a word to compare, and counts as half of one.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_]+(?:'+[^\W_]+)*")
_ASCII_WORDS = bytes(ord(chr(at).lower()) if chr(at).isalnum() else 32 for at in range(128)) * 2
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


@dataclass(frozen=True)
class Guard:
    """What the answer of a model in one turn may not repeat.

    Attributes:
        size: Words in a row that are a copy; 0: nothing is.
        others: Other people's texts.
        free: Texts that it may repeat: the request, the user's own.
        hidden: Digests of what was replaced in the run.
        run: The run.
        language: Language of the answer.
    """

    size: int
    others: Sequence[str] = ()
    free: Sequence[str] = ()
    hidden: frozenset[str] = frozenset()
    run: str = ""
    language: str = "en"

    def faults(self, answer: str) -> list[Repetition]:
        """Return what is wrong with an answer, in order."""
        found = [*self._copied(answer), *self._repeated(answer)]
        return sorted(found, key=lambda fault: fault.start)

    def _copied(self, answer: str) -> Iterator[Repetition]:
        """Yield the runs of words that are in somebody else's text, and in none that is free."""
        low = answer.lower().replace("’", "'")
        if len(low) != len(answer):  # a few capitals become two letters: places would be wrong
            low = "".join(each.lower()[0] for each in answer.replace("’", "'"))
        places = [found.span() for found in _WORD.finditer(low)]
        words = [low[start:end].replace("'", "") for start, end in places]
        copied = self._common(words)
        if not copied:
            return
        for text in self.free:
            copied.difference_update(_runs(_spoken(text).split(), self.size))
        starts = [at for at, run in enumerate(_runs(words, self.size)) if run in copied]
        for first, end in _merged(starts, self.size):
            start, stop = places[first][0], places[end - 1][1]
            count = end - first - len(_IS_UNSPACED.findall(answer, start, stop)) // 2
            if count >= self.size:
                yield Repetition(start, stop, answer[start:stop], count)

    def _common(self, words: Sequence[str]) -> set[Run]:
        """Return the runs of an answer's words that are in somebody else's text.

        Each holds one of the probes, half as long and evenly spaced: most texts have none of them,
        which is seen without splitting them into runs.
        """
        if not self.size or len(words) < self.size:
            return set()
        length = (self.size + 1) // 2
        places = range(0, len(words) - length + 1, self.size - length + 1)
        probes = [f" {' '.join(words[at : at + length])} " for at in places]
        common: set[Run] = set()
        for text in map(_spoken, self.others):
            if any(probe in text for probe in probes):
                mine = set(_runs(words, self.size))
                common |= mine.intersection(_runs(text.split(), self.size))
        return common

    def _repeated(self, answer: str) -> Iterator[Repetition]:
        """Yield what was replaced in the run, and what stands in its place."""
        if not self.hidden:
            return
        for found in LABELLED.finditer(answer):
            if not any(found.group() in text for text in self.free):
                yield Repetition(*found.span(), found.group(1).lower())
        items = find(answer, self.language)
        items += [
            PersonalData("phone", *found.span(), found.group())
            for found in _DIGITS.finditer(answer)
        ]
        for item in items:
            bare = _bare(item)
            if _digest(bare, self.run) in self.hidden and not self._is_free(bare):
                yield Repetition(item.start, item.end, KINDS[item.kind].label)

    def _is_free(self, bare: str) -> bool:
        return any(bare in _NO_SIGN.sub("", text.casefold()) for text in self.free)


def spoken_words(text: str) -> list[str]:
    """Return the words of a text by which texts are compared, in small letters."""
    return _spoken(text).split()


def _spoken(text: str) -> str:
    """Return the words of a text, a space around each, without their apostrophes."""
    text = text[:FRONT]
    if text.isascii():
        words = text.encode().translate(_ASCII_WORDS, b"'").decode().split()
    else:
        words = _WORD.findall(text.lower().replace("’", "").replace("'", ""))
    return f" {' '.join(words)} "


def _runs(words: Sequence[str], size: int) -> Iterator[Run]:
    return zip(*(words[at:] for at in range(size)), strict=False)


def _merged(starts: Sequence[int], size: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of runs that follow on one another or overlap."""
    first = end = -1
    for start in starts:
        if start > end:
            if first >= 0:
                yield first, end
            first = start
        end = start + size
    if first >= 0:
        yield first, end


def guard_of(turn: Turn, side: str | None = None) -> Guard | None:
    """Return the guard of a model's answer; None where nothing is to be compared.

    Args:
        turn: The turn.
        side: The side whose evidence was read; None: all of them.
    """
    state, request = turn.state, turn.request
    log = state.get("log", {}).values()
    hidden = {each for entry in log if entry["run"] == turn.run for each in entry.get("hidden", ())}
    size = turn.parts.guards.copied_words
    if not size and not hidden:
        return None
    read = [
        (piece["user_id"], f"{piece['title']} {piece['body']}")
        for name, pieces in state.get("evidence", {}).items()
        if side in (None, name)
        for piece in pieces
    ]
    own = [f"{piece['title']} {piece['body']}" for piece in state.get("own", [])]
    return Guard(
        size,
        others=[text for user, text in read if user != request.user_id],
        free=[
            *(part for part in (request.title, request.text, request.instruction) if part),
            *own,
            *(text for user, text in read if user == request.user_id),
        ],
        hidden=frozenset(hidden),
        run=turn.run,
        language=request.language,
    )


MOST_QUOTED, LONGEST_QUOTED = 3, 24
"""Runs that a model is told when it is asked once more, and words of each."""


def note(faults: Sequence[Repetition]) -> str:
    """Return what a model is told when it is asked once more."""
    runs = [_WORD.findall(fault.what)[:LONGEST_QUOTED] for fault in faults if fault.words]
    quoted = "; ".join(f'"{" ".join(run)}"' for run in runs[:MOST_QUOTED])
    lines = ["Write it once more, in your own words."]
    if quoted:
        lines.append(f"These words are somebody else's, do not use them: {quoted}.")
    if kinds := _kinds(faults):
        lines.append(f"Leave out, it is somebody else's: {kinds}.")
    return " ".join(lines)


def say(faults: Sequence[Repetition]) -> str:
    """Return what a result's warning says of them: how much it is, and never the words."""
    runs = [fault.words for fault in faults if fault.words]
    said = [f"{sum(runs)} words of other people's texts in {len(runs)} runs"] if runs else []
    return " and ".join([*said, *filter(None, [_kinds(faults)])])


def _kinds(faults: Sequence[Repetition]) -> str:
    return ", ".join(dict.fromkeys(fault.what for fault in faults if not fault.words))


def cut(answer: str, faults: Sequence[Repetition]) -> tuple[str, str]:
    """Return an answer without the sentences that have a fault, and how much was cut.

    Where no sentence would be left, the faults alone are cut, unless that is most of it.
    """
    spans = sentence_spans(answer)
    kept = [
        (start, end)
        for start, end in spans
        if not any(start < fault.end and fault.start < end for fault in faults)
    ]
    text = "".join(answer[start:end] for start, end in kept).strip()
    if _WORD.search(text):
        return text, f"{len(spans) - len(kept)} of its {len(spans)} sentences are cut"
    starts = [0, *(fault.end for fault in faults)]
    ends = [*(fault.start for fault in faults), len(answer)]
    rest = " ".join(answer[at:to].strip() for at, to in zip(starts, ends, strict=True) if at < to)
    words, left = len(_WORD.findall(answer)), len(_WORD.findall(rest))
    if 2 * left >= words:
        return rest.strip(), f"{words - left} of its {words} words are cut"
    return "", "nothing of it is left"
