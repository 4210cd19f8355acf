"""One case of the fuzzer: bytes go into an entrance; anything but success or an InputError is an escape."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from explorer.errors import InputError
from explorer.library.importing import ImportFile, ImportReport, import_file, refusal
from explorer.progress import SilentReporter
from graphstore import open_store

from .entrances import ENTRANCES
from .mutations import mutated

LONGEST_S = 10
LONGEST_LINE = 2_500


class Escaped(AssertionError):  # noqa: N818 - it is the finding of a test
    """A case ended with something else than success or an InputError, or took too long."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """End the block by a TimeoutError after this many seconds of processor time; only in the main thread."""

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def read(name: str, raw: bytes, folder: Path) -> ImportFile | str | InputError:
    """Read the bytes by an entrance; return what came of them.

    Raises:
        Escaped: something else than an InputError was raised, it took too long, or the error is no good line.
    """
    entrance = ENTRANCES[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, text in entrance.beside:
        (folder / file).write_text(text, encoding="utf-8")
    path = folder / entrance.file
    path.write_bytes(raw)
    try:
        with limited(LONGEST_S):
            found = entrance.read(path)
    except InputError as error:
        found = error
    except Exception as error:
        raise Escaped(f"{name}: {type(error).__name__}: {str(error)[:200]}\n{raw[:500]!r}") from error
    if isinstance(found, InputError):
        _check(name, found)
    elif isinstance(found, ImportFile):
        for row in found.rows.refused:
            if not (row.field and row.rule and row.remedy and len(row.value) <= 200):
                raise Escaped(f"{name}: {row}")
    return found


def _check(name: str, error: InputError) -> None:
    """The command line prints the error as one line of all four parts, on any terminal."""
    line = " ".join(str(error).split())
    if not (error.field and error.rule and error.remedy and len(line) < LONGEST_LINE):
        raise Escaped(f"{name}: {line[:500]}")
    line.encode("utf-8", errors="backslashreplace")


def kind(found: ImportFile | str | InputError, folder: Path) -> str:
    """What came of a case, the same for inputs that break the same rule."""
    if isinstance(found, InputError):
        text = f"{type(found).__name__}: {found.field} must {found.rule}"
    elif isinstance(found, ImportFile):
        refused = sorted({row.kind for row in found.rows.refused})
        text = f"{'some' if found.rows.valid else 'no'} rows, refused {refused[:1]}"
    else:
        text = found
    text = text.replace(str(folder), "")
    return "".join("#" if character.isdigit() else character for character in text)[:60]


def import_into(url: str, found: ImportFile, strict: bool) -> ImportReport:
    """Import what was read into a store; where nothing is imported, the store is what it was."""
    before = content(url)
    try:
        with open_store(url, create=False) as store:
            report = import_file(store, found, SilentReporter(), strict)
            problems = store.problems()
    except InputError:
        report, problems = refusal(found, ()), []
    except Exception as error:
        raise Escaped(f"import of {found.file}: {type(error).__name__}: {str(error)[:200]}") from error
    if problems or (not report.rows and content(url) != before):
        raise Escaped(f"half an import of {found.file}: {problems[:3]}")
    return report


def content(url: str) -> str:
    """Digest of everything in an embedded store."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        rows = "\n".join(connection.iterdump())
    return hashlib.blake2b(rows.encode("utf-8", errors="surrogatepass")).hexdigest()


def cases(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Names of entrances and damaged files, the same for the same seed."""
    draw = random.Random(seed)
    names = list(ENTRANCES)
    for number in range(count):
        name = names[number % len(names)]
        yield name, mutated(draw.choice(ENTRANCES[name].seeds), draw)
