"""A small text and small tasks that every training test shares."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.training.prepared import Prepared, prepare
from explorer.training.recipe import RECIPES
from explorer.training.text import Corpus, Document

NOUNS = ["cat", "dog", "bird", "fish", "horse", "mouse", "tiger", "whale", "snake", "camel"]
VERBS = ["sees", "likes", "chases", "follows", "hears", "finds", "helps", "meets", "watches", "calls"]
PLACES = ["in the garden", "near the river", "on the hill", "under the bridge", "behind the house", "at the market"]


def toy_corpus(documents: int = 240, seed: int = 0) -> Corpus:
    """Sentences of a toy grammar; every package has its own nouns, every document its own place."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(documents):
        package = number % 4
        nouns = NOUNS[2 * package : 2 * package + 4]
        place = PLACES[number % len(PLACES)]
        sentences = []
        for _ in range(4):
            one, two = rng.choice(nouns, 2, replace=False)
            first, second = rng.choice(VERBS, 2, replace=False)
            sentences.append(f"The {one} {first} a {two} and then it {second} the other {two} {place} {number}.")
        made.append(Document(f"package{package}", f"document {number}", tuple(sentences)))
    return Corpus(tuple(made))


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    return toy_corpus()


@pytest.fixture
def disk() -> Iterator[Callable[[int], None]]:
    """Leaves so many bytes for every file, as if the disk were full then; as many as before with ``-1``."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def leave(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before if size < 0 else (size, before[1]))

    yield leave
    leave(-1)


@pytest.fixture(scope="session")
def other_corpus() -> Corpus:
    return toy_corpus(seed=1)


def as_text(path: Path, corpus: Corpus) -> Path:
    path.write_text("\n\n".join("\n".join(d.sentences) for d in corpus.documents) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def write_text() -> Callable[[Path, Corpus], Path]:
    """Writes a corpus as a plain-text file, documents between blank lines."""
    return as_text


@pytest.fixture(scope="session")
def prepared(built_once, corpus: Corpus) -> Prepared:
    """Tasks ``order`` and ``pair`` of the small text under the recipe ``quick``."""

    def load(work: Path) -> Prepared:
        return prepare(work, RECIPES["quick"], None, work / "text.txt", lambda share, message: None)

    def build(work: Path) -> None:
        as_text(work / "text.txt", corpus)
        load(work)

    return load(built_once("toy-text", build))
