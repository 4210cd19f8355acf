"""Tables: dialects of spreadsheets and programs are detected and said; what fits several is refused by name."""

import csv
import io
import random

import pytest

from explorer.documents.separated import LONGEST_LINE, TableOptions, read_separated
from explorer.errors import DataError, InputError
from explorer.remedies import by_options


def table(tmp_path, content, **choices):
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = TableOptions(
        **{name: choices.pop(name) for name in list(choices) if name in ("delimiter", "decimal", "encoding")}
    )
    return read_separated(path, options, **choices)


def rows(found):
    return [row for _, row in found.rows()]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,0.5\n", "UTF-8, separated by commas, decimal point"),
        ("a,b\nx,7\n", "UTF-8, separated by commas"),
        ("\ufeffa;b\r\n1;0,5\r\n", "UTF-8 with a byte order mark, separated by semicolons, decimal comma"),
        ("a|b\n1|0.5\n", "UTF-8, separated by bars, decimal point"),
        ("a\tb\n1\t0,5\n".encode("utf-16"), "UTF-16-LE, separated by tabs, decimal comma"),
        ("sep=;\r\na;b\r\n1;0.5\r\n", "UTF-8, separated by semicolons, decimal point"),
        ('"sep=|"\na|b\n1|1,234.5\n', "UTF-8, separated by bars, decimal point, separators of thousands"),
        ("a;b\n1;1.234,5\n", "UTF-8, separated by semicolons, decimal comma, separators of thousands"),
        ("a;b\n1;85,8 %\n", "UTF-8, separated by semicolons, decimal comma"),
        ("a;b\n1,5;2.5\n", "UTF-8, separated by semicolons"),
        (",a,b\n0,x,y\n", "UTF-8, separated by commas, column 1 has no name and is left out"),
        ("a\rb\r", "UTF-8, separated by commas"),
    ],
)
def test_a_dialect_is_detected_and_said(tmp_path, content, said):
    found = table(tmp_path, content)
    assert str(found.dialect) == said
    assert not any(isinstance(row, DataError) for row in rows(found))


def test_cells_are_what_they_are_whatever_the_dialect(tmp_path):
    draw = random.Random(3)
    for delimiter in ",;\t|":
        for line_end in ("\n", "\r\n"):
            cells = [
                ["".join(draw.choices('ab ,;|\t"\n0.é', k=draw.randint(1, 6))) for _ in range(3)] for _ in range(20)
            ]
            stream = io.StringIO(newline="")
            writer = csv.writer(stream, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
            writer.writerows([["one", "two", "three"], *cells])
            found = table(tmp_path, stream.getvalue())
            assert found.dialect.delimiter == delimiter
            assert [list(row.values()) for row in rows(found)] == cells


@pytest.mark.parametrize("content", ["a,b|c\n1,2|3\n", "a;b,c\nx;y,z\nx;y,z\n", "a|b\tc\n"])
def test_what_several_delimiters_fit_is_refused_and_the_remedy_works(tmp_path, content):
    rule = r"t\.csv, line 1 must have one possible delimiter \((\w+) and (\w+) fit equally\)"
    with pytest.raises(DataError, match=rule) as caught:
        table(tmp_path, content)
    error = caught.value
    for remedy, words in ((error.remedy, "delimiter="), (by_options(error), "--delimiter ")):
        sign = remedy.removeprefix(f"State it with {words}").removesuffix(".")
        assert len(table(tmp_path, content, delimiter=sign.strip("'")).columns) == 2


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "utf-16-be", "latin-1"])
@pytest.mark.parametrize("place", ["", "the mapping"])
def test_a_table_in_another_encoding_is_told_how_to_state_it(tmp_path, encoding, place):
    # 0x81 is no character of cp1252.
    text = "modèle;note\ngrün;1" + ("\x81" if encoding == "latin-1" else "") + "\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as caught:
        read_separated(tmp_path / "t.csv", TableOptions(place=place))
    stated = f"encoding: '{encoding}' in the mapping" if place else f"encoding='{encoding}'"
    assert caught.value.remedy == f"Save it as UTF-8, or state {stated}."
    assert place or by_options(caught.value) == f"Save it as UTF-8, or state --encoding {encoding}."
    read = read_separated(tmp_path / "t.csv", TableOptions(encoding=encoding))
    assert (read.columns[0], rows(read)[0]["modèle"]) == ("modèle", "grün")


def test_a_stated_encoding_that_does_not_fit_is_told_the_one_that_does(tmp_path):
    (tmp_path / "t.csv").write_text("modèle,note\n" + "grün,1\n" * 3)
    with pytest.raises(DataError, match="encoding='utf-8'"):
        read_separated(tmp_path / "t.csv", TableOptions(encoding="utf-16-le"))
    # A mark counts whatever is stated, and where a character is missing or NUL no encoding helps.
    for raw in (b"\xff\xfea", b"\xef\xbb\xbfa,b\n\xe9,1\n", b"a,b\n\0,1\n2,3\n"):
        (tmp_path / "t.csv").write_bytes(raw)
        with pytest.raises(DataError, match=r"Save it as UTF-8\.$"):
            read_separated(tmp_path / "t.csv")


def test_a_bad_row_does_not_change_the_delimiter(tmp_path):
    found = table(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n")
    good, short, long, last = rows(found)
    assert (good, last) == ({"a": "1", "b": "2"}, {"a": "7", "b": "8"})
    assert (short.rule, long.rule) == ("have 2 cells, one for each column",) * 2
    assert [line for line, _ in found.rows()] == [2, 3, 4, 5]


def test_an_option_outweighs_what_is_detected(tmp_path):
    found = table(tmp_path, "sep=;\na;b\n1;2\n", delimiter="comma", decimal="comma")
    assert (found.columns, found.dialect.decimal) == (("a;b",), ",")
    assert table(tmp_path, "caf\xe9;b\n1;2\n".encode("cp1252"), encoding="CP1252").columns == ("café", "b")
    assert table(tmp_path, "a;b\n1;2\n", delimiter="\\t").columns == ("a;b",)


@pytest.mark.parametrize(
    ("field", "value"),
    [("delimiter", ":"), ("delimiter", ""), ("decimal", "'"), ("encoding", "rot13"), ("encoding", "")],
)
def test_other_options_are_refused(field, value):
    with pytest.raises(InputError, match=f"{field} must be one of"):
        TableOptions(**{field: value})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,a\n1,2\n", "t.csv, line 1 must name each column once, but got 'a'"),
        ("\n\na,a\n1,2\n", "t.csv, line 3 must name each column once"),
        (",,\n", "t.csv, line 1 must name 1 to 1000 columns, but got 0"),
        ("a" * 201 + ",b\n1,2\n", "line 1 must have column names of at most 200 printable characters"),
        ("a\x01,b\n1,2\n", "line 1 must have column names of at most 200 printable characters"),
        ('"a,b\n1,2\n', "line 2 must be a row of column names, and be valid CSV"),
    ],
)
def test_a_header_names_columns(tmp_path, content, told):
    with pytest.raises(DataError) as caught:
        table(tmp_path, content)
    assert told in str(caught.value)


@pytest.mark.parametrize("quoted", [True, False])
def test_a_line_without_an_end_fills_no_memory(tmp_path, quoted):
    for content in ("a," * (LONGEST_LINE // 2) + "b\n1,2\n", "a,b\n1,2\n" + "1," * LONGEST_LINE):
        with pytest.raises(DataError, match=r"line \d must have at most 4,194,304 characters"):
            list(table(tmp_path, content, quoted=quoted).rows())


def test_without_quoting_a_quote_is_a_character(tmp_path):
    found = table(tmp_path, 'a\tb\nshe "said\tx\u2028y\r\n"\t"\n\n', usual="\t", quoted=False)
    assert rows(found) == [{"a": 'she "said', "b": "x\u2028y"}, {"a": '"', "b": '"'}]


def test_a_table_of_one_column_has_the_usual_delimiter(tmp_path):
    assert table(tmp_path, "a\n1\n", usual="\t").dialect.delimiter == "\t"
