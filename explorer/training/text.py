"""Text to pre-train on and to make tasks from.

The default text needs no download: English documentation strings of the Python installation itself, read from the
source files of the standard library and of a fixed list of packages. Files are parsed, never imported. Within a package
they are read in the order of the digest of their path, which is deterministic and covers all parts of the package,
until the package's share is full. One document is one docstring, split into sentences.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import platform
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from explorer.documents.text import MAX_TEXT_BYTES, read_text
from explorer.errors import DataError
from explorer.training.files import digest, write_atomically

Progress = Callable[[float, str], None]
"""Called with the finished share (0 to 1) and a message."""

PACKAGES: dict[str, str] = {
    "python": "",
    "networkx": "networkx",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "streamlit": "streamlit",
    "torch": "torch",
    "transformers": "transformers",
}
"""Import name of every package that is read → its distribution; ``python`` is the standard library."""

PACKAGE_CHARACTERS = 200_000
MAX_FILE_BYTES = 300_000
LEAST_QUOTED = 0.3
COLLECTOR_VERSION = "1"
SKIPPED_FOLDER = re.compile(
    r"_?tests?|_?testing|__pycache__|(?:site|dist)-packages|idlelib|lib2to3|ensurepip|turtledemo|pydoc_data"
    r"|_?vendor|_?vendored|externals|node_modules"
)
FUNCTION_WORD = re.compile(
    r"the|an?|of|is|are|to|in|and|for|if|with|this|that|be|by|on|as|it|or|not|can|from|will|when|which|at|used|all"
    r"|each|has|have|must|should|may|was|use|its|you|we",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+(?=[A-Z\"'(])")
ROLE = re.compile(r":[\w:+.-]+:`~?([^`<]*?)(?:\s*<[^`>]*>)?`")
MARKUP = re.compile(r"`{1,2}|\*{1,2}(?=\w)|(?<=\w)\*{1,2}|\|(?=\w)|(?<=\w)\||_(?=\W|$)")
CODE = re.compile(
    r"[=<>{}\[\]\\|#@~^]|\b\w+\(|://|\w\.\w+\.\w|->|::|--|(?:Args|Returns|Raises):|optional\b"
    r"|(?<!e\.g)(?<!i\.e)\. [a-z]"
)
WORD = re.compile(r"[A-Za-z][a-z]*(?:'[a-z]+)?")
HEADING = re.compile(r"^\s*=\s[^=].*\s=\s*$")
SUBHEADING = re.compile(r"^\s*=(?:\s=)+\s.*=\s*$")


@dataclass(frozen=True)
class Document:
    """A connected text.

    Attributes:
        package: its package, for example ``numpy``; the file's stem for a user's text.
        name: name of the documented object, unique within the package.
        sentences: its sentences in order.
    """

    package: str
    name: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """All text of a study."""

    documents: tuple[Document, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Digest over every document."""
        return digest(*(part for d in self.documents for part in (d.package, d.name, "\n".join(d.sentences))))

    @property
    def packages(self) -> tuple[str, ...]:
        """Names of the packages, sorted."""
        return tuple(sorted({document.package for document in self.documents}))


def is_prose(sentence: str) -> bool:
    """Return whether a sentence is English prose: no code, mostly letters, with English function words."""
    words = sentence.split()
    if not 5 <= len(words) <= 60 or not sentence[0].isupper() or sentence[-1] not in ".!?":
        return False
    if not sentence.isascii() or CODE.search(sentence):
        return False
    plain = sum(WORD.fullmatch(word.strip(".,;:!?()\"'-")) is not None for word in words)
    return plain >= 0.75 * len(words) and sum(FUNCTION_WORD.fullmatch(word) is not None for word in words) >= 2


def prose_sentences(docstring: str) -> tuple[str, ...]:
    """Split a cleaned docstring into sentences of prose, without signatures, tables, examples and headings."""
    sentences: list[str] = []
    for paragraph in re.split(r"\n\s*\n", docstring):
        joined = " ".join(ROLE.sub(r"\1", paragraph).split())
        if ">>>" in joined:
            continue
        plain = MARKUP.sub("", joined).lstrip("-*. ")
        sentences += [part for part in SENTENCE_END.split(plain) if part and is_prose(part)]
    return tuple(sentences)


def _source_files(root: Path) -> list[Path]:
    found = []
    pending = [root]
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir():
                if not SKIPPED_FOLDER.fullmatch(entry.name) and not entry.is_symlink():
                    pending.append(entry)
            elif entry.suffix == ".py" and not entry.name.startswith(("test_", "conftest")):
                found.append(entry)
    return sorted(found, key=lambda path: digest(path.relative_to(root).as_posix()))


def _docstrings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    pending: list[tuple[str, ast.AST]] = [("", tree)]
    while pending:
        name, node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield name, text
        if isinstance(node, ast.Module | ast.ClassDef):
            for child in reversed(node.body):
                if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    pending.append((f"{name}.{child.name}", child))


def documents_of(root: Path, package: str, characters: int, seen: set[str]) -> list[Document]:
    """Collect documents from the source files under a folder.

    Args:
        root: folder of the package.
        package: its name in the documents.
        characters: number of characters to collect.
        seen: sentences collected so far; duplicates are skipped, and new sentences are added.
    """
    documents: list[Document] = []
    left = characters
    for path in _source_files(root):
        if left <= 0:
            break
        try:
            raw = path.read_bytes()
            # Parsing dominates the time, so skip files with little documentation.
            quoted = sum(map(len, raw.split(b'"""')[1::2]))
            if len(raw) > MAX_FILE_BYTES or quoted < LEAST_QUOTED * len(raw):
                continue
            with warnings.catch_warnings():
                # Ignore warnings about invalid escapes in third-party files.
                warnings.simplefilter("ignore")
                tree = ast.parse(raw)
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        where = path.relative_to(root).as_posix()
        for name, text in _docstrings(tree):
            sentences = tuple(s for s in dict.fromkeys(prose_sentences(text)) if s not in seen)
            if not sentences:
                continue
            seen.update(sentences)
            documents.append(Document(package, f"{where}:{name}", sentences))
            left -= sum(map(len, sentences))
            if left <= 0:
                break
    return documents


def _installed() -> dict[str, tuple[Path, str]]:
    installed = {"python": (Path(sysconfig.get_path("stdlib")), platform.python_version())}
    for package, distribution in PACKAGES.items():
        found = importlib.util.find_spec(package) if distribution else None
        if found is not None and found.submodule_search_locations:
            root = Path(next(iter(found.submodule_search_locations)))
            installed[package] = (root, importlib.metadata.version(distribution))
    return installed


def installation_key() -> str:
    """Return the digest of the default text's inputs: the versions of Python and the packages, and the rules here."""
    versions = [f"{package} {version}" for package, (_, version) in sorted(_installed().items())]
    return digest(COLLECTOR_VERSION, str(PACKAGE_CHARACTERS), *versions)


def default_corpus(cache: Path, progress: Progress) -> Corpus:
    """Collect the default text, or read it from the cache of an earlier call.

    A call that was interrupted is continued after the last package that it has read.

    Args:
        cache: folder for the collected text; created if absent.
        progress: called with the progress of the collection.
    """
    path = cache / f"text-{installation_key()}.json"
    if path.is_file():
        return Corpus(tuple(_documents(json.loads(path.read_text(encoding="utf-8")))))
    installed, unfinished = _installed(), path.with_suffix(".part")
    read, documents = _collected(unfinished)
    seen = {sentence for document in documents for sentence in document.sentences}
    for index, (package, (root, _)) in enumerate(installed.items()):
        if package in read:
            continue
        progress(index / len(installed), f"reading documentation strings of {package}")
        documents += documents_of(root, package, PACKAGE_CHARACTERS, seen)
        read.append(package)
        _write(unfinished, [read, _rows(documents)])
    _write(path, _rows(documents))
    unfinished.unlink(missing_ok=True)
    return Corpus(tuple(documents))


def _collected(unfinished: Path) -> tuple[list[str], list[Document]]:
    """Return the packages that an interrupted call has read, and their documents; nothing if there is no such file."""
    try:
        read, rows = json.loads(unfinished.read_text(encoding="utf-8"))
        return list(read), _documents(rows)
    except (OSError, ValueError, TypeError):
        return [], []


def _documents(rows: list[list[Any]]) -> list[Document]:
    return [Document(package, name, tuple(sentences)) for package, name, sentences in rows]


def _rows(documents: list[Document]) -> list[list[object]]:
    return [[one.package, one.name, one.sentences] for one in documents]


def _write(path: Path, document: object) -> None:
    raw = json.dumps(document, ensure_ascii=False).encode("utf-8")
    write_atomically(path, lambda stream: stream.write(raw))


def corpus_from_file(path: Path) -> Corpus:
    """Read a plain-text file.

    In WikiText form a line `` = Title = `` starts a document; without such lines blank lines separate documents.

    Raises:
        DataError: the file is missing, not UTF-8, or holds no sentence.
    """
    lines = read_text(path, "text file", MAX_TEXT_BYTES).splitlines()
    titled = any(HEADING.match(line) for line in lines)
    documents: list[Document] = []
    sentences: list[str] = []
    for number, line in enumerate([*lines, ""], start=1):
        if HEADING.match(line) if titled else not line.strip():
            if sentences:
                documents.append(Document(path.stem, f"line {number}", tuple(sentences)))
            sentences = []
        elif line.strip() and not SUBHEADING.match(line):
            sentences += [part.strip() for part in SENTENCE_END.split(" ".join(line.split())) if part.strip()]
    if sentences:
        documents.append(Document(path.stem, "end", tuple(sentences)))
    if not documents:
        raise DataError(str(path), "hold text", "no sentence", "Give a UTF-8 text file with sentences.")
    return Corpus(tuple(documents))
