"""Delimited text: a broken record costs that record, and no line becomes another person's row."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patlm.stores.datasets.formats import read_texts
from patlm.stores.datasets.readers.columns import find_forms
from patlm.stores.datasets.readers.delimited import CsvDialect, Line, _count_faults, _find_faults
from patlm.stores.datasets.readers.rows import Raw
from patlm.stores.datasets.validation import FormatError, Reject
from patlm.stores.types import Text
from patlm.stores.values import ReadingRules
from raising import raises

HEAD = "user_id,text,rating\n"


def read(path: Path, content: str, **options: Any) -> tuple[list[Text], list[Reject]]:
    path.write_text(content, newline="")
    rows = list(read_texts(path, **options))
    texts = [row for row in rows if isinstance(row, Text)]
    return texts, [row for row in rows if isinstance(row, Reject)]


def plain(start: int, end: int) -> str:
    return "".join(f"u{i},plain good text number {i},{1 + i % 5}\n" for i in range(start, end))


def test_quotes_escaped_by_a_backslash(tmp_path: Path) -> None:
    content = (
        HEAD + 'u1,"He said \\"never again\\" and left.\n'
        "ana,I hated this place and the people,1\n"
        'warm soup though, fine,",4\n'
        "ana,Lovely soup and warm bread,5\n"
    )
    (first, second), rejects = read(tmp_path / "a.csv", content)
    assert not rejects
    assert (first.user_id, first.rating) == ("u1", 4.0)
    assert first.body == (
        'He said "never again" and left.\nana,I hated this place and the people,1\n'
        "warm soup though, fine,"
    )
    assert (second.user_id, second.body) == ("ana", "Lovely soup and warm bread")


def test_a_backslash_at_the_end_is_no_escape_where_quotes_are_doubled(tmp_path: Path) -> None:
    content = HEAD + 'u1,"Look in C:\\files\\",4\nu2,"He said ""no"" twice",5\n'
    (first, second), rejects = read(tmp_path / "a.csv", content)
    assert not rejects
    assert (first.body, second.body) == ("Look in C:\\files\\", 'He said "no" twice')


def test_a_lost_closing_quote_costs_one_row(tmp_path: Path) -> None:
    content = (
        HEAD
        + plain(0, 500)
        + 'u0,"a lost closing quote,4\n'
        + plain(500, 1500)
        + 'u9,"a good, quoted text",4\n'
        + plain(1500, 1600)
    )
    texts, rejects = read(tmp_path / "e.csv", content)
    assert len(texts) == 1_601
    assert [(reject.line, reject.code) for reject in rejects] == [(502, "csv")]
    assert {text.user_id for text in texts if "," in text.body} == {"u9"}


@pytest.mark.parametrize(
    ("broken", "kept", "rejected"),
    [
        # A lost quote, then rows without any quote to the end of the file.
        ('u0,"lost,4\n' + "u1,fine,5\nu2,good,4\n", ["fine", "good"], [2]),
        # A lost opening quote is a text that ends in one.
        ('u0,lost open",4\nu1,fine,5\n', ['lost open"', "fine"], []),
        # Two lost quotes, with quoted texts between.
        (
            'u0,"lost,4\nu1,fine,5\nu2,"so, good",4\nu3,"lost too,1\nu4,"last, one",2\n',
            ["fine", "so, good", "last, one"],
            [2, 5],
        ),
        # A text of three lines with a stray quote: its second line looks like a row of ana's.
        (
            'u0,"He said "never again" and left.\nana,I hated it,1\nwarm soup, fine",4\n'
            "ben,Nice.,5\n",
            ["Nice."],
            [2],
        ),
        # The same, whose other lines look like nothing.
        (
            'u0,"He said "never" and left.\n\nSoup, bread, and rain.\nThe end",4\nben,Nice.,5\n',
            ["Nice."],
            [2],
        ),
        # A stray pair of quotes leaves nothing open.
        ('u0,"quo"ted,5\nben,Nice.,5\n', ["Nice."], [2]),
        # One column too many costs one line.
        ("u0,one,column,4\nben,Nice.,5\n", ["Nice."], [2]),
    ],
)
def test_damage_stays_small(
    tmp_path: Path, broken: str, kept: list[str], rejected: list[int]
) -> None:
    texts, rejects = read(tmp_path / "a.csv", HEAD + broken)
    assert [text.body for text in texts] == kept
    assert [reject.line for reject in rejects] == rejected


def test_tab_separated_files_without_quotes(tmp_path: Path) -> None:
    content = "user_id\ttext\n" + "".join(f'u{i}\t"So" he said {i}\n' for i in range(9))
    texts, rejects = read(tmp_path / "a.tsv", content)
    assert not rejects
    assert texts[3].body == '"So" he said 3'


def test_missing_values_of_databases(tmp_path: Path) -> None:
    content = 'user_id,text,rating\nu1,"a \\"b\\" c",\\N\n\\N,"x \\"y\\"",4\n'
    (text,), (reject,) = read(tmp_path / "a.csv", content)
    assert (text.body, text.rating, reject.code) == ('a "b" c', None, "user_missing")


def test_long_columns_and_lines(tmp_path: Path) -> None:
    content = HEAD + f"u1,{'a' * 140_000},5\nu2,fine,5\nu3,{'b' * 5_000_000},5\nu4,good,5\n"
    texts, rejects = read(tmp_path / "a.csv", content)
    assert [text.body for text in texts] == ["fine", "good"]
    assert [reject.line for reject in rejects] == [2, 4]


def test_names_of_columns(tmp_path: Path) -> None:
    rows = read_texts(_written(tmp_path, "User_ID , TEXT,votes,\nu1,fine,3,x\n"))
    assert (rows.columns["user_id"], rows.columns["body"]) == (["User_ID"], ["TEXT"])
    assert rows.unread == ["votes"]
    twice = read_texts(_written(tmp_path, "user,text,text\nu1,first,second\n"))
    (text,) = twice
    assert isinstance(text, Text) and text.body == "first"
    assert any("named twice" in note for note in twice.notes)


@pytest.mark.parametrize(
    "content",
    [
        '"user_id","text","rating"\nu1,"He said ""fine"", twice",5\n',
        '\ufeff"user_id","text","rating"\r\n"u1","He said ""fine"", twice","5"\r\n',
        ',user_id,text,rating\n0,u1,"He said ""fine"", twice",5\n',  # the index of a data frame
        'Unnamed: 0,"",user_id,text,rating\n0,0,u1,"He said ""fine"", twice",5.0\n',
    ],
)
def test_heads_in_quotes_and_columns_without_a_name(tmp_path: Path, content: str) -> None:
    ((text,), rejects) = read(tmp_path / "a.csv", content)
    assert (text.user_id, text.body, text.rating) == ("u1", 'He said "fine", twice', 5.0)
    assert not rejects


def test_nul_and_other_marks_are_kept_in_texts(tmp_path: Path) -> None:
    (text,), _ = read(tmp_path / "a.csv", 'user,text\nu1,"a\x00b\x85c\u2028d\re"\n')
    assert text.body == "a\x00b\x85c\u2028d\re"


def test_carriage_returns_in_texts_without_quotes(tmp_path: Path) -> None:
    """As data frames write them, with LF at the ends of lines and with CRLF."""
    for end in ("\n", "\r\n"):
        content = end.join(["user,text,rating", "u1,one\rtwo,4", "u2,three,5", ""])
        texts, rejects = read(tmp_path / "a.csv", content)
        assert [text.body for text in texts] == ["one\rtwo", "three"]
        assert not rejects


def _written(folder: Path, content: str) -> Path:
    path = folder / "columns.csv"
    path.write_text(content)
    return path


def test_a_broken_row_does_not_hide_how_quotes_are_escaped(tmp_path: Path) -> None:
    """Both readings have one fault; the one that a backslash escapes keeps more rows."""
    lines = [
        '"user_id";"text";"topic";"title"',
        r'"u";"I said \"no\".";"t";""',
        '"0";"0";"0";""',
        '"0";"0";"0";""',
        r'"0";"0";"0";"\""',
        "one column",
        '"0";"0";"0";""',
    ]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n")
    found = list(read_texts(path))
    texts = [row for row in found if isinstance(row, Text)]
    assert [text.body for text in texts] == ['I said "no".', "0", "0", "0", "0"]
    assert texts[3].title == '"' and len(found) == 6


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize(
    "words",
    [
        "C:\\new\\temp",
        "a\\b",
        '"\\d"',
        'say "a\\tb"',
        "\\N\\0",
        "\\, and\\",
        "one\\\ntwo",
        "^\\w+$",
    ],
)
def test_backslashes_of_texts_are_kept(tmp_path: Path, words: str, pairs: bool) -> None:
    """Whether the writer escapes them, as MySQL and Python, or only quotes, as Spark and PHP."""
    if pairs:
        escaped = [
            each.replace("\\", "\\\\").replace('"', '\\"') for each in ('"so"', "C:\\d", words)
        ]
    else:  # a backslash before a quote or at the end has to be doubled, or the text would go on
        escaped = ['\\"so\\"', "C:\\d", re.sub(r'(\\*)"', r'\1\1\\"', words)]
        escaped[2] = re.sub(r"(\\+)$", r"\1\1", escaped[2])
    rows = "".join(f'u{n},"{each}",4\n' for n, each in enumerate(escaped))
    texts, rejects = read(tmp_path / "a.csv", HEAD + rows)
    assert ([text.body for text in texts], rejects) == (['"so"', "C:\\d", words], [])


def test_a_header_that_comes_again_is_no_person(tmp_path: Path) -> None:
    other = "text, rating,user_id\nGood.,3,ben\n"
    content = HEAD + "ana,Fine.,4\n" + HEAD + "ana,Better.,5\n\ufeff" + HEAD + other
    texts, rejects = read(tmp_path / "a.csv", content)
    assert [(text.user_id, text.body, text.rating) for text in texts] == [
        ("ana", "Fine.", 4.0),
        ("ana", "Better.", 5.0),
        ("ben", "Good.", 3.0),
    ]
    assert [(reject.line, reject.code) for reject in rejects] == [
        (3, "header"),
        (5, "header"),
        (6, "header"),
    ]


def test_empty_rows_of_a_sheet_are_no_rows(tmp_path: Path) -> None:
    texts, rejects = read(tmp_path / "a.csv", HEAD + "ana,Fine.,4\n,,\n\n" + ",,\n" * 9 + ",,,,\n")
    assert ([text.user_id for text in texts], rejects) == (["ana"], [])


@pytest.mark.parametrize(
    "above", [",,\n", '"","",""\r\n,,\r\n', " , ,\r\r\n", "\ufeff,,\n", "sep=,\n,,\n"]
)
def test_empty_rows_above_the_header_are_no_header(tmp_path: Path, above: str) -> None:
    end = "\r\r\n" if "\r\r" in above else "\n"
    texts, rejects = read(tmp_path / "a.csv", above + f"user,rating,text{end}ana,4,Fine.{end}")
    assert ([(text.user_id, text.body) for text in texts], rejects) == ([("ana", "Fine.")], [])


@pytest.mark.parametrize("blank", [";", ",", "|\n", ' ; "";\n\n;\n', "sep=;\n;;\n"])
def test_a_file_of_empty_rows_is_refused(tmp_path: Path, blank: str) -> None:
    with raises(FormatError, "unknown_format", "a.csv"):
        read(tmp_path / "a.csv", blank)


@pytest.mark.parametrize("end", ["\r\r\n", "\r\n", "\n", "\r"])
def test_ends_of_lines(tmp_path: Path, end: str) -> None:
    """CR CR LF is CRLF that a program wrote as text on Windows."""
    lines = ["user,rating,text", "ana,4,Fine.", 'ben,5,"Two', 'lines"', ""]
    texts, rejects = read(tmp_path / "a.csv", end.join(lines))
    inside = end.replace("\r\r", "\r") if end != "\r" else "\n"
    assert ([text.body for text in texts], rejects) == (["Fine.", f"Two{inside}lines"], [])


def test_one_bad_row_leaves_a_file_without_quotes_as_it_is(tmp_path: Path) -> None:
    rows = [f'u{n}\t"So" he said, {n}\n' for n in range(9)]
    texts, (reject,) = read(tmp_path / "a.tsv", "user\ttext\n" + "".join([*rows, "bad\n"]))
    assert texts[3].body == '"So" he said, 3' and len(texts) == 9 and reject.code == "columns"


@pytest.mark.parametrize("doubled", ["", ', ""so""'])
def test_stray_quotes_leave_a_file_with_quotes_as_it_is(tmp_path: Path, doubled: str) -> None:
    rows = [f'u{n}\t"Text, {n}{doubled}"\n' for n in range(40 if doubled == "" else 5)]
    strays = ['s\t"So" he said\n'] * 3
    texts, rejects = read(tmp_path / "a.tsv", "user\ttext\n" + "".join([*rows, *strays]))
    assert texts[2].body == "Text, 2" + doubled.replace('""', '"') and len(rejects) == 3


@pytest.mark.parametrize("quote", ["", '"Great" '])
def test_imdb62_with_more_commas_than_tabs(tmp_path: Path, quote: str) -> None:
    words = "one, two, three, four, five, six, seven, and no end"
    rows = [f"{n}\t33{n}\t100\t{n}.0\t{quote}Film\tText {n}, {words[: 9 * n]}\n" for n in (5, 2, 3)]
    path = tmp_path / "imdb62.txt"
    texts, rejects = read(path, "".join(rows))
    assert ([text.user_id for text in texts], rejects) == (["335", "332", "333"], [])
    assert (read_texts(path).format, texts[0].title) == ("imdb62", f"{quote}Film")


def test_what_is_too_long_is_called_that_and_a_long_column_is_not(tmp_path: Path) -> None:
    rows = [
        f"u0,good,{'x' * 1_000_000}",  # a column that is not read
        f"u1,{'a' * 140_000},5",
        f"u2,{'b' * 5_000_000},5",
        'u3,"' + f"{'c' * 999_999}\n" * 4 + f'{"c" * 999_999}",5',
        "u4,good,5",
    ]
    texts, rejects = read(tmp_path / "a.csv", "user,text,other\n" + "\n".join(rows))
    assert [text.user_id for text in texts] == ["u0", "u4"]
    assert [reject.code for reject in rejects] == ["text_length", "line_length", "csv"]
    assert "4,000,000" in rejects[-1].reason


@given(st.lists(st.text('ab,;"\r\\ ', max_size=8), min_size=1, max_size=12), st.sampled_from(",;"))
def test_the_quick_count_of_faults_is_that_of_the_reader(lines: list[str], mark: str) -> None:
    sample: list[Line] = [(n, f"{line}\n") for n, line in enumerate(lines, start=1)]
    dialect = CsvDialect(mark)
    faults = list(_find_faults(sample, dialect))
    assert _count_faults(sample, dialect) == (sum(faults), len(faults) - sum(faults))


def test_dates_and_ratings_show_their_form_in_one_reading() -> None:
    columns = {"rating": ("rating",), "timestamp": ("time",)}
    taken = 0

    def rows(*ratings: str) -> Iterator[Raw]:
        nonlocal taken
        for taken, rating in enumerate(ratings, start=1):
            yield Raw(taken, {"rating": rating, "timestamp": "13.06.2024"})

    reading, said = find_forms(rows("4", "5", "1,5"), columns, ReadingRules(), 2)
    assert (taken, reading.date_order, reading.decimal_mark) == (2, "day", "unknown")
    assert len(said) == 1
    reading, _ = find_forms(rows("1,234", "5", "4", "1,5", "3"), columns, ReadingRules(), 2)
    assert (taken, reading.date_order, reading.decimal_mark) == (4, "day", ",")
