"""YAML: one document of plain types; tags, anchors, bombs and what does not fit its type are refused in one line."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from explorer.documents.yaml_text import MAX_YAML, parse_yaml, read_yaml
from explorer.errors import DataError

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co", "Cf"]), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


@given(PLAIN)
def test_plain_documents_are_read_as_they_are(document):
    assert parse_yaml(yaml.dump(document, Dumper=_NoAliases, allow_unicode=True), "a.yaml") == document


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: !!bool foo", "a.yaml, line 1 must have no tags, but got 'tag:yaml.org,2002:bool'."),
        ("a:\n  - !!int ''", "a.yaml, line 2 must have no tags"),
        ("a: !!timestamp x", "must have no tags"),
        ("a: !!python/object/apply:os.system [ls]", "must have no tags"),
        ("!!set {a, b}", "line 1 must have no tags"),
        ("a: !own 3", "line 1 must have no tags, but got '!own'."),
        ("a: &x 1\nb: *x", "line 1 must have no anchors and aliases, but got &x."),
        ("a: 1\nb: *x", "line 2 must have no anchors and aliases, but got *x."),
        ("a: 1\nb: 2\na: 3", "line 3 must give each key once, but got 'a'."),
        ("1: 1\n0x1: 2", "line 2 must give each key once, but got '0x1'."),
        ("a: {b: 1, b: 1}", "line 1 must give each key once, but got 'b'."),
        ("? [1, 2]\n: 3", "line 1 must have texts or numbers as keys"),
        ("a: " + "9" * 5000, "line 1 must be a number of at most 64 bits"),
        ("a: 0x" + "f" * 17, "line 1 must be a number of at most 64 bits"),
        ("a: 0x_", "line 1 must be a number of at most 64 bits, but got '0x_'."),
        ("a: " + "1:" * 20 + "1", "line 1 must be written without leading zeros and colons"),
        ("a: 1:30", "must be written without leading zeros and colons, if it is a number, but got '1:30'"),
        ("a: 0200", "must be written without leading zeros and colons, if it is a number, but got '0200'"),
        ("a: [1, .nan]", "a.yaml: a[1] must be a finite number, but got nan."),
        ("a: 1.0e+999", "a.yaml: a must be a finite number, but got inf."),
        (".inf: 1", "must be a finite number"),
        (r'a: "\ud800"', "a.yaml: a must be valid Unicode text"),
        ("a: \x07", "line 1 must have printable characters only, but got '\\x07'."),
        ("[" * 1000, "line 1 must be nested at most 64 levels deep"),
        ("a: [1\nb: 2", "must be valid YAML ("),
        ("a: 1\n\tb: 2", "line 2 must be valid YAML ("),
        ("---\na: 1\n---\nb: 2", "line 3 must be valid YAML (but found another document)"),
        ("%YAML 9.9\n---\na: 1", "must be valid YAML"),
        ("a: 'x", "must be valid YAML (found unexpected end of stream"),
        ("a: 1\n" * 200_000, f"a.yaml must have at most {MAX_YAML:,} characters"),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_line(text, told):
    with pytest.raises(DataError) as caught:
        parse_yaml(text, "a.yaml")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2020-12-24", "2020-12-24"),
        ("2020-13-45", "2020-13-45"),
        ("'<<': 1", {"<<": 1}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("=", "="),
        ("# nothing", None),
        ("1e-4", "1e-4"),
        ("1.0e-4", 1e-4),
        ("yes", True),
        ("a: 'yes'", {"a": "yes"}),
    ],
)
def test_only_plain_types_are_recognised(text, value):
    assert parse_yaml(text, "a.yaml") == value


def test_a_bomb_of_aliases_takes_no_time():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    started = time.process_time()
    with pytest.raises(DataError, match="anchors"):
        parse_yaml("\n".join(lines), "a.yaml")
    assert time.process_time() - started < 1


def test_a_file_of_yaml_may_have_a_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: é\r\nb: [1]\r\n".encode("utf-16"))
    assert read_yaml(path) == {"a": "é", "b": [1]}
