from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from explorer.errors import DataError
from explorer.training import text
from explorer.training.text import Corpus, Document, corpus_from_file, default_corpus, documents_of, prose_sentences


def quiet(share, message):
    assert 0 <= share <= 1


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    cache = tmp_path_factory.mktemp("text")
    return cache, default_corpus(cache, quiet)


def test_default_text_is_balanced_english(default):
    _, corpus = default
    assert set(corpus.packages) == set(text.PACKAGES)
    sizes = Counter()
    for document in corpus.documents:
        sizes[document.package] += sum(map(len, document.sentences))
    assert min(sizes.values()) > 0.75 * text.PACKAGE_CHARACTERS
    assert max(sizes.values()) < 1.05 * text.PACKAGE_CHARACTERS
    words = Counter(word.lower() for d in corpus.documents for s in d.sentences for word in s.split())
    assert words.most_common(1)[0][0] == "the"
    sentences = [sentence for document in corpus.documents for sentence in document.sentences]
    assert len(set(sentences)) == len(sentences)
    assert not any(">>>" in sentence or "\n" in sentence for sentence in sentences)


def test_second_call_reads_the_cache_and_gives_the_same(default, monkeypatch):
    cache, corpus = default
    monkeypatch.setattr(text, "documents_of", None)
    again = default_corpus(cache, quiet)
    assert again == corpus
    assert again.fingerprint == corpus.fingerprint
    assert [path.suffix for path in cache.iterdir()] == [".json"], "no temporary file is left"


def test_an_interrupted_collection_goes_on_after_the_last_package(default, tmp_path, monkeypatch):
    _, corpus = default
    calls, read = [], []

    def interrupted(root, package, characters, seen):
        calls.append(package)
        if len(calls) in (3, 8):
            raise KeyboardInterrupt
        read.append(package)
        return [document for document in corpus.documents if document.package == package]

    monkeypatch.setattr(text, "documents_of", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            default_corpus(tmp_path, quiet)
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert default_corpus(tmp_path, quiet) == corpus
    assert read == list(text.PACKAGES)
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


@pytest.mark.parametrize("left", ["", "{", "[1, 2]", "[[], [[1]]]", "null"])
def test_a_damaged_part_is_collected_again(tmp_path, monkeypatch, left):
    monkeypatch.setattr(text, "documents_of", lambda root, package, *others: [Document(package, "n", ("It is so.",))])
    (tmp_path / f"text-{text.installation_key()}.part").write_text(left)
    assert default_corpus(tmp_path, quiet).packages == tuple(sorted(text.PACKAGES))


def test_packages_are_read_without_importing_them():
    code = (
        "import sys; from explorer.training.text import _installed, documents_of;"
        "[documents_of(root, name, 3000, set()) for name, (root, _) in _installed().items()];"
        "print(sorted({'streamlit', 'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SOURCE = '''"""Tools for the work with boats. They can be used in any harbour."""
import nowhere_to_be_found

raise SystemExit

class Boat:
    """A boat that is ready for the sea.

    Parameters
    ----------
    length : float
        The length of the boat in the water, which is not its whole length.

    >>> Boat(3)
    """

    def sail(self):
        r"""Sail to the :func:`~harbour.Port` that is given and ``return`` the time of arrival.

        x = 3 is the value that is the default of the boat.
        """
'''


def test_documents_of_a_folder(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "boats.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text('"""It is not Python but it is in the folder. It stays out of it."""\ndef (')
    (tmp_path / "tests" / "more.py").write_text('"""A test that is in the folder of the tests. It is left out."""')
    found = documents_of(tmp_path, "boats", 10_000, {"They can be used in any harbour."})
    assert found == [
        Document("boats", "boats.py:", ("Tools for the work with boats.",)),
        Document("boats", "boats.py:.Boat", ("A boat that is ready for the sea.",)),
        Document(
            "boats", "boats.py:.Boat.sail", ("Sail to the harbour.Port that is given and return the time of arrival.",)
        ),
    ]
    assert [document.name for document in documents_of(tmp_path, "boats", 60, set())] == ["boats.py:"], (
        "the share is full"
    )


@pytest.mark.parametrize(
    "line",
    [
        "x : array_like of the values that are in the data",
        "Returns the value of f(x) = 3 for all of the points.",
        ">>> This is the code that is in the example.",
        "Die Funktion gibt einen Wert zurück, der die Summe ist.",
        "Too short is it.",
        "See https://example.org for the rest of the story.",
    ],
)
def test_what_is_no_prose_falls_away(line):
    assert prose_sentences(line) == ()


def test_fingerprint_depends_on_every_part():
    base = Corpus((Document("a", "b", ("One two.", "Three.")), Document("a", "c", ("Four.",))))
    others = [
        Corpus((Document("a", "b", ("One two.",)), Document("a", "c", ("Three.", "Four.")))),
        Corpus((Document("x", "b", ("One two.", "Three.")), Document("a", "c", ("Four.",)))),
        Corpus(base.documents[::-1]),
        Corpus(base.documents[:1]),
    ]
    assert len({corpus.fingerprint for corpus in (base, *others)}) == 5
    assert base.fingerprint == Corpus(tuple(base.documents)).fingerprint == "1b7feb6c675f6c70"


def test_wikitext_form(tmp_path):
    path = tmp_path / "wiki.txt"
    path.write_text(
        " \n = Boat = \n \n A boat floats . It is small . \n \n = = Parts = = \n \n The hull is wet . \n"
        " = Ship = \n \n A ship is a big boat , they say . \n"
    )
    corpus = corpus_from_file(path)
    assert [document.sentences for document in corpus.documents] == [
        ("A boat floats .", "It is small .", "The hull is wet ."),
        ("A ship is a big boat , they say .",),
    ]


def test_plain_text_has_its_documents_between_blank_lines(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\ufeffOne is here. Two is there.\nThree.\n\n\nFour is alone.\n", encoding="utf-8")
    corpus = corpus_from_file(path)
    assert [document.sentences for document in corpus.documents] == [
        ("One is here.", "Two is there.", "Three."),
        ("Four is alone.",),
    ]
    assert corpus.packages == ("own",)


def test_real_wikitext(shared_data):
    corpus = corpus_from_file(shared_data / "text" / "wikitext-2" / "valid.txt")
    assert len(corpus.documents) == 60
    assert corpus.documents[0].sentences[0].startswith("Homarus gammarus , known as the European lobster")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "hold something"), (b"\n \n", "hold something"), (b"One.\ntwo \xff\n", "line 2 must be valid UTF-8")],
)
def test_unusable_files_are_named(tmp_path, content, message):
    path = tmp_path / "own.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        corpus_from_file(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        corpus_from_file(tmp_path / "nowhere.txt")
