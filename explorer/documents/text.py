"""Text files that people name: encodings, sizes, and what is not text at all.

A byte order mark decides the encoding; without one, a file is UTF-8 unless the caller's user says otherwise.
"""

from __future__ import annotations

import codecs
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import Code, DataError, Shown

MAX_FILE_BYTES = 256 * 2**20
"""Maximum file size; a table of 20,000 architectures takes some 60 MB."""
MAX_TEXT_BYTES = 2 * 2**30
"""Maximum size of a text to train on."""
UTF8 = "utf-8"
ENCODINGS = (
    *(UTF8, "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "iso-8859-15", "mac-roman", "cp437"),
    *("cp1250", "cp1251", "cp1252", "koi8-r", "shift-jis", "euc-jp", "euc-kr", "gb18030", "big5"),
)
"""Encodings that a user can name."""
_MARKS = (  # The mark of UTF-16 is the beginning of that of UTF-32.
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "Save the sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet or document of Microsoft Office", "Save the sheet as CSV."),
    (b"\x1f\x8b", "compressed", "Unpack it first."),
    (b"BZh", "compressed", "Unpack it first."),
    (b"\xfd7zXZ", "compressed", "Unpack it first."),
    (b"%PDF", "a PDF document", "Save its table as CSV."),
    (b"SQLite format 3", "a database", "Name it as the store."),
    (b"PAR1", "a Parquet file", "Save it as CSV or JSON lines."),
)
_SAVE = "Save it as UTF-8."


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        text: its text, without the byte order mark.
        encoding: the encoding, as ``ENCODINGS`` writes it.
        marked: whether a byte order mark said so.
    """

    text: str
    encoding: str
    marked: bool


def read_text(path: Path, what: str = "file", most: int = MAX_FILE_BYTES) -> str:
    """Read a text file that a user named.

    Args:
        path: the file.
        what: name of the file's kind in errors about the file as a whole.
        most: maximum number of bytes.

    Raises:
        DataError: the file is missing, not a plain file, blank, too large, or not text.
    """
    return read_decoded(path, what, most).text


def read_decoded(path: Path, what: str = "file", most: int = MAX_FILE_BYTES, encoding: str | None = None) -> Decoded:
    """Read a text file, and say how it was encoded; ``encoding`` is what the user says. Raises like ``read_text``."""
    shown = str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError(what, "be a plain file", shown, "Check the path.")
        with path.open("rb") as file:
            # A file may grow, or not know its size.
            raw = b"" if found.st_size > most else file.read(most + 1)
        if max(found.st_size, len(raw)) > most:
            raise DataError(what, f"have at most {most:,} bytes", f"{shown} ({found.st_size:,})", "Split it.")
    except FileNotFoundError:
        raise DataError(what, "be an existing file", shown, "Check the path.") from None
    except (OSError, ValueError) as error:
        # A path with a null character raises ValueError.
        reason = getattr(error, "strerror", None) or error
        raise DataError(what, f"be a readable file ({reason})", shown, "Check the path.") from None
    return _decoded(raw, what, shown, encoding)


def encoding_named(name: str) -> str | None:
    """Return one of ``ENCODINGS`` by any of its names, as ``Windows-1252``; ``None`` if it is another."""
    try:
        wanted = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    return next((known for known in ENCODINGS if codecs.lookup(known).name == wanted), None)


def likely_encoding(path: Path) -> str | None:
    """Guess the encoding of a file without a mark: UTF-8, UTF-16, or a Western European one; ``None`` if none fits.

    Raises:
        OSError: the file cannot be read.
    """
    raw = path.read_bytes()
    if raw.startswith(tuple(mark for mark, _ in _MARKS)):
        return None  # The mark counts, whatever the user says.
    zeros = raw[::2].count(0), raw[1::2].count(0)
    # Every other byte of Latin letters in UTF-16 is zero.
    wide = ("utf-16-le" if zeros[1] > zeros[0] else "utf-16-be",) if 4 * sum(zeros) > len(raw) else ()
    for encoding in wide or (UTF8, "cp1252", "latin-1"):
        try:
            if "\0" not in raw.decode(encoding):
                return encoding
        except UnicodeDecodeError:
            continue
    return None


def read_standard_input(most: int = MAX_FILE_BYTES) -> str:
    """Read the text on standard input. Raises DataError like ``read_text``."""
    what = "standard input"
    try:
        raw = sys.stdin.buffer.read(most + 1)
    except (OSError, AttributeError):  # It is closed or absent.
        raw = b""
    if len(raw) > most:
        raise DataError(what, f"have at most {most:,} bytes", Shown("more"), "Give a file of parts.")
    return _decoded(raw, what, what, None).text


def lines_of(text: str) -> Iterator[str]:
    """Yield lines with their ends; only line feeds end a line, or carriage returns in a text without line feeds."""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _decoded(raw: bytes, what: str, shown: str, encoding: str | None) -> Decoded:
    for signature, kind, remedy in _SIGNATURES:
        if raw.startswith(signature):
            raise DataError(what, f"be text, and not {kind}", shown, remedy)
    mark, found = next(((mark, name) for mark, name in _MARKS if raw.startswith(mark)), (b"", encoding or UTF8))
    try:
        text = raw[len(mark) :].decode(found) if mark else raw.decode(found)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        bad = raw[error.start : error.start + 4]
        rule = f"be valid {found.upper()}"
        raise DataError(f"{shown}, line {line}", rule, bad, _SAVE, Code.ENCODING) from None
    text = text.removeprefix("\ufeff")
    if (place := text.find("\0")) >= 0:
        line, around = text.count("\n", 0, place) + 1, text[max(0, place - 8) : place + 8]
        rule = "be text without NUL characters"
        raise DataError(f"{shown}, line {line}", rule, around, _SAVE, Code.ENCODING)
    if not text.strip():
        raise DataError(what, "hold something", shown, "The file is empty.")
    return Decoded(text, found, bool(mark))
