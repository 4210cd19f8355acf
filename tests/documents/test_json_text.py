"""JSON: what the parser would misread or crash on is refused in one line, with the path of its key."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.documents.json_text import json_lines, load_json, parse_json, parse_settings, parse_value
from explorer.documents.values import MAX_VALUES, checked
from explorer.errors import DataError, InputError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**64) + 1, 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN, st.booleans())
def test_plain_documents_are_read_as_they_are(document, ascii):
    assert parse_json(json.dumps(document, ensure_ascii=ascii), "a.json") == document


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 1}', "a.json: a must be given once, but got 'a'."),
        ('{"b": [0, {"a": {}, "a": []}]}', "a.json: b[1].a must be given once"),
        ('{"b": [0, NaN]}', "a.json: b[1] must be a finite number, but got NaN."),
        ("-Infinity", "a.json must be a finite number, but got -Infinity."),
        ('{"x y": [1e999]}', "a.json: x y[0] must be a finite number, but got 1e999."),
        ("9" * 5000, "a.json must be an integer of at most 64 bits"),
        ("[18446744073709551616]", "a.json: [0] must be an integer of at most 64 bits, but got 18446744073709551616."),
        (
            r'{"a": ["x\ud800"]}',
            "a.json: a[0] must be valid Unicode text, without lone surrogates, but got 'x\\ud800'.",
        ),
        (r'{"\udfff": 1}', "a.json: ['\\udfff'] must be valid Unicode text"),
        (r'{"\udfff": {"a": 1}}', "a.json: ['\\udfff'] must be valid Unicode text"),
        ("[" * 65 + "]" * 65, "a.json must be nested at most 64 levels deep"),
        ("[" * 100_000, "a.json must be nested at most 64 levels deep"),
        ('{"a":' * 100_000, "a.json must be nested at most 64 levels deep"),
        ('{"a": 1,\n "b" 2}', "a.json, line 2 must be valid JSON (Expecting ':' delimiter, column 6), but got"),
        ("[1] 2", "a.json must be valid JSON (Extra data, column 5)"),
        ("", "a.json must be valid JSON (Expecting value, column 1)"),
        ('["a\tb"]', "a.json must be valid JSON (Invalid control character at"),
        ("[" + "0," * (MAX_VALUES + 1) + "0]", f"a.json must hold at most {MAX_VALUES:,} values"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_path(text, told):
    with pytest.raises(DataError) as caught:
        parse_json(text, "a.json")
    assert told in str(caught.value)
    assert len(str(caught.value)) < 500
    str(caught.value).encode()


def test_the_deepest_allowed_document_is_read():
    assert parse_json("[" * 64 + "]" * 64, "a.json")


def test_a_flaw_looks_as_it_was_written():
    assert repr(load_json("[NaN, 1e999]", "a.json")) == "[NaN, 1e999]"


def test_a_bad_part_leaves_the_others():
    document = load_json(r'[{"a": 1}, {"a": NaN}, {"a": "\ud800"}, {"a": 2}]', "a.json")
    assert (checked(document[0], ""), checked(document[3], "")) == ({"a": 1}, {"a": 2})
    for row in document[1:3]:
        with pytest.raises(DataError) as caught:
            checked(row, "")
        assert caught.value.field == "a"


def test_json_lines_are_read_one_by_one():
    found = list(json_lines('{"a": 1}\r\n\n[NaN]\n{\n2', "a.jsonl"))
    assert [(number, None if isinstance(value, DataError) else value) for number, value in found] == [
        (1, {"a": 1}),
        (3, None),
        (4, None),
        (5, 2),
    ]
    assert [value.field for _, value in found if isinstance(value, DataError)] == [
        "a.jsonl, line 3: [0]",
        "a.jsonl, line 4",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.5", 0.5), ("true", True), ("gradient", "gradient"), ('"3"', "3"), ("[1, 2]", [1, 2]), ("[1", "[1")],
)
def test_a_value_of_an_option_is_json_or_a_word(text, value):
    assert parse_value(text, "--param k") == value


@pytest.mark.parametrize("text", ["9" * 5000, "1e999", "NaN", "[-Infinity]", '{"a": 1, "a": 2}', "\udcff"])
def test_a_value_of_an_option_obeys_the_rules(text):
    with pytest.raises(DataError, match="--param k"):
        parse_value(text, "--param k")


def test_a_caller_deep_in_the_stack_gets_an_error_too():
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            parse_json("[" * 200 + "]" * 200, "a.json")

    with pytest.raises(DataError, match="nested"):
        deep(sys.getrecursionlimit() - 150)


def test_settings_are_read_as_json_or_as_words():
    texts = ["iterations=3", " decay = 0.5 ", "direction=in", "exact=true", 'name="3"', "note=a=b"]
    expected = {"iterations": 3, "decay": 0.5, "direction": "in", "exact": True, "name": "3", "note": "a=b"}
    assert parse_settings(texts, "setting", "k=1") == expected
    for text in ("iterations", "=3", "two words=1", "empty= "):
        with pytest.raises(InputError, match=r"setting must be NAME=VALUE, but got .* Write for example k=1\."):
            parse_settings([text], "setting", "k=1")
    with pytest.raises(DataError, match="setting decay"):
        parse_settings(["iterations=3", "decay=NaN"], "setting", "k=1")
