"""Tokenizers of BERT checkpoints: read as the checkpoint has them, and compared on sentences.

``tokenizer.json`` describes all of a tokenizer and is taken as it is. Older checkpoints have ``vocab.txt`` and perhaps
``tokenizer_config.json``, which leaves it open whether texts are lower-cased and lose their accents. That is decided
from the vocabulary: a tokenizer can only produce tokens that lower-casing and stripping accents leave as they are, so
it does neither if a vocabulary has other tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import DataError, InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

TOKENIZER, VOCABULARY, CONFIGURATION = "tokenizer.json", "vocab.txt", "tokenizer_config.json"
SPECIAL_TOKENS: Mapping[str, str] = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
"""Special tokens of ``transformers``, with BERT's names for them."""
TYPES = ("BertTokenizer", "BertTokenizerFast", "TokenizersBackend", "PreTrainedTokenizerFast")
"""Classes of tokenizers that ``vocab.txt`` describes."""
DECIDING = frozenset(("do_lower_case", "strip_accents", "tokenize_chinese_chars"))
"""Settings of ``tokenizer_config.json`` that ``tokenizer.json`` has too."""
ALTERED_SHARE = 1e-3
"""Share of a vocabulary's tokens above which an operation that alters them is not part of its tokenizer."""
SENTENCES = (
    "Paris is the capital of FRANCE, isn't it? It costs $1,234.50!",
    "Café, naïve façade: Übermut tut selten gut, señor Ångström.",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "私は東京に住んでいます。汉字和漢字 are written here.",
    "The [MASK] sat on the mat, and [SEP] is a name [MASK]!",
    "हिन्दी,한국어, кириллица, Ελληνικά and an emoji 😀.",
    "a tab\tand a no-break\u00a0space, a zero-width\u200bspace, an e\u0301 in two characters",
)
"""Texts that tokenizers treat differently if they treat any differently."""
SAMPLED = 64
"""Words of the vocabulary that are compared in addition, as they are, capitalised and in capitals."""


@dataclass(frozen=True)
class BertTokenizerFiles:
    """The tokenizer of a checkpoint.

    Attributes:
        tokenizer: the tokenizer, padding on the right.
        notes: what was decided about it, and what is contradictory in the checkpoint, one sentence each.
    """

    tokenizer: PreTrainedTokenizerFast
    notes: tuple[str, ...]


def read_tokenizer(folder: Path, vocab_size: int, cased: bool | None = None) -> BertTokenizerFiles | None:
    """Read the tokenizer of a checkpoint.

    Args:
        folder: the checkpoint.
        vocab_size: number of tokens that its model knows.
        cased: whether texts keep their capitals; by default what the checkpoint says, else what its vocabulary shows.

    Returns:
        The tokenizer; ``None`` if the checkpoint has none.

    Raises:
        InputError: it is not BERT's, or ``cased`` does not fit it.
        DataError: a file is damaged, or the model does not know all of its tokens.
    """
    if not any((folder / name).is_file() for name in (TOKENIZER, VOCABULARY)):
        if cased is not None:
            rule = f"be used with a checkpoint that has {TOKENIZER} or {VOCABULARY}"
            raise InputError("cased", rule, str(folder), "Put the vocabulary next to the model.")
        return None
    try:
        settings = _settings(folder)
        read = _whole if (folder / TOKENIZER).is_file() else _from_vocabulary
        found = read(folder, settings, cased)
    except InputError:
        raise
    except Exception as error:  # The tokenizers library raises Exception itself.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        remedy = "Correct its files, or remove them to import the model without a tokenizer."
        raise DataError(f"tokenizer in {folder}", "be readable", reason, remedy) from None
    if len(found.tokenizer) > vocab_size:
        remedy = "Take the vocabulary that the model was trained with, or remove it to import the model alone."
        rule = f"know at most the model's {vocab_size} tokens"
        raise DataError(f"tokenizer in {folder}", rule, len(found.tokenizer), remedy)
    return found


def difference(reference: Tokenizer, other: Tokenizer) -> str:
    """Describe the first text that two tokenizers encode differently; empty if there is none."""
    for text in _texts(reference):
        wanted, got = (_core(one, text) for one in (reference, other))
        if wanted.ids != got.ids:
            short = text if len(text) <= 60 else f"{text[:57]}..."
            places = [place for place, pair in enumerate(zip(wanted.ids, got.ids, strict=False)) if pair[0] != pair[1]]
            place = places[0] if places else min(len(wanted.ids), len(got.ids))
            tokens = [" ".join(one.tokens[place : place + 4]) or "nothing" for one in (wanted, got)]
            return f"{short!r} gives {tokens[1]} instead of {tokens[0]} from token {place} on"
    return ""


def _texts(tokenizer: Tokenizer) -> Iterator[str]:
    """Yield the fixed sentences and words of the vocabulary, so that small vocabularies are compared as well."""
    yield from SENTENCES
    words = [token for token in sorted(tokenizer.get_vocab()) if token.isalpha()]
    for word in words[:: max(1, len(words) // SAMPLED)]:
        yield " ".join((word, word.capitalize(), word.upper()))


def _core(tokenizer: Tokenizer, text: str) -> Any:
    """Encode a text without the padding and truncation that a file may prescribe."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer.encode(text)


def _settings(folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", CONFIGURATION):
        path = folder / name
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8-sig"))
            if not isinstance(found, dict):
                raise DataError(str(path), "hold keys and values", found, "Correct it, or remove it.")
            settings |= found
    return settings


def _whole(folder: Path, settings: Mapping[str, Any], cased: bool | None) -> BertTokenizerFiles:
    """Read a checkpoint with ``tokenizer.json``, which counts even if ``transformers`` would not follow it."""
    from tokenizers import Tokenizer
    from transformers import BertTokenizer

    reference, notes = Tokenizer.from_file(str(folder / TOKENIZER)), []
    core = Tokenizer.from_file(str(folder / TOKENIZER))
    if cased is not None:
        _set_case(core, cased)
        if apart := difference(reference, core):
            notes.append(
                f"its {TOKENIZER} is not followed, because {'' if cased else 'un'}cased was asked for: {apart}"
            )
    elif settings.keys() & DECIDING and settings.get("tokenizer_class", TYPES[0]) in TYPES[:2]:
        theirs = BertTokenizer.from_pretrained(folder).backend_tokenizer
        if apart := difference(reference, theirs):
            other = f"{CONFIGURATION} contradicts {TOKENIZER}, which is followed; with {CONFIGURATION}, {apart}"
            notes.append(f"{other}. To decide otherwise, ask for cased or uncased")
    if cased is None and not notes and core.normalizer is not None and core.normalizer.normalize_str("A") == "a":
        ordinary = _ordinary(core.get_vocab())
        capitals = sorted(_altered(ordinary, lowercase=True))
        if _many(capitals, ordinary):
            examples = f"{len(capitals)} tokens with capitals, such as {', '.join(capitals[:3])}"
            said = f"texts are lower-cased as {TOKENIZER} says, but its vocabulary has {examples}"
            notes.append(f"{said}, which cannot occur then; ask for cased to keep them")
    return BertTokenizerFiles(_fast(core, settings), tuple(notes))


def _set_case(core: Tokenizer, cased: bool) -> None:
    """Make the normaliser of a tokenizer keep capitals or not; accents follow. Raises InputError."""
    from tokenizers.normalizers import BertNormalizer

    had = core.normalizer
    if not isinstance(had, BertNormalizer):
        rule = f"be used with BERT's normaliser in {TOKENIZER}"
        raise InputError("cased", rule, type(had).__name__, "Leave it out.")
    core.normalizer = BertNormalizer(had.clean_text, had.handle_chinese_chars, None, not cased)


def _from_vocabulary(folder: Path, settings: Mapping[str, Any], cased: bool | None) -> BertTokenizerFiles:
    """Build the tokenizer of a checkpoint with ``vocab.txt`` alone."""
    from transformers import BertTokenizer

    kind = settings.get("tokenizer_class") or TYPES[0]
    if kind not in TYPES:
        remedy = f"Save it as a fast tokenizer, with {TOKENIZER}, or remove {VOCABULARY} to import the model alone."
        raise InputError("tokenizer_class", f"be {TYPES[0]}, or have a {TOKENIZER}", kind, remedy)
    words = [line.rstrip("\r") for line in (folder / VOCABULARY).read_text(encoding="utf-8-sig").split("\n")]
    if not any(words):
        raise DataError(str(folder / VOCABULARY), "hold a token in every line", "none", "Fetch the file again.")
    ordinary = _ordinary(words)
    lower, strip, notes = _normalization(ordinary, settings, cased)
    loaded = BertTokenizer.from_pretrained(folder, do_lower_case=lower, strip_accents=strip)
    fast = _fast(loaded.backend_tokenizer, {**settings, "model_max_length": loaded.model_max_length})
    return BertTokenizerFiles(fast, notes)


def _normalization(
    words: Sequence[str], settings: Mapping[str, Any], cased: bool | None
) -> tuple[bool, bool | None, tuple[str, ...]]:
    """Return whether to lower-case, whether to strip accents (``None``: with the capitals), and notes."""
    capitals, accents = _altered(words, lowercase=True), _altered(words, lowercase=False)
    shown, said = not _many(capitals, words), settings.get("do_lower_case")
    if isinstance(said, str):
        said = said.strip().lower() not in ("false", "no", "0", "")
    lower = not cased if cased is not None else bool(said) if said is not None else shown
    examples = f"its vocabulary has {len(capitals)} tokens with capitals, such as {', '.join(capitals[:3])}"
    notes = []
    if lower and not shown:
        why = "as asked" if cased is not None else f"as {CONFIGURATION} says"
        notes.append(
            f"texts are lower-cased {why}, but {examples}, which cannot occur then; ask for cased to keep them"
        )
    elif not lower and shown and cased is not True:
        why = f"as {CONFIGURATION} says, but its vocabulary has no capitals, so words with capitals are unknown"
        notes.append(f"texts keep their capitals {why}; ask for uncased to lower-case them")
    elif cased is None and said is None and not lower:
        notes.append(f"texts keep their capitals, because {examples}; ask for uncased to lower-case them")
    elif cased is None and said is None:
        notes.append("texts are lower-cased, because its vocabulary has no capitals; ask for cased to keep them")
    strip = settings.get("strip_accents")
    if strip is None and lower and _many(accents, words):
        examples = f"its vocabulary has tokens such as {', '.join(accents[:3])}"
        if said is None:
            strip = False
            notes.append(f"texts keep their accents, because {examples}")
        else:
            notes.append(f"texts lose their accents with their capitals, but {examples}; strip_accents can say false")
    return lower, strip, tuple(notes)


def _ordinary(words: Iterable[str]) -> list[str]:
    """Return the tokens without the special ones such as ``[MASK]``."""
    return [word for word in words if word and not (word.startswith(("[", "<")) and len(word) > 1)]


def _altered(words: Sequence[str], lowercase: bool) -> list[str]:
    """Return the words that lower-casing alters, or else those that stripping accents alters."""
    from tokenizers.normalizers import BertNormalizer

    change = BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=not lowercase, lowercase=lowercase
    )
    return [word for word in words if change.normalize_str(word) != word]


def _many(altered: Sequence[str], words: Sequence[str]) -> bool:
    return len(altered) > ALTERED_SHARE * len(words)


def _fast(core: Tokenizer, settings: Mapping[str, Any]) -> PreTrainedTokenizerFast:
    """Return a core as a tokenizer that is saved with it, so that loading it builds nothing again."""
    from transformers import PreTrainedTokenizerFast

    known = core.get_vocab()
    special = {}
    for name, usual in SPECIAL_TOKENS.items():
        token = settings.get(name) or usual
        token = token.get("content", usual) if isinstance(token, Mapping) else str(token)
        if token in known:
            special[name] = token
    longest = settings.get("model_max_length")
    limit = {"model_max_length": longest} if isinstance(longest, int) and not isinstance(longest, bool) else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        padding_side="right",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
        **limit,
    )
