"""Drafts: architectures that are being edited, their errors, and their encoding in a URL.

A draft keeps what a person has typed, even where it is not a valid architecture yet, so that all errors are shown
together and no input is lost. Its encoding is short enough for a link: JSON, deflated, in URL-safe Base64.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from explorer.documents.json_text import parse_json
from explorer.errors import DataError, SpecError
from explorer.space.formats import from_model_dict
from explorer.space.spec import (
    MAX_HEADS,
    MAX_HIDDEN,
    MAX_LAYERS,
    MAX_STACK,
    ArchitectureSpec,
    Family,
    HeadOp,
    LayerSpec,
)

MIXED = "mixed"
"""Operation of a layer whose heads are listed individually."""
LONGEST_PASTE = 200_000
"""Maximum length of a pasted ``model_dict``; the largest possible one takes some 150,000 characters, per head."""
LONGEST_TEXT = 16_000
"""Maximum length of an encoded draft; browsers and proxies limit URLs to little more."""
LONGEST_FIELD = 2_000
"""Maximum length of one field of a layer."""
_UNPACKED = 400_000
_WORD = re.compile(r"(?:(\d{1,4})\s*[×x*]\s*)?([A-Za-z0-9_]{1,40})", re.ASCII)
_SEPARATORS = re.compile(r"[\s,;+→]+")


@dataclass(frozen=True)
class LayerDraft:
    """One layer as a person describes it.

    Attributes:
        operation: family and parameter, for example ``sa_sdp``, or ``MIXED``.
        hidden: hidden size; ``None`` if empty.
        heads: number of heads, ignored in a mixed layer; ``None`` if empty.
        stack: widths of the feed-forward stack, for example ``512, 256`` or ``3 × 512``.
        mix: heads of a mixed layer, for example ``2 × sa_sdp_64, 2 × c_5_64``.
    """

    operation: str
    hidden: int | None
    heads: int | None
    stack: str
    mix: str = ""


@dataclass(frozen=True)
class Draft:
    """An architecture as a person describes it: layers from input to output, and the backbone's width if any."""

    layers: tuple[LayerDraft, ...]
    backbone: int | None = None


def draft_of(spec: ArchitectureSpec) -> Draft:
    """Return the draft that describes an architecture."""
    return Draft(tuple(_layer_draft(layer) for layer in spec.layers), spec.backbone)


def _layer_draft(layer: LayerSpec) -> LayerDraft:
    main, stack = layer.main, counted([str(width) for width in layer.feed_forward])
    if main is not None:
        return LayerDraft(f"{main.family}_{main.parameter}", layer.hidden, len(layer.heads), stack)
    return LayerDraft(MIXED, layer.hidden, len(layer.heads), stack, counted([str(head) for head in layer.heads]))


def counted(words: list[str]) -> str:
    """Join words, with equal neighbours counted: ``2 × 512, 256``."""
    groups = [(word, len(list(equal))) for word, equal in groupby(words)]
    return ", ".join(f"{count} × {word}" if count > 1 else word for word, count in groups)


def uncounted(text: str, most: int, field: str) -> list[str]:
    """Return the words of a text in the form of ``counted``.

    Raises:
        SpecError: the text cannot be parsed, or has more than ``most`` words.
    """
    found: list[str] = []
    shown = text if len(text) <= LONGEST_FIELD else ""
    position, end = 0, len(shown)
    while position < end:
        gap = _SEPARATORS.match(shown, position)
        if gap:
            position = gap.end()
            continue
        word = _WORD.match(shown, position)
        if word is None:
            break
        count = int(word[1]) if word[1] else 1
        if not 1 <= count <= most or len(found) + count > most:
            raise SpecError(field, f"be at most {most}", text, "Shorten it.")
        found += [word[2]] * count
        position = word.end()
    if position < end or len(text) > LONGEST_FIELD:
        raise SpecError(field, "be separated by commas", text, "Write for example 512, 256 or 3 × 512.")
    return found


def read_layer(draft: LayerDraft, place: str) -> LayerSpec:
    """Return the layer that a draft describes.

    Args:
        draft: the layer.
        place: its name in errors, for example ``layer 2``.

    Raises:
        SpecError: the draft breaks a rule; names the field.
    """
    try:
        if draft.hidden is None:
            raise SpecError("hidden size", f"be a whole number from 1 to {MAX_HIDDEN}", None, "Fill it in.")
        widths = uncounted(draft.stack, MAX_STACK, "feed-forward widths")
        if not all(width.isdigit() and len(width) <= 6 for width in widths):
            raise SpecError("feed-forward widths", "be whole numbers", draft.stack, "Write for example 512, 256.")
        stack = tuple(int(width) for width in widths)
        if draft.operation == MIXED:
            return LayerSpec(draft.hidden, _heads(draft.mix), stack)
        if draft.heads is None:
            raise SpecError("heads", f"be a whole number from 1 to {MAX_HEADS}", None, "Fill it in.")
        family, _, parameter = draft.operation.partition("_")
        return LayerSpec.per_layer(draft.hidden, family, parameter, draft.heads, stack)
    except SpecError as error:
        raise error.at(place) from None


def _heads(mix: str) -> tuple[HeadOp, ...]:
    heads = []
    for word in uncounted(mix, MAX_HEADS, "heads"):
        family, parameter, size = [*word.split("_"), "", ""][:3]
        if family not in set(Family) or word.count("_") != 2 or not (size.isdigit() and len(size) <= 6):
            raise SpecError("heads", "read family_parameter_size", word, "Write for example 2 × sa_sdp_64, c_5_64.")
        heads.append(HeadOp(Family(family), parameter, int(size)))
    return tuple(heads)


def read_draft(draft: Draft) -> tuple[ArchitectureSpec | None, list[SpecError]]:
    """Return the architecture that a draft describes, and all errors.

    Returns:
        The architecture, or ``None`` exactly if there are errors; one error per invalid layer.
    """
    layers, errors = [], []
    for index, layer in enumerate(draft.layers):
        try:
            layers.append(read_layer(layer, f"layer {index}"))
        except SpecError as error:
            errors.append(error)
    if errors:
        return None, errors
    try:
        return ArchitectureSpec(tuple(layers), draft.backbone), []
    except SpecError as error:
        return None, [error]


# Editing. An outdated page may send an index outside the draft; it is ignored.


def with_layer(draft: Draft, index: int, layer: LayerDraft) -> Draft:
    """Return the draft with one layer replaced."""
    if not 0 <= index < len(draft.layers):
        return draft
    return _with(draft, (*draft.layers[:index], layer, *draft.layers[index + 1 :]))


def duplicated(draft: Draft, index: int) -> Draft:
    """Return the draft with one layer duplicated, unless it has the maximum number of layers."""
    if not 0 <= index < len(draft.layers) or len(draft.layers) >= MAX_LAYERS:
        return draft
    return _with(draft, (*draft.layers[: index + 1], *draft.layers[index:]))


def removed(draft: Draft, index: int) -> Draft:
    """Return the draft without one layer; a draft keeps at least one."""
    if not 0 <= index < len(draft.layers) or len(draft.layers) == 1:
        return draft
    return _with(draft, (*draft.layers[:index], *draft.layers[index + 1 :]))


def moved(draft: Draft, index: int, by: int) -> Draft:
    """Return the draft with a layer moved by so many positions towards the output; negative means to the input."""
    if not (0 <= index < len(draft.layers) and 0 <= index + by < len(draft.layers)):
        return draft
    layers = list(draft.layers)
    layers.insert(index + by, layers.pop(index))
    return _with(draft, tuple(layers))


def added(draft: Draft, layer: LayerDraft) -> Draft:
    """Return the draft with a layer appended, unless it has the maximum number of layers."""
    return draft if len(draft.layers) >= MAX_LAYERS else _with(draft, (*draft.layers, layer))


def _with(draft: Draft, layers: tuple[LayerDraft, ...]) -> Draft:
    return dataclasses.replace(draft, layers=layers)


# Encoding.


def plain_field(text: str) -> str:
    """Return user input as printable text of limited length, so that ``pack`` can encode it."""
    return "".join(character if character.isprintable() else " " for character in text[:LONGEST_FIELD])


def pack(draft: Draft) -> str:
    """Encode a draft for a URL. ``unpack`` rejects a text longer than ``LONGEST_TEXT``."""
    rows = [[layer.operation, layer.hidden, layer.heads, layer.stack, layer.mix] for layer in draft.layers]
    text = json.dumps({"b": draft.backbone, "l": rows}, separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpack(text: str) -> Draft:
    """Decode a text that ``pack`` wrote.

    Raises:
        SpecError: the text is anything else.
    """
    wrong = SpecError("model in the address", "be what this app wrote", text[:40], "Start from another architecture.")
    if not text.isascii() or not 1 <= len(text) <= LONGEST_TEXT:
        raise wrong
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        written = unpacking.decompress(packed, _UNPACKED)
        if unpacking.unconsumed_tail or not unpacking.eof:
            raise wrong
        document = parse_json(written.decode(), "model in the address")
    except (DataError, ValueError, binascii.Error, zlib.error):
        raise wrong from None
    if not isinstance(document, dict) or set(document) != {"b", "l"} or not isinstance(document["l"], list):
        raise wrong
    rows = document["l"]
    if not 1 <= len(rows) <= MAX_LAYERS or not all(_is_row(row) for row in rows) or not _is_size(document["b"]):
        raise wrong
    return Draft(tuple(LayerDraft(*row) for row in rows), document["b"])


def _is_row(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 5:
        return False
    operation, hidden, heads, stack, mix = row
    texts = (operation, stack, mix)
    fits = all(isinstance(text, str) and len(text) <= LONGEST_FIELD and text.isprintable() for text in texts)
    return fits and _is_size(hidden) and _is_size(heads, MAX_HEADS)


def _is_size(value: object, most: int = MAX_HIDDEN) -> bool:
    """Return whether a field of the page can hold the value."""
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most)


def read_pasted(text: str) -> ArchitectureSpec:
    """Parse pasted text: a ``model_dict`` of any form, or an object that holds one.

    Raises:
        SpecError: the text is not JSON, too long, or breaks a rule; the message says which.
    """
    if len(text) > LONGEST_PASTE:
        rule = f"have at most {LONGEST_PASTE:,} characters"
        raise SpecError("model_dict", rule, f"{len(text):,} characters", "Paste one architecture.")
    if not text.strip():
        raise SpecError("model_dict", "be given", "", "Paste JSON with the keys l, o, h, f and, per layer, n and p.")
    try:
        document: Any = parse_json(text, "model_dict")
    except DataError as error:
        raise SpecError.of(error) from None
    if isinstance(document, Mapping) and "model_dict" in document and "l" not in document:
        document = document["model_dict"]
    return from_model_dict(document)
