"""Three tasks made by rule from the text, so that nothing needs a download.

* ``package``: which package does a sentence document? Package names are taken out of the sentence.
* ``order``: is the word order intact? In half of the sentences neighbouring words are swapped.
* ``pair``: two sentences of one document, of which one is its first: is it given first? (A sentence-order task as in
  ALBERT, arXiv 1909.11942.) Whether two sentences come from one document at all proved too hard: models of this size,
  trained for a minute, stayed at chance.

Train and dev examples come from different documents, classes are balanced, and the seed fixes everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from explorer.errors import DataError
from explorer.training.files import digest
from explorer.training.metrics import Metric
from explorer.training.tasks.base import Example, Kind, Task
from explorer.training.text import Corpus, Document

T = TypeVar("T")
MOST_CLASSES = 8
DEV_SHARE = 5
MOST_PAIRS = 3
WORDS_PER_SWAP = 2
TWO_CLASSES = {"order": ("swapped", "intact"), "pair": ("second_first", "first_first")}
"""Names of the labels 0 and 1."""
NAMES = ("networkx", "numpy", "pandas", "scipy", "scikit-learn", "scikit", "sklearn", "streamlit", "pytorch", "torch")
GIVE_AWAY = re.compile(
    r"\b(?:" + "|".join((*NAMES, "transformers?", "python", "hugging ?face", "nx", "np", "pd")) + r")\b", re.IGNORECASE
)


def split_documents(corpus: Corpus) -> tuple[list[Document], list[Document]]:
    """Split documents into train and dev (a fifth) by the digest of their name, which no other document changes."""
    parts: tuple[list[Document], list[Document]] = ([], [])
    for document in corpus.documents:
        key = int(digest(document.package, document.name, document.sentences[0]), 16)
        parts[key % DEV_SHARE == 0].append(document)
    return parts


def _pick(rng: np.random.Generator, items: Sequence[T], count: int) -> list[T]:
    return [items[index] for index in rng.permutation(len(items))[:count]]


def _interleave(groups: Sequence[list[Example]], rng: np.random.Generator) -> tuple[Example, ...]:
    size = min(len(group) for group in groups)
    rows = [example for group in groups for example in group[:size]]
    return tuple(rows[index] for index in rng.permutation(len(rows)))


def _sentences(documents: Sequence[Document], shortest: int, longest: int) -> list[str]:
    return [s for d in documents for s in d.sentences if shortest <= len(s.split()) <= longest]


def _package(
    documents: Sequence[Document], packages: Sequence[str], count: int, rng: np.random.Generator
) -> tuple[Example, ...]:
    groups = []
    for label, package in enumerate(packages):
        own = _sentences([d for d in documents if d.package == package], 6, 40)
        plain = (" ".join(GIVE_AWAY.sub(" ", s).split()) for s in _pick(rng, own, count // len(packages)))
        groups.append([Example(float(label), s) for s in plain])
    return _interleave(groups, rng)


def disorder(sentence: str, rng: np.random.Generator) -> str:
    """Swap pairs of neighbouring words that differ, one pair for every two words; first and last word stay."""
    words = sentence.split()
    places = [i for i in range(1, len(words) - 2) if words[i].lower() != words[i + 1].lower()]
    swaps = max(1, len(words) // WORDS_PER_SWAP)
    used: set[int] = set()
    for place in rng.permutation(places) if places else []:
        if len(used) < 2 * swaps and not used & {int(place), int(place) + 1}:
            words[place], words[place + 1] = words[place + 1], words[place]
            used |= {int(place), int(place) + 1}
    return " ".join(words)


def _order(documents: Sequence[Document], count: int, rng: np.random.Generator) -> tuple[Example, ...]:
    picked = _pick(rng, _sentences(documents, 6, 30), count)
    half = len(picked) // 2
    changed = [(disorder(s, rng), s) for s in picked[:half]]
    groups = [
        [Example(0.0, new) for new, old in changed if new != old],
        [Example(1.0, " ".join(s.split())) for s in picked[half:]],
    ]
    return _interleave(groups, rng)


def _pair(documents: Sequence[Document], count: int, rng: np.random.Generator) -> tuple[Example, ...]:
    usable = [[s for s in d.sentences if 5 <= len(s.split()) <= 30] for d in documents]
    long = [sentences for sentences in usable if len(sentences) >= 2]
    chosen: dict[tuple[str, str], None] = {}
    for _ in range(MOST_PAIRS):
        for index in rng.permutation(len(long)):
            opening, *later = long[index]
            if len(chosen) < count:
                chosen[opening, later[int(rng.integers(len(later)))]] = None
    half = (len(chosen) + 1) // 2
    pairs = list(chosen)
    groups = [[Example(1.0, a, b) for a, b in pairs[:half]], [Example(0.0, b, a) for a, b in pairs[half:]]]
    return _interleave(groups, rng)


def make_task(name: str, corpus: Corpus, train: int, dev: int, seed: int) -> Task:
    """Make one of the three tasks.

    Args:
        name: ``package``, ``order`` or ``pair``.
        corpus: the text.
        train: train examples wanted; fewer where the text is short.
        dev: dev examples wanted.
        seed: fixes which sentences are drawn and how they are changed.

    Raises:
        DataError: the text is too short, or ``package`` is asked of a text of one package.
        KeyError: no such task; see ``MADE_TASKS``.
    """
    classes: tuple[str, ...] = TWO_CLASSES.get(name, ())
    pair = name == "pair"
    parts = split_documents(corpus)
    makers: dict[str, Callable[[Sequence[Document], int, np.random.Generator], tuple[Example, ...]]]
    packages = _common_packages(corpus)
    makers = {
        "package": lambda documents, count, rng: _package(documents, packages, count, rng),
        "order": _order,
        "pair": _pair,
    }
    make = makers[name]
    if name == "package":
        classes = packages
        if len(classes) < 2:
            rule = "come from at least two packages for the task package"
            raise DataError("text", rule, packages, "Use the tasks order and pair with your own text.")
    drawn = []
    for index, (documents, count) in enumerate(zip(parts, (train, dev), strict=True)):
        # One stream per task and part: asking for fewer train examples leaves the dev examples as they are.
        rng = np.random.default_rng([seed, MADE_TASKS.index(name), index])
        drawn.append(make(documents, count, rng))
    return Task(name, Metric.ACCURACY, Kind.CLASSIFICATION, pair, classes, drawn[0], drawn[1])


def _common_packages(corpus: Corpus) -> tuple[str, ...]:
    sizes = dict.fromkeys(corpus.packages, 0)
    for document in corpus.documents:
        sizes[document.package] += len(document.sentences)
    return tuple(sorted(sorted(sizes, key=lambda package: (-sizes[package], package))[:MOST_CLASSES]))


MADE_TASKS = ("package", "order", "pair")
"""Names of the tasks made from the text, in the order they are trained."""
