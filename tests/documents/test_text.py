"""Text files: encodings, sizes, and what is not text is refused in one line."""

import io
import os
from pathlib import Path

import pytest

from explorer.documents.text import ENCODINGS, Decoded, lines_of, read_decoded, read_standard_input, read_text
from explorer.errors import DataError

TEXT = "name: café\n"


@pytest.mark.parametrize(
    ("raw", "encoding", "marked"),
    [
        (TEXT.encode(), "utf-8", False),
        (TEXT.encode("utf-8-sig"), "utf-8", True),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le", True),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be", True),
        (TEXT.encode("utf-32"), "utf-32-le", True),
    ],
)
def test_a_mark_decides_the_encoding(tmp_path, raw, encoding, marked):
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    assert read_decoded(path) == Decoded(TEXT, encoding, marked)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_user_can_name_an_encoding_and_a_mark_outweighs_it(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("name: x\n".encode(encoding))
    assert read_decoded(path, encoding=encoding).text == "name: x\n"
    path.write_bytes(TEXT.encode("utf-8-sig"))
    assert read_decoded(path, encoding=encoding) == Decoded(TEXT, "utf-8", True)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"a: 1\nb: \xe9\n", "a.yaml, line 2 must be valid UTF-8, but got b'\\xe9\\n'. Save it as UTF-8."),
        (b"\xff\xfea", "a.yaml, line 1 must be valid UTF-16-LE"),
        (b"a: 1\nb\0: 2", "a.yaml, line 2 must be text without NUL characters"),
        (b"\x8f\xd3a\0", "a.yaml, line 1 must be"),
        ("a: 1".encode("utf-16-le"), "NUL"),
        (b"", "recipe must hold something"),
        (b"\xef\xbb\xbf \n", "recipe must hold something"),
        (b"PK\x03\x04rest", "recipe must be text, and not a zip archive or a spreadsheet"),
        (b"\x1f\x8brest", "recipe must be text, and not compressed"),
        (b"x" * 101, "recipe must have at most 100 bytes, but got "),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(tmp_path, raw, told):
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_text(path, "recipe", most=100)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_plain_file_is_refused(tmp_path):
    for path, told in (
        (tmp_path / "none.yaml", "file must be an existing file"),
        (tmp_path, "file must be a plain file"),
        (tmp_path / "a\0b", "file must be a readable file"),
        (tmp_path / ("a" * 300), "file must be a readable file"),
    ):
        with pytest.raises(DataError, match=told):
            read_text(path)
    os.mkfifo(tmp_path / "pipe")  # Opening it would wait for ever.
    with pytest.raises(DataError, match="file must be a plain file"):
        read_text(tmp_path / "pipe")


def test_an_unreadable_file_is_refused(tmp_path):
    path = tmp_path / "secret.yaml"
    path.write_text("a: 1")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match="file must be a readable file \\(Permission denied\\)"):
        read_text(path)


def test_a_file_without_a_size_is_read_up_to_the_limit():
    assert "processor" in read_text(Path("/proc/cpuinfo"))
    with pytest.raises(DataError, match="at most 10 bytes"):
        read_text(Path("/proc/cpuinfo"), most=10)


def test_only_line_feeds_end_a_line():
    assert list(lines_of("a\u2028b\r\n\nc")) == ["a\u2028b\r\n", "\n", "c"]
    assert list(lines_of("a\rb\r")) == ["a\n", "b\n"]
    assert list(lines_of("")) == []


def test_standard_input_obeys_the_same_rules(monkeypatch):
    for raw, told in ((b"\xff", "standard input, line 1 must be valid UTF-8"), (b"", "standard input must hold")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        with pytest.raises(DataError, match=told):
            read_standard_input()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode("utf-16"))))
    assert read_standard_input() == TEXT
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(DataError, match="standard input must hold something"):
        read_standard_input()
