"""Byte-level BPE trained on the study's own text, saved as a folder that ``transformers`` loads.

Sequences are encoded as ``<s> a </s>``, pairs as ``<s> a </s> b </s>`` with token type 1 for ``b </s>``. Trainings
take the name of a special token inside a text for ordinary text; the tokenizer next to a model recognises it, as all
tokenizers of ``transformers`` do, because ``fill-mask`` needs ``<mask>``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from explorer.training.files import digest, new_folder, writable, write_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<mask>", "<unk>")
PAD, START, END, MASK, UNKNOWN = range(len(SPECIAL_TOKENS))
"""Ids of the special tokens, which are first in every vocabulary trained here."""


@dataclass(frozen=True)
class SpecialIds:
    """Ids of a vocabulary's special tokens; by default those of vocabularies trained here."""

    pad: int = PAD
    start: int = START
    end: int = END
    mask: int = MASK
    unknown: int = UNKNOWN

    @property
    def all(self) -> tuple[int, ...]:
        """The five ids, sorted."""
        return tuple(sorted(astuple(self)))


OURS = SpecialIds()


def train_tokenizer(sentences: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE vocabulary.

    Args:
        sentences: the text.
        vocab_size: size of the vocabulary, including the 5 special tokens and 256 bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL_TOKENS[UNKNOWN]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", START), ("</s>", END)],
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, length: int) -> None:
    """Save as a ``PreTrainedTokenizerFast`` folder atomically; an existing one is kept. Raises DataError."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=length,
        padding_side="right",
        model_input_names=[
            "input_ids",
            "token_type_ids",
            "attention_mask",
        ],  # models of sentence pairs use the token types
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        unk_token="<unk>",
    )
    with writable(folder), new_folder(folder) as temporary:
        fast.save_pretrained(temporary)


def recognise_special_tokens(folder: Path) -> None:
    """Make the tokenizer in a model's folder recognise the names of special tokens in texts.

    ``<mask>`` takes the blank before it along, like the tokens that it replaces. The files from which trainings read
    stay as they are, because the digest of ``tokenizer.json`` identifies a vocabulary.
    """
    path, settings_path = folder / "tokenizer.json", folder / "tokenizer_config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for token in document["added_tokens"]:
        if token["content"] == SPECIAL_TOKENS[MASK]:
            token["lstrip"] = True
    settings = json.loads(settings_path.read_text(encoding="utf-8"))
    settings.pop("split_special_tokens", None)  # Earlier versions wrote it.
    write_json(path, document)
    write_json(settings_path, settings)


def load_tokenizer(folder: Path) -> tuple[Tokenizer, str]:
    """Load the core of a saved fast tokenizer and the digest of its file, without importing ``transformers``."""
    from tokenizers import Tokenizer

    raw = (folder / "tokenizer.json").read_bytes()
    tokenizer = Tokenizer.from_buffer(raw)
    tokenizer.encode_special_tokens = True
    return tokenizer, digest(raw)


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], pairs: Sequence[str] | None, length: int
) -> list[NDArray[np.uint16]]:
    """Encode sentences or sentence pairs to token ids, cut to ``length`` (the longer sentence first).

    Args:
        tokenizer: from ``load_tokenizer``.
        texts: N sentences.
        pairs: the N second sentences, or ``None``.
        length: maximal number of tokens of a sequence.

    Returns:
        N arrays of ids, each ``[S]`` with S ≤ ``length``.
    """
    tokenizer.no_padding()
    tokenizer.enable_truncation(length, strategy="longest_first")
    batch = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
    return [np.asarray(row.ids, dtype=np.uint16) for row in tokenizer.encode_batch(batch)]


def encode_stream(tokenizer: Tokenizer, documents: Sequence[str], end_id: int = END) -> NDArray[np.uint16]:
    """Encode documents into one array ``[T]``, each followed by the separator (``</s>`` by default)."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    end = np.asarray([end_id], dtype=np.uint16)
    pieces: list[NDArray[np.uint16]] = []
    for row in tokenizer.encode_batch(list(documents), add_special_tokens=False):
        pieces += [np.asarray(row.ids, dtype=np.uint16), end]
    return np.concatenate(pieces)


def token_types(ids: NDArray[np.integer], pair: bool, end_id: int = END) -> NDArray[np.int64]:
    """Return the token types ``[S]`` of one encoded sequence: 1 after the first ``</s>`` of a pair, else 0."""
    types = np.zeros(len(ids), dtype=np.int64)
    if pair:
        types[int(np.argmax(ids == end_id)) + 1 :] = 1
    return types
