"""Values as people have them: ids, missing words, ratings, times, languages, read in one place."""

import math
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patlm.stores.datasets.validation import Defaults, Reject, TextFields, validate
from patlm.stores.fields import decimal_mark, read_rating, read_target
from patlm.stores.search.words import similar_ids
from patlm.stores.times import lacks_zone, read_time
from patlm.stores.types import Text
from patlm.stores.values import (
    DecimalMark,
    RatingScale,
    ReadingRules,
    id_to_find,
    normal_id,
    plain,
    read_id,
    read_language,
    read_text,
    read_title,
    read_truth,
)
from pydantic_core import PydanticCustomError
from raising import raises


def fault_of(read: Callable[..., Any], *given: Any) -> str:
    with pytest.raises(PydanticCustomError) as caught:
        read(*given)
    return caught.value.type


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("u-gus ", "u-gus"),
        ("\u00a0u-gus\t", "u-gus"),
        ("\ufeffzo\u00eb\u200b", "zo\u00eb"),
        ("\u200e\u00a0\u200ezoe\u200b \u200b", "zoe"),  # marks and spaces by turns
        ("\u202a+49 151\u202c", "+49 151"),  # as chats are exported
        ("\u2068zoe\u2069", "zoe"),
        ("1e10", "1e10"),  # a hash, or a number to the base of 36
        ("1e12345", "1e12345"),
        ("jose\u0301", "jos\u00e9"),
        ("\u1112\u1161\u11ab", "\ud55c"),  # Hangul in parts
        (123, "123"),
        (123.0, "123"),
        ("123.0", "123"),
        ("123.00", "123"),
        ("-7.0", "-7"),
        ("v1.0", "v1.0"),
        ("1.5", "1.5"),
        ("0042", "0042"),
        (Decimal("123"), "123"),
        (np.int64(123), "123"),
        (np.float32(123), "123"),
        (np.str_("ann"), "ann"),
        (2.0**53 - 1, "9007199254740991"),
        (np.float32(2**24 - 1), "16777215"),
        (Decimal(2**53 + 1), "9007199254740993"),
        ("9007199254740991.0", "9007199254740991"),
        (10**30, "1" + "0" * 30),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("Null", "Null"),  # a family name
        ("Nan", "Nan"),
        ("banana", "banana"),
    ],
)
def test_one_person_has_one_id(given: object, read: str) -> None:
    assert read_id("user", given) == read
    assert normal_id(read) == read, "a normal form stays as it is"


@given(st.text("a1.0 \u200b\u200e\u202a\u00a0\u3000\u0301e\ufeff", max_size=12))
def test_a_normal_form_stays_as_it_is(words: str) -> None:
    """Otherwise a store refuses an id that was read, and with it the whole file."""
    assert normal_id(normal_id(words)) == normal_id(words)


@pytest.mark.parametrize(
    "word",
    ["nan", "NaN", "None", "none", "null", "NULL", "<NA>", "\\N", "NaT", "NA", "n/a", "", " nan "]
    + ["[deleted]", "[removed] ", "\u200b"],
)
def test_words_for_a_missing_value_are_no_ids(word: str) -> None:
    assert read_id("user", word) == ""
    assert validate({"user_id": word, "body": "x"}, Defaults()) == Reject(
        0, "no user", code="user_missing"
    )


@pytest.mark.parametrize(
    "value",
    [None, math.nan, np.float64("nan"), np.longdouble("nan"), Decimal("NaN"), Decimal("sNaN")]
    + [pd.NA, pd.NaT],
)
def test_values_of_data_frames_that_stand_for_none(value: object) -> None:
    reading = ReadingRules()
    assert read_truth("shared_id", value) is None
    assert read_target(value, reading) is False and not reading.noted
    assert read_title(value) == read_language(value) == ""
    assert read_id("user", value) == ""
    assert read_text("text", value) == ""
    assert read_rating(value) is None
    assert read_time(value) is None


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (True, "user_type"),
        (np.True_, "user_type"),
        (12.5, "user_type"),
        (math.inf, "user_type"),
        (["u"], "user_type"),
        (2.0**53, "user_inexact"),  # the next person's id becomes the same float
        (np.float32(16_777_217), "user_inexact"),  # as that of 16,777,216
        (np.float16(2_049), "user_inexact"),
        ("9007199254740992.0", "user_inexact"),  # what a program leaves of a column of floats
        ("1.23457E+17", "user_inexact"),  # what a spreadsheet leaves of a long number
        ("1,23457E+17", "user_inexact"),
        ("1.2E20", "user_inexact"),
        ("1e+20", "user_inexact"),
        ("a\x00b", "user_nul"),
        ("a\ud800", "user_encoding"),
        ("a" * 100_001, "user_length"),
    ],
)
def test_what_can_be_no_id(given: object, fault: str) -> None:
    assert fault_of(read_id, "user", given) == fault


def test_a_user_called_nan_can_still_be_found() -> None:
    """By `forget`: an earlier version kept such users."""
    assert (id_to_find("user", " nan "), id_to_find("user", "u ")) == ("nan", "u")
    assert id_to_find("user", " ") == ""


def test_texts_keep_white_space_and_may_say_no() -> None:
    assert read_text("text", "  a\n") == "  a\n"
    assert read_text("text", " nan ") == read_text("text", "\u200b\n\ufeff") == ""
    answers = ["N/A", "-", "NA", "none", "NONE"]
    assert [read_text("text", said) for said in answers] == answers
    assert fault_of(read_text, "text", 5) == "text_type"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (4, 4.0),
        ("4", 4.0),
        ("4.0", 4.0),
        ("4,5", 4.5),
        ("5.0 out of 5 stars", 5.0),
        ("4/5", 4.0),
        ("4 von 5 Sternen", 4.0),
        ("4,0 de 5 estrellas", 4.0),
        *(
            (f"{n} {word}", n)
            for n, words in {
                1: "star Stern stella estrella estrela étoile",
                2: "stars Sterne Sternen stelle estrellas estrelas étoiles",
            }.items()
            for word in words.split()
        ),
        ("★★★★☆", 4.0),
        (Decimal("4.5"), 4.5),
        (np.int8(3), 3.0),
        (np.float32(4.5), 4.5),
        ("NA", None),
        ("-", None),
        ("nan", None),
        ("", None),
    ],
)
def test_ratings_as_they_are_written(given: object, read: float | None) -> None:
    assert read_rating(given) == read


@pytest.mark.parametrize("given", [0, 0.0, "0", "0.0", np.float64(0)])
def test_zero_is_no_rating_where_the_scale_begins_above_it(given: object) -> None:
    reading = ReadingRules()
    assert read_rating(given, reading) is None
    assert reading.noted == {"rating_zero": 1}
    assert read_rating(given, ReadingRules(RatingScale(0, 10))) == 0.0
    assert fault_of(read_rating, given) == "rating_scale"  # a call has to say None


@pytest.mark.parametrize(
    "given", [6, 10, "7", -1, 0.5, math.inf, -math.inf, "inf", "8/10", "9 / 10"]
)
def test_ratings_of_another_scale_are_refused(given: object) -> None:
    assert fault_of(read_rating, given, ReadingRules()) == "rating_scale"


@pytest.mark.parametrize("mark", [",", ".", "unknown"])
def test_a_mark_that_may_be_of_thousands_is_read_as_its_file_shows(mark: DecimalMark) -> None:
    read = {",": (1.234, 1234.0), ".": (1234.0, 1.234), "unknown": (None, 1.234)}[mark]
    reading = ReadingRules(RatingScale(0, 5000), decimal_mark=mark)
    assert (read_rating("1,234", reading), read_rating(" 1.234", reading)) == read
    assert reading.noted == ({"rating_unreadable": 1} if mark == "unknown" else {})
    clear = {"4,5": 4.5, "4.50": 4.5, "0,125": 0.125, "1,2345": 1.2345}
    assert [read_rating(each, reading) for each in clear] == list(clear.values())
    five = ReadingRules(decimal_mark=mark)
    assert read_rating("4,333 von 5", five) == read_rating("4.333 out of 5", five) == 4.333


def test_a_rating_of_a_call_that_may_be_two_is_refused() -> None:
    assert fault_of(read_rating, "1,234") == "rating_unreadable"
    assert read_rating("1.234") == 1.234


@pytest.mark.parametrize(
    ("given", "mark"),
    [("4,5", ","), ("4.5", "."), ("4,50 von 5", ","), ("1,234", "unknown"), ("1.234", None)]
    + [("4,333 von 5", ","), ("5", None), ("good", None), (4.5, None), (None, None)],
)
def test_what_a_rating_shows_of_its_decimals(given: object, mark: str | None) -> None:
    assert decimal_mark(given) == mark


def test_a_text_is_kept_without_a_rating_that_cannot_be_read() -> None:
    reading = ReadingRules()
    assert [read_rating(given, reading) for given in ("good", True, [4])] == [None] * 3
    assert reading.noted == {"rating_unreadable": 3}
    assert fault_of(read_rating, "good") == fault_of(read_rating, True) == "rating_unreadable"


def test_a_scale_is_told_by_its_ends() -> None:
    assert RatingScale.parse("0-10") == RatingScale.parse(" 0 to 10 ") == RatingScale(0, 10)
    assert str(RatingScale.parse("0.5-5")) == "0.5-5"
    assert RatingScale(1, 10).span == 9
    assert read_rating("8/10", ReadingRules(RatingScale(1, 10))) == 8
    for wrong in ("5", "5-1", "a-b", "1-1", ""):
        with raises(ValueError, None, "0-10"):
            RatingScale.parse(wrong)


MAY_1 = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        (20240501, MAY_1),
        ("20240501", MAY_1),
        (202405, MAY_1),
        ("2024-05", MAY_1),
        ("2024-5-1", MAY_1),
        ("2024/05/01", MAY_1),
        ("2024-05-01", MAY_1),
        ("2024-05-01T00:00:00Z", MAY_1),
        ("2024-05-01 02:00:00+02:00", MAY_1),
        (20240501103000, MAY_1 + timedelta(hours=10, minutes=30)),
        (202405011030, MAY_1 + timedelta(hours=10, minutes=30)),
        (197607081230, datetime(1976, 7, 8, 12, 30, tzinfo=UTC)),  # no milliseconds of 1976
        (2014, datetime(2014, 1, 1, tzinfo=UTC)),
        ("2014", datetime(2014, 1, 1, tzinfo=UTC)),
        ("2014.0", datetime(2014, 1, 1, tzinfo=UTC)),
        (1_714_521_600, MAY_1),
        (1_714_521_600.0, MAY_1),
        ("1714521600", MAY_1),
        (1_714_521_600_000, MAY_1),
        (1_714_521_600_000_000, MAY_1),
        (1_714_521_600_000_000_000, MAY_1),
        ("Wed May 01 00:00:00 +0000 2024", MAY_1),
        ("Tue Apr 30 17:00:00 PDT 2024", MAY_1),
        ("Wed, 01 May 2024 00:00:00 GMT", MAY_1),
        ("Wed May 01 2024 02:00:00 GMT+0200 (Central European Summer Time)", MAY_1),  # a browser
        ("Wed May 01 02:00:00 GMT+02:00 2024", MAY_1),
        ("2024/05/01 3:00 UTC+3", MAY_1),
        ("May 1, 2024 2:00 AM GMT +2", MAY_1),
        ("2024-05-01 00:00:00 +0000 UTC", MAY_1),
        ("2024-04-30 17:00:00 PDT", MAY_1),
        ("Wed May 01 02:00:00 CEST 2024", MAY_1),
        ("Apr 30, 2024 8:00 PM EDT", MAY_1),
        ("05 1, 2024", MAY_1),  # Amazon's reviewTime
        ("May 1, 2024", MAY_1),
        ("12/25/2024", datetime(2024, 12, 25, tzinfo=UTC)),
        ("25.12.2024", datetime(2024, 12, 25, tzinfo=UTC)),
        (datetime(2024, 5, 1), MAY_1),  # without a zone: UTC on every machine
        (datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))), MAY_1),
        (date(2024, 5, 1), MAY_1),
        (np.datetime64("2024-05-01T00:00:00", "ns"), MAY_1),
        (np.datetime64(1_714_521_600_000_000_000 // 25, "25ns"), MAY_1),
        (np.datetime64(1_714_521_600_000_000, "us"), MAY_1),
        (np.datetime64("2024-05", "M"), MAY_1),
        (pd.Timestamp("2024-05-01"), MAY_1),
        (Decimal(1_714_521_600), MAY_1),
        (-1_000_000_000, datetime(1938, 4, 24, 22, 13, 20, tzinfo=UTC)),
        ("1970-01-02", datetime(1970, 1, 2, tzinfo=UTC)),
        (1900, datetime(1900, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_told_apart_by_their_size(given: object, moment: datetime) -> None:
    assert read_time(given) == round(moment.timestamp() * 1000)


def test_zones_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "tzname", ("CET", "BST"))
    assert read_time("2024-05-01 02:00:00 CET") == round(MAY_1.timestamp() * 1000) + 3_600_000
    assert read_time("2024-05-01 02:00:00 BST", ReadingRules()) is None


def test_a_time_without_zone_is_told() -> None:
    assert not lacks_zone("Fri Aug 25 13:55:02 -0700 2017")  # of Goodreads
    assert not any(map(lacks_zone, ("2024-05-01T10:00:00Z", "1 May 2024 10:00 +0200")))
    assert all(
        map(lacks_zone, ("2024-05-01 10:00:00", "Wed May 01 10:00:00 2024", "May 1 5:00 pm"))
    )


@pytest.mark.parametrize("given", [0, "0", 0.0, np.int64(0), None, "", "nan", np.datetime64("NaT")])
def test_no_time_is_no_time(given: object) -> None:
    assert read_time(given) is None


@pytest.mark.parametrize(
    "given",
    [0, 0.0, "0", "0.0", "-0", np.int64(0), Decimal(0)]
    + ["1970-01-01", "1970-01-01 00:00:00", datetime(1970, 1, 1), pd.Timestamp(0)]
    + ["0001-01-01T00:00:00", "1900-01-01", datetime(1900, 1, 1)],  # .NET, spreadsheets
)
def test_a_time_of_zero_is_missing_and_counted(given: object) -> None:
    reading = ReadingRules()
    assert read_time(given, reading) is None
    assert reading.noted == {"timestamp_zero": 1}


@pytest.mark.parametrize("given", [None, "", "nan", np.datetime64("NaT"), math.nan])
def test_no_time_is_not_counted(given: object) -> None:
    reading = ReadingRules()
    assert read_time(given, reading) is None and not reading.noted


@pytest.mark.parametrize(
    "given",
    ["05/01/2024", "1/2/2012", 20240532, 5, 45413, 99_999_999, 10**10 * 5, 10**13 * 5, 1e300]
    + [math.inf, True, "soon", "10:00", "May 1", "2013-13-01", [2024]]
    + ["2024-05-01 10:00:00 IST", "Wed May 01 10:00:00 BST 2024"]  # zones of several countries
    + ["03.06.24", "3/6/24", "3 June 24", "24-06-03"]  # a year in two digits
    + [np.datetime64("30000-01-01", "s"), np.datetime64(2**62, "s"), np.datetime64(2**61, "Y")]
    + [np.datetime64(-4000, "Y"), np.timedelta64(10**9, "ns"), np.timedelta64(44, "Y")],
)
def test_what_cannot_be_told_is_said_and_never_1970(given: object) -> None:
    reading = ReadingRules()
    assert read_time(given, reading) is None
    assert reading.noted == {"timestamp_unreadable": 1}
    assert fault_of(read_time, given) == "timestamp_unreadable"


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("en", "en"), ("EN", "en"), ("pt_BR", "pt-BR"), ("zh-hans-cn", "zh-Hans-CN"),
        ("en_US.UTF-8", "en-US"), ("gsw", "gsw"), (None, ""), ("nan", ""), (" ", ""),
    ],
)  # fmt: skip
def test_language_tags(given: object, read: str) -> None:
    assert read_language(given) == read


@pytest.mark.parametrize(
    "given", ["english", "Chinese (Simplified, China)", "e", "en-", "x" * 30, 5]
)
def test_what_is_no_language_tag(given: object) -> None:
    assert fault_of(read_language, given).startswith("language_")


def test_only_true_and_false_make_a_target() -> None:
    reading = ReadingRules()
    assert [read_target(value, reading) for value in (True, "true", "TRUE", np.True_)] == [True] * 4
    assert not any(read_target(value, reading) for value in (False, "false", None, "", "nan"))
    assert not reading.noted
    labels = (0, 1, 4, "1", "positive", 1.0)
    assert not any(read_target(value, reading) for value in labels)
    assert reading.noted == {"target_unreadable": 6}


def test_a_row_becomes_a_text_or_says_which_field_is_wrong() -> None:
    defaults = Defaults("shop", "de", ReadingRules())
    row: dict[str, Any] = {"user_id": 7.0, "body": " Gut. ", "topic_id": "45.0", "rating": "4,5"}
    row["title"] = Decimal("1917.00")
    text = validate({**row, "timestamp": 2014, "source_id": "r1"}, defaults, position=3)
    assert isinstance(text, Text)
    assert (text.user_id, text.body, text.topic_id, text.title) == ("7", " Gut. ", "45", "1917")
    assert (text.rating, text.timestamp, text.language) == (4.5, 1_388_534_400_000, "de")
    assert (text.namespace, text.position, text.source_id) == ("shop", 3, "r1")
    for fields, code in (
        ({"body": "x"}, "user_missing"),
        ({"user_id": "u"}, "text_missing"),
        ({"user_id": "u", "body": "nan"}, "text_missing"),
        ({**row, "language": "Chinese (Simplified, China)"}, "language_unreadable"),
        ({**row, "rating": 7}, "rating_scale"),
        ({**row, "colour": "red"}, "extra_forbidden"),
        ({**row, "shared_id": "perhaps"}, "shared_id_type"),
    ):
        reject = validate(fields, defaults, line=9, place=".[2]")
        assert isinstance(reject, Reject)
        assert (reject.line, reject.place, reject.code) == (9, ".[2]", code)


def test_every_field_of_a_text_is_described() -> None:
    assert all(field.description for field in TextFields.model_fields.values())


def test_similar_ids_differ_in_form_first() -> None:
    ids = ["U-ANA", "u ana", "u-anna", "u-ben", "ana", "zoe", "\u00fc-ana"]
    assert similar_ids("u-ana", ids, 4) == ("U-ANA", "u ana", "\u00fc-ana")
    assert similar_ids("u-anne", ids, 4)[0] == "u-anna"
    assert similar_ids("u-ana", ids, 2) == ("U-ANA", "u ana")
    assert similar_ids("nobody like them", ids, 3) == ()


class _Kind(str, Enum):  # noqa: UP042 - the older way, whose str() is the name
    TEA = "tea"


class _Number(int, Enum):
    SEVEN = 7


def test_a_member_of_an_enumeration_is_its_value() -> None:
    assert read_id("topic", _Kind.TEA) == "tea"
    assert read_id("user", _Number.SEVEN) == "7"


def test_a_long_double_is_a_number() -> None:
    assert plain(np.longdouble(4.5)) == 4.5


@pytest.mark.parametrize("scale", ["0-1000000", "0.00001-1", "1-5.123456789", "0-10", "1-5"])
def test_a_scale_is_read_as_it_is_written(scale: str) -> None:
    assert str(RatingScale.parse(scale)) == scale


def test_a_scale_has_ends_and_those_of_earlier_versions_are_read() -> None:
    assert RatingScale.parse("0-1e+06") == RatingScale(0, 1_000_000)
    with pytest.raises(ValueError):
        RatingScale.parse(f"1-{'9' * 400}")
