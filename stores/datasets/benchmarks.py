"""Read the benchmarks that keep one person a row: PGraphRAG, LaMP and LongLaMP.

Each has its own *target*, the text that has to be written:

    pgraphrag  list of {id, profile: [{rating, title, text, pid}]}; target: the profile's first
    lamp       list of {id, input, profile}; target: the output of that id in *_outputs.json
    longlamp   list or lines of {input, output, profile}; target: the output

The rest of a profile is the person's own history. The title of a LaMP or LongLaMP target is its
row's input, from which the text has to be written. A bad entry of a profile is rejected alone: if
it is the target, the person has none, and the rest stays history.

LaMP's outputs are texts in tasks 4 to 7. In task 3 the output is a rating: the target is the review
in the input, with that rating. In tasks 1 and 2 it is a label, and there is no target. In the sets
that are split by time, several rows are one person, whom `user_id` names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..values import FIVE_STARS
from .readers.columns import settle_names
from .readers.decoding import open_text
from .readers.folders import PACKED_SUFFIXES
from .readers.rows import Advance, DataFile, Format, Head, Item, Raw
from .validation import BadRow, FormatError, Reject, first_of

# Names of the columns in LaMP's tasks (1 and 5: title and abstract; 2: description and tag; 3: text
# and score; 4: title and text; 6 and 7: text) and LongLaMP's (reviews, abstracts, posts).
_BODY = ("reviewText", "abstract", "content", "text")
_TITLE = ("title", "summary", "tag")
_RATING = ("score", "overall")
_TIME = ("timestamp", "date", "unixReviewTime", "reviewTime")
_LAMP_PERSON = ("user_id", "id")
_ROW = "row"
_PERSON = ("user_id", "reviewerId", "name", "author", "id")
_LOOK_AT = 20  # people, whose columns say which one names them

_TASK = re.compile(r"LaMP[_-]?(\d)", re.IGNORECASE)
_CHOICE = re.compile(r"\s*\[\d\]\s*")
_CHOICES, _TAGS, _RATINGS = 1, 2, 3  # the tasks whose outputs are no texts
_REVIEW = re.compile(r"review:\s*", re.IGNORECASE)


@dataclass(frozen=True)
class LampOutputs:
    """The outputs of a LaMP task.

    Attributes:
        task: Its number; None if the file doesn't say.
        outputs: The output of each id.
    """

    task: int | None
    outputs: dict[str, Any]


def read_pgraphrag(file: DataFile, advance: Advance) -> Iterator[Raw | Reject]:
    """Yield the texts of PGraphRAG's people; the first text of each is the target."""

    def read_entry(item: dict[str, Any], index: int, entry: dict[str, Any]) -> dict[str, object]:
        return {
            "user_id": item.get("id"),
            "body": entry.get("text"),
            "topic_id": entry.get("pid"),
            "title": entry.get("title"),
            "rating": entry.get("rating"),
            "target": index == 0,
        }

    def read_target(item: dict[str, Any]) -> None:
        if not item["profile"]:  # the target is in the profile and was read there
            raise BadRow("the profile is empty")

    yield from _read_people(file.items(advance), read_entry, read_target)


def read_lamp(file: DataFile, advance: Advance) -> Iterator[Raw | Reject]:
    """Yield the texts of LaMP's people, with targets where the outputs lie beside the file."""
    known, names = _lamp_outputs_of(file.path), _settle_person(file, _LAMP_PERSON)

    def read_target(item: dict[str, Any]) -> dict[str, object] | None:
        if known is None:
            return None
        person = str(item.get("id"))
        task = known.task or _guess_task(item, known.outputs.get(person))
        if task in (_CHOICES, _TAGS):
            return None
        if person not in known.outputs:
            raise BadRow("the outputs file has no output for this id")
        output = known.outputs[person]
        name = _name_of(item, names)
        if task != _RATINGS:
            return _target(name, item, output)
        review = _REVIEW.split(str(item.get("input")), maxsplit=1)
        rated = _target(name, {}, review[1]) if len(review) > 1 else None
        return None if rated is None else {**rated, "rating": output}

    def read_entry(item: dict[str, Any], index: int, entry: dict[str, Any]) -> dict[str, object]:
        return _own(_name_of(item, names), entry)

    yield from _read_people(file.items(advance), read_entry, read_target)


def read_longlamp(file: DataFile, advance: Advance) -> Iterator[Raw | Reject]:
    """Yield the texts of LongLaMP's people.

    One without a name is called by row and file (`row-3-1a2b3c4d`), so that people of two files
    stay apart.
    """
    names = _settle_person(file, _PERSON)

    def read_target(item: dict[str, Any]) -> dict[str, object] | None:
        return _target(item[_ROW], item, item.get("output"))

    def read_entry(item: dict[str, Any], index: int, entry: dict[str, Any]) -> dict[str, object]:
        return _own(item[_ROW], entry)

    def with_name(number: int, item: dict[str, Any] | Reject) -> dict[str, Any] | Reject:
        if isinstance(item, Reject):
            return item
        name = _name_of(item, names)
        return {**item, _ROW: f"row-{number}-{file.content_hash}" if name is None else name}

    people: Iterator[Item] = (
        (line, place, with_name(number, item))
        for number, (line, place, item) in enumerate(file.items(advance))
    )
    yield from _read_people(people, read_entry, read_target)


def _settle_person(file: DataFile, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that may name a person (see `settle_names`)."""
    first = islice(file.items(lambda position: None), _LOOK_AT)
    shapes = [frozenset(item) for _, _, item in first if isinstance(item, dict)]
    return settle_names(names, shapes)


def _name_of(item: dict[str, Any], names: tuple[str, ...]) -> object:
    """Return the value of the first of some columns that a row has, be it empty."""
    return next((item[name] for name in names if name in item), None)


def find_lamp_outputs(path: Path) -> Path | None:
    """Return the `*_outputs.json` next to a `*_questions.json`, either of them packed, or None."""
    outputs = path.with_name(path.name.replace("questions", "outputs"))
    if outputs == path:
        return None
    plain = outputs.with_suffix("") if outputs.suffix in PACKED_SUFFIXES else outputs
    near = (outputs, plain, *(Path(f"{plain}{suffix}") for suffix in PACKED_SUFFIXES))
    return next((each for each in near if each.is_file()), None)


def read_lamp_outputs(path: Path) -> LampOutputs:
    """Return the outputs of a task.

    Raises:
        FormatError: The file is no outputs file of LaMP.
    """
    try:
        with open_text(path).open() as (stream, _, _):
            found = json.loads(stream.read())
        outputs = {str(gold["id"]): gold["output"] for gold in found["golds"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            f"{path.name} beside the questions cannot be read: expected "
            '{"task": ..., "golds": [{"id", "output"}]}; repair it or move it away',
            code="damaged_file",
        ) from None
    task = _TASK.search(str(found.get("task")))
    return LampOutputs(int(task[1]) if task else None, outputs)


def _read_people(
    items: Iterator[Item],
    read_entry: Callable[[dict[str, Any], int, dict[str, Any]], dict[str, object]],
    read_target: Callable[[dict[str, Any]], dict[str, object] | None],
) -> Iterator[Raw | Reject]:
    """Yield the entries of each person's profile, and a target outside it."""
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
            if isinstance(entry, dict):
                yield Raw(line, read_entry(item, index, entry), place)
            else:
                yield Reject(line, "expected a JSON object", place)
        try:
            target = read_target(item)
        except BadRow as error:
            yield Reject(line, f"target: {error}", where, error.code)
        else:
            if target is not None:
                yield Raw(line, target, where, part="target")


def _own(person: object, entry: dict[str, Any]) -> dict[str, object]:
    """Return the values of an entry of a profile.

    A `description` is the maker's of a product, not the person's; only in LaMP-2, where people tag
    films, there is nothing else.
    """
    return {
        "user_id": person,
        "body": first_of(entry, _BODY) or (entry.get("description") if "tag" in entry else None),
        "topic_id": first_of(entry, ("asin",)),
        "title": first_of(entry, _TITLE),
        "rating": first_of(entry, _RATING),
        "timestamp": first_of(entry, _TIME),
    }


def _target(person: object, item: dict[str, Any], output: object) -> dict[str, object]:
    return {
        "user_id": person,
        "body": output,
        "title": item.get("input"),
        "topic_id": first_of(item, ("asin",)),
        "target": True,
    }


def _guess_task(item: dict[str, Any], output: object) -> int | None:
    """Return the number of a task whose outputs are labels, by its rows; None for any other."""
    entry = next((each for each in item.get("profile", ()) if isinstance(each, dict)), {})
    if "tag" in entry:
        return _TAGS
    if "score" in entry:
        return _RATINGS
    return _CHOICES if isinstance(output, str) and _CHOICE.fullmatch(output) else None


def _is_person(head: Head, *names: str) -> bool:
    return head.is_person and set(names) <= set(head.row or ())


def _lamp_outputs_of(path: Path) -> LampOutputs | None:
    outputs = find_lamp_outputs(path)
    return None if outputs is None else read_lamp_outputs(outputs)


BENCHMARKS = (
    Format(
        "pgraphrag",
        'a JSON list of {"id", "profile": [{"rating", "title", "text", "pid"}]}',
        lambda head: _is_person(head, "id") and "input" not in (head.row or {}),
        read_pgraphrag,
        language=lambda path: "pt" if path.name.startswith("b2w") else "en",
        scale=FIVE_STARS,
    ),
    Format(
        "lamp",
        'a JSON list of {"id", "input", "profile": [...]}, a *_questions.json',
        lambda head: _is_person(head, "input"),
        read_lamp,
        check=_lamp_outputs_of,
    ),
    Format(
        "longlamp",
        'a JSON list, or a line each, of {"input", "output", "profile": [...]}',
        lambda head: _is_person(head, "input", "output"),
        read_longlamp,
    ),
)


@dataclass(frozen=True)
class Refused:
    """A well-known data set that is not read.

    Attributes:
        name: Its name.
        fits: Says whether a file is of it.
        reason: Why it is not read, and what to do instead.
    """

    name: str
    fits: Callable[[Head], bool]
    reason: str


def _is_lamp_qa(head: Head) -> bool:
    columns = set(head.row or ())
    return head.is_person and ("rubric_aspects" in columns or {"id", "question"} <= columns)


def _is_personamem(head: Head) -> bool:
    if {"persona_id", "shared_context_id"} <= head.columns:
        return True
    values = list((head.row or {}).values())
    turns = values[0] if len(values) == 1 else None
    return (
        isinstance(turns, list)
        and bool(turns)
        and all(isinstance(turn, dict) and {"role", "content"} <= set(turn) for turn in turns[:3])
    )


REFUSED = (
    Refused(
        "LaMP-QA",
        _is_lamp_qa,
        "it asks for answers that are scored by rubrics; no text of the person has to be written",
    ),
    Refused(
        "PersonaMem",
        _is_personamem,
        "it holds invented chats and multiple-choice questions, no texts that people wrote",
    ),
)
