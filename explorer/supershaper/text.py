"""The text of a super-network: a training part, and a held-out part on which sub-networks are compared.

A folder with ``train.txt`` and ``valid.txt`` (the layout of WikiText) has both; from any other text every twentieth
document is held out. The vocabulary is trained on the training part or comes from a BERT checkpoint.

The encoded text is stored and never recomputed, even if the source changes or disappears, so that vocabulary and
held-out text stay those of the training.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import DataError
from explorer.training.files import digest, intact, new_folder, writable, write_array, write_json
from explorer.training.prepared import AGAIN, Prepared
from explorer.training.recipe import Recipe
from explorer.training.text import Corpus, Document, Progress, corpus_from_file, default_corpus
from explorer.training.tokenizer import (
    OURS,
    SpecialIds,
    encode_stream,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

TRAIN, VALID = "train.txt", "valid.txt"
HELD_OUT_EVERY = 20
MOST_TOKENS = 65_536
"""Largest vocabulary, because token ids are stored as 16-bit integers."""
SPECIAL_NAMES = ("pad", "cls", "sep", "mask", "unk")
"""Names in ``transformers`` of the attributes of ``SpecialIds``, in the same order."""


@dataclass(frozen=True)
class SuperText:
    """Text as token ids.

    Attributes:
        prepared: the training part and the vocabulary, without tasks.
        held_out: the other part as one stream, ``[T]``.
        fingerprint: digest of both parts and the vocabulary.
    """

    prepared: Prepared
    held_out: NDArray[np.uint16]
    fingerprint: str


def check_text(text: Path) -> None:
    """Check that a text can be read, without writing anything. Raises DataError like ``prepare_text``."""
    _corpora(text, Path(), lambda share, note: None)


def prepare_text(
    work: Path,
    recipe: Recipe,
    text: Path | None,
    bert: Path | None,
    progress: Progress,
    cased: bool | None = None,
) -> SuperText:
    """Read the text, train or load the vocabulary, and encode it; or load the result of an earlier call.

    After an earlier call with the same arguments the source is not read again.

    Args:
        work: folder for the results; created if absent.
        recipe: recipe with the vocabulary size and the length.
        text: a text file, a folder with ``train.txt`` and ``valid.txt``, or ``None`` for the default text.
        bert: a BERT checkpoint whose vocabulary is used, or ``None``.
        progress: called with the progress.
        cased: whether BERT's tokenizer keeps capitals; by default decided from the checkpoint.

    Raises:
        DataError: text or vocabulary is missing or malformed, or a file in ``work`` is damaged.
    """
    asked = (str(text or ""), str(bert or ""), str(recipe.vocab_size), str(recipe.length))
    manifest = work / f"prepared-{digest(*asked, *(() if cased is None else (str(cased),)))}.json"
    if not manifest.is_file():
        write_json(manifest, _prepare(work, recipe, text, bert, cased, progress))
    with intact(manifest, AGAIN):
        document = json.loads(manifest.read_text(encoding="utf-8"))
        folder, special = work / document["tokenizer"], SpecialIds(*document["special"])
        name, size = document["train"], document["vocab_size"]
        streams = []
        for file in document["streams"]:
            with intact(work / file, AGAIN):
                streams.append(np.load(work / file, mmap_mode="r", allow_pickle=False))
        tokens, held_out = streams
        prepared = Prepared(folder, size, recipe.length, tokens, name, (), special)
        found = SuperText(prepared, held_out, document["fingerprint"])
    progress(1.0, "the text is ready")
    return found


def _prepare(
    work: Path, recipe: Recipe, text: Path | None, bert: Path | None, cased: bool | None, progress: Progress
) -> dict[str, Any]:
    """Write all files; return the facts needed to load them."""
    train, held = _corpora(text, work, progress)
    progress(0.3, "preparing the vocabulary")
    folder, special, vocab_size = _vocabulary(work, recipe, train, bert, cased)
    tokenizer, vocabulary = load_tokenizer(folder)
    streams = []
    for corpus in (train, held):
        path = work / f"tokens-{digest(corpus.fingerprint, vocabulary)}.npy"
        if not path.is_file():
            progress(0.6, "encoding the text")
            write_array(path, _encoded(tokenizer, corpus, special))
        streams.append(path.name)
    name = digest(train.fingerprint, vocabulary)
    rows: dict[str, Any] = {"tokenizer": folder.name, "special": astuple(special), "vocab_size": vocab_size}
    return rows | {"train": name, "fingerprint": digest(name, held.fingerprint), "streams": streams}


def _corpora(text: Path | None, work: Path, progress: Progress) -> tuple[Corpus, Corpus]:
    """Return the training documents and the held-out documents."""
    if text is not None and text.is_dir():
        return corpus_from_file(text / TRAIN), corpus_from_file(text / VALID)
    whole = default_corpus(work, progress) if text is None else corpus_from_file(text)
    documents = whole.documents
    if len(documents) < HELD_OUT_EVERY:  # Too few documents to hold any out: split by sentence instead.
        documents = tuple(
            Document(one.package, f"{one.name}.{place}", (sentence,))
            for one in documents
            for place, sentence in enumerate(one.sentences)
        )
    if len(documents) < HELD_OUT_EVERY:
        rule = f"have at least {HELD_OUT_EVERY} documents or sentences"
        raise DataError(str(text), rule, len(documents), "Give more text.")
    held = documents[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
    rest = tuple(one for place, one in enumerate(documents) if place % HELD_OUT_EVERY != HELD_OUT_EVERY - 1)
    return Corpus(rest), Corpus(held)


def _encoded(tokenizer: Tokenizer, corpus: Corpus, special: SpecialIds) -> NDArray[np.uint16]:
    return encode_stream(tokenizer, [" ".join(one.sentences) for one in corpus.documents], special.end)


def _vocabulary(
    work: Path, recipe: Recipe, train: Corpus, bert: Path | None, cased: bool | None
) -> tuple[Path, SpecialIds, int]:
    """Return the folder of the tokenizer, its special tokens and the vocabulary size of the model."""
    if bert is not None:
        return _vocabulary_of_bert(work, bert, cased)
    folder = work / f"tokenizer-{digest(train.fingerprint, str(recipe.vocab_size), str(recipe.length))}"
    if not folder.is_dir():
        sentences = (sentence for document in train.documents for sentence in document.sentences)
        save_tokenizer(train_tokenizer(sentences, recipe.vocab_size), folder, recipe.length)
    return folder, OURS, load_tokenizer(folder)[0].get_vocab_size()


@dataclass(frozen=True)
class BertVocabulary:
    """The vocabulary of a BERT checkpoint.

    Attributes:
        tokenizer: its tokenizer.
        special: the tokenizer's special tokens.
        size: number of tokens that the model knows.
        notes: what was decided about the tokenizer, and what is contradictory in the checkpoint, one sentence each.
    """

    tokenizer: PreTrainedTokenizerFast
    special: SpecialIds
    size: int
    notes: tuple[str, ...]


def bert_vocabulary(bert: Path, cased: bool | None = None) -> BertVocabulary:
    """Read the vocabulary of a BERT checkpoint.

    Args:
        bert: the checkpoint.
        cased: whether texts keep their capitals; by default decided from the checkpoint.

    Raises:
        InputError, DataError: the checkpoint has no configuration or no complete tokenizer of a BERT.
    """
    from explorer.models.bert_tokenizer import read_tokenizer
    from explorer.models.checking import quiet_transformers
    from explorer.models.checkpoint import find_checkpoint, read_settings

    folder = find_checkpoint(str(bert)).folder
    size = read_settings(folder)[0].get("vocab_size")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MOST_TOKENS:
        rule = f"be a whole number up to {MOST_TOKENS}"
        raise DataError(f"{bert}: vocab_size", rule, size, "Choose another checkpoint.")
    with quiet_transformers():
        found = read_tokenizer(folder, size, cased)
    ids = [getattr(found.tokenizer, f"{name}_token_id") for name in SPECIAL_NAMES] if found is not None else []
    if found is None or None in ids:
        rule = "hold a tokenizer with BERT's special tokens"
        raise DataError(str(bert), rule, [path.name for path in folder.iterdir()], "Save BERT's tokenizer there.")
    return BertVocabulary(found.tokenizer, SpecialIds(*ids), size, found.notes)


def _vocabulary_of_bert(work: Path, bert: Path, cased: bool | None) -> tuple[Path, SpecialIds, int]:
    found = bert_vocabulary(bert, cased)
    own = found.tokenizer.backend_tokenizer.to_str()
    folder = work / f"tokenizer-{digest(own, json.dumps(astuple(found.special)))}"
    if not folder.is_dir():
        with writable(folder), new_folder(folder) as temporary:
            found.tokenizer.save_pretrained(temporary)
    return folder, found.special, found.size
