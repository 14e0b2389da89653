"""Read the benchmarks that keep one person a row: PGraphRAG, LaMP and LongLaMP.

Each has its own *target*, the text that has to be written:

    pgraphrag  list of {id, profile: [{rating, title, text, pid}]}; target: the profile's first
    lamp       list of {id, input, profile}; target: the output of that id in *_outputs.json
    longlamp   list or lines of {input, output, profile}; target: the output

The rest of a profile is the person's own history. The title of a LaMP or LongLaMP target is its
row's input, from which the text has to be written. A bad entry of a profile is rejected alone: if
it is the target, the person has none, and the rest stays history.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from ..types import Text
from .tables import read_json_lines
from .validation import (
    Advance,
    BadRow,
    Defaults,
    Format,
    FormatError,
    Head,
    Reject,
    Row,
    build_text,
    first_of,
)

Item = tuple[int, str, dict[str, Any] | Reject]
"""Line, place (`.[3]`) and the object of one person."""

# Names of the columns in LaMP's tasks (1 and 5: title and abstract; 2: description and tag; 3: text
# and score; 4: title and text; 6 and 7: text) and LongLaMP's (reviews, abstracts, posts).
_BODY = ("reviewText", "abstract", "content", "text", "description")
_TITLE = ("title", "summary", "tag")
_RATING = ("score", "overall")
_TIME = ("timestamp", "date")
_ROW = "row"
_PERSON = ("id", "reviewerId", "name", "author", _ROW)

_SPACE = re.compile(r"\s*")


def read_items(content: str, advance: Advance | None = None) -> Iterator[Item]:
    """Yield the objects of a JSON list, one at a time, with the lines they begin on.

    One at a time, so that a truncated file keeps all objects before the end.

    Args:
        content: The list as JSON.
        advance: Called with the characters read so far.
    """
    decoder = json.JSONDecoder()
    start = _skip_space(content, content.index("[") + 1)
    line = 1 + content.count("\n", 0, start)
    if content.startswith("]", start):
        return
    for number in count():
        place = f".[{number}]"
        try:
            value, end = decoder.raw_decode(content, start)
        except (ValueError, RecursionError):
            yield line, place, Reject(line, "broken JSON from here to the end of the file", place)
            return
        wrong = Reject(line, "expected a JSON object", place)
        yield line, place, value if isinstance(value, dict) else wrong
        if advance is not None:
            advance(end)
        end = _skip_space(content, end)
        if content.startswith("]", end):
            return
        if not content.startswith(",", end):
            yield line, place, Reject(line, "the JSON list breaks off after this object", place)
            return
        following = _skip_space(content, end + 1)
        line += content.count("\n", start, following)
        start = following


def load_list(path: Path) -> str | None:
    """Return the content of a file that holds one JSON list, or None for any other."""
    with path.open("rb") as file:
        if not file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
            return None
    # Bad bytes become lone surrogates: the text they stand in is rejected, not the whole file.
    return path.read_bytes().decode("utf-8-sig", errors="surrogateescape")


def _items_of(path: Path, advance: Advance) -> Iterator[Item]:
    """Yield the objects of a JSON list, or of JSON lines."""
    content = load_list(path)
    if content is None:
        yield from ((line, "", row) for line, row in read_json_lines(path, advance))
        return
    bytes_each = path.stat().st_size / len(content)
    yield from read_items(content, lambda characters: advance(round(characters * bytes_each)))


def read_pgraphrag(items: Iterable[Item], defaults: Defaults) -> Iterator[Row]:
    """Yield the texts and rejects of PGraphRAG's people; the first text of each is the target."""

    def read_entry(item: dict[str, Any], index: int, entry: dict[str, Any], place: int) -> Text:
        return build_text(
            defaults,
            user_id=item.get("id"),
            body=entry.get("text"),
            topic_id=entry.get("pid"),
            title=entry.get("title"),
            rating=entry.get("rating"),
            target=index == 0,
            position=place,
        )

    def read_target(item: dict[str, Any], place: int) -> None:
        if not item["profile"]:  # the target is in the profile and was read there
            raise BadRow("the profile is empty")

    yield from _read_people(items, read_entry, read_target)


def read_lamp(
    items: Iterable[Item], defaults: Defaults, outputs: dict[str, Any] | None = None
) -> Iterator[Row]:
    """Yield the texts and rejects of LaMP's people (ids are those of rows: LaMP has no users).

    Args:
        items: The items of `read_items`.
        defaults: Namespace and language.
        outputs: The output of each id, from `read_lamp_outputs`; None: there are no targets.
    """

    def read_target(item: dict[str, Any], place: int) -> Text | None:
        if outputs is None:
            return None
        person = str(item.get("id"))
        if person not in outputs:
            raise BadRow("the outputs file has no output for this id")
        return _build_target(defaults, person, item, outputs[person], place)

    def read_entry(item: dict[str, Any], index: int, entry: dict[str, Any], place: int) -> Text:
        return _build_own(defaults, item.get("id"), entry, place)

    yield from _read_people(items, read_entry, read_target)


def read_longlamp(items: Iterable[Item], defaults: Defaults) -> Iterator[Row]:
    """Yield the texts and rejects of LongLaMP's people; one without a name is `row-3`, say."""

    def name(item: dict[str, Any]) -> object:
        return first_of(item, _PERSON)

    def read_target(item: dict[str, Any], place: int) -> Text | None:
        return _build_target(defaults, name(item), item, item.get("output"), place)

    def read_entry(item: dict[str, Any], index: int, entry: dict[str, Any], place: int) -> Text:
        return _build_own(defaults, name(item), entry, place)

    named = (
        (line, place, {_ROW: f"row-{number}", **item} if isinstance(item, dict) else item)
        for number, (line, place, item) in enumerate(items)
    )
    yield from _read_people(named, read_entry, read_target)


def find_lamp_outputs(path: Path) -> Path | None:
    """Return the `*_outputs.json` next to a `*_questions.json`, or None."""
    outputs = path.with_name(path.name.replace("questions", "outputs"))
    return outputs if outputs != path and outputs.is_file() else None


def read_lamp_outputs(path: Path) -> dict[str, Any]:
    """Return the output of each id.

    Raises:
        FormatError: The file is no outputs file of LaMP.
    """
    try:
        golds = json.loads(path.read_bytes())["golds"]
        return {str(gold["id"]): gold["output"] for gold in golds}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            f"{path.name} beside the questions cannot be read: expected "
            '{"task": ..., "golds": [{"id", "output"}]}; repair it or move it away'
        ) from None


def _read_people(
    items: Iterable[Item],
    read_entry: Callable[[dict[str, Any], int, dict[str, Any], int], Text],
    read_target: Callable[[dict[str, Any], int], Text | None],
) -> Iterator[Row]:
    """Yield the entries of each person's profile, and a target outside it."""
    places = count()
    for line, where, item in items:
        if isinstance(item, Reject):
            yield item
            continue
        entries = item.get("profile")
        if not isinstance(entries, list):
            yield Reject(line, "profile is not a list", where)
            continue
        for index, entry in enumerate(entries):
            place = f"{where}.profile[{index}]"
            if not isinstance(entry, dict):
                yield Reject(line, "expected a JSON object", place)
                continue
            try:
                yield read_entry(item, index, entry, next(places))
            except BadRow as error:
                yield Reject(line, str(error), place, error.code)
        try:
            target = read_target(item, next(places))
        except BadRow as error:
            yield Reject(line, f"target: {error}", where, error.code)
        else:
            if target is not None:
                yield target


def _build_own(defaults: Defaults, person: object, entry: dict[str, Any], place: int) -> Text:
    return build_text(
        defaults,
        user_id=person,
        body=first_of(entry, _BODY),
        topic_id=first_of(entry, ("asin",)),
        title=first_of(entry, _TITLE),
        rating=first_of(entry, _RATING),
        timestamp=first_of(entry, _TIME),
        position=place,
    )


def _build_target(
    defaults: Defaults, person: object, item: dict[str, Any], output: object, place: int
) -> Text:
    return build_text(
        defaults,
        user_id=person,
        body=output,
        title=item.get("input"),
        topic_id=first_of(item, ("asin",)),
        target=True,
        position=place,
    )


def _skip_space(content: str, position: int) -> int:
    match = _SPACE.match(content, position)
    return match.end() if match else position


def _is_person(head: Head, *names: str) -> bool:
    row = head.row or {}
    return isinstance(row.get("profile"), list) and set(names) <= set(row)


def _read_lamp_file(path: Path, defaults: Defaults, advance: Advance) -> Iterator[Row]:
    return read_lamp(_items_of(path, advance), defaults, _lamp_outputs_of(path))


def _lamp_outputs_of(path: Path) -> dict[str, Any] | None:
    outputs = find_lamp_outputs(path)
    return None if outputs is None else read_lamp_outputs(outputs)


BENCHMARKS = (
    Format(
        "pgraphrag",
        'a JSON list of {"id", "profile": [{"rating", "title", "text", "pid"}]}',
        lambda head: head.listed and _is_person(head, "id") and "input" not in (head.row or {}),
        lambda path, defaults, advance: read_pgraphrag(_items_of(path, advance), defaults),
        language=lambda path: "pt" if path.name.startswith("b2w") else "en",
    ),
    Format(
        "lamp",
        'a JSON list of {"id", "input", "profile": [...]}, a *_questions.json',
        lambda head: head.listed and _is_person(head, "input"),
        _read_lamp_file,
        check=_lamp_outputs_of,
    ),
    Format(
        "longlamp",
        'a JSON list, or a line each, of {"input", "output", "profile": [...]}',
        lambda head: _is_person(head, "input", "output"),
        lambda path, defaults, advance: read_longlamp(_items_of(path, advance), defaults),
    ),
)
