"""Times in words: every form, time of day and zone against `datetime`, on machines of any zone."""

import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import product

import pytest
from patlm.stores.datasets.validation import Defaults, validate
from patlm.stores.times import date_order, lacks_zone, read_time
from patlm.stores.types import Text
from patlm.stores.values import ReadingRules

DAYS = [
    "%b %d, %Y {}", "%a, %b %d, %Y {}", "%d %B %Y {}", "{} %d %b %Y", "{}, %A %d %B %Y",
    "%a %b %d %Y {}", "%d-%b-%Y at {}", "%Y-%m-%d {}", "%Y/%m/%d, {}", "%d.%m.%Y {}",
    "%m/%d/%Y {}", "%a %b %d {} %Y",
]  # fmt: skip
CLOCKS = [
    "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H.%M", "%Hh%M", "%I:%M %p", "%I:%M%p", "%I:%M:%S\u202f%p",
    "%I.%M p.m.",
]  # fmt: skip
ZONES = {
    "": 0, " GMT": 0, " UTC": 0, " Z": 0, " (UTC)": 0, " +0000": 0, " -0000": 0,
    " GMT+2": 2, " UTC+2": 2, " UTC +02:00": 2, " GMT+0200 (CEST)": 2, " +0200": 2, "+02:00": 2,
    " UTC-7": -7, " GMT-0700": -7, " -0700": -7, " \N{MINUS SIGN}07:00": -7, " GMT+530": 5.5,
    " EST": -5, " EDT": -4, " CST": -6, " CDT": -5, " MST": -7, " MDT": -6, " PST": -8, " PDT": -7,
    " CET": 1, " CEST": 2, " (CEST)": 2, " NZDT": 13,
}  # fmt: skip


@pytest.fixture(params=["CET-1CEST", "EST5EDT"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine in some zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_every_form_of_a_time_is_read_as_datetime_writes_it(machine: str) -> None:
    hours = {"%H": (0, 17), "%I": (0, 12, 17), "%I.": (12, 17)}
    wrong = {}
    for day, clock, (zone, hours_east) in product(DAYS, CLOCKS, ZONES.items()):
        if "(" in zone and not day.endswith("{}"):
            continue  # what stands in brackets is the end
        for hour in hours["%I." if "p.m." in clock else clock[:2]]:
            zoned = timezone(timedelta(hours=hours_east))
            moment = datetime(2024, 6, 23, hour, 30, 15 if "%S" in clock else 0, tzinfo=zoned)
            words = moment.strftime(day.format(clock + zone))
            if read_time(words, ReadingRules()) != round(moment.timestamp() * 1000):
                wrong[words] = read_time(words, ReadingRules())
            assert lacks_zone(words) is (zone == ""), words
    assert not wrong, f"{len(wrong)}: {list(wrong.items())[:5]}"


@pytest.mark.parametrize(
    "words",
    [f"3 June 2024 17:01{zone}" for zone in (" BST", " IST", " XYZ", " (BST)", "A")]
    + ["Jun 3 17:01:00 BST 2024", "2024-06-03 17:01 Europe/Berlin", "2024-06-03 17:01 GMT+25"]
    + ["June 3, 2024 17:01 PM", "June 3, 2024 25:01", "10.30 3 Jun 24", "3 Jun 24 10:30 +0200"]
    + ["June 2024 17:01", "17:01 to 18:01 3 June 2024", "31 June 2024", "mar. 3 dec. 2024"],
)
def test_what_is_not_known_in_full_is_left_out(machine: str, words: str) -> None:
    reading = ReadingRules()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_time(words, reading) is None
    assert reading.noted == {"timestamp_unreadable": 1}


@pytest.mark.parametrize(
    ("order", "read"),
    [("alone", (None, 13, 13)), ("day", (2, 13, None)), ("month", (6, None, 13))]
    + [("unknown", (None, None, None))],
)
def test_dates_in_numbers_are_read_in_the_order_of_their_file(
    order: str, read: tuple[int | None, ...]
) -> None:
    defaults = Defaults(reading=ReadingRules(date_order=order))  # type: ignore[arg-type]
    found = []
    for words in ("02.06.2024", "13.06.2024", "06/13/2024 10:30"):
        text = validate({"user_id": "u", "body": "Fine.", "timestamp": words}, defaults)
        assert isinstance(text, Text)
        when = text.timestamp
        found.append(None if when is None else datetime.fromtimestamp(when / 1000, UTC).day)
    assert tuple(found) == read


@pytest.mark.parametrize(
    ("value", "order"),
    [("13.06.2024", "day"), ("6/13/2024 5:01 PM", "month"), ("02-06-2024 17:01", "unknown")]
    + [("06.06.2024", "alone"), ("45.3.2024", None), ("2024-06-02", None), ("05 1, 2024", None)]
    + [("3 June 2024", None), ("20240603", None), (5, None), (None, None)],
)
def test_which_order_a_date_shows(value: object, order: str | None) -> None:
    assert date_order(value) == order
