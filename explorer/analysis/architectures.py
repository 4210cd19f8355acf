"""The architecture that a user means: by the name of a model, widths of a shape, a file, or in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from explorer.analysis.tables import architecture_label
from explorer.documents.json_text import parse_cell
from explorer.documents.text import read_text
from explorer.errors import InputError, Shown
from explorer.similarity.graph import architecture_id
from explorer.space.backbones import parse_widths, shape_spec
from explorer.space.formats import FIRST_FORM, from_json, from_model_dict, is_first_form
from explorer.space.named import find_named, named_models
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import ArchitectureRecord

SHAPE_KEY = "sample_hidden_size"
"""The key of a shape in SuperShaper's files (iitm-sysdl/SuperShaper, ``subtransformer_configs``)."""


@dataclass(frozen=True)
class FoundArchitecture:
    """The architecture that a text names.

    Attributes:
        id: its id.
        spec: the architecture.
        label: its name and the first digits of its id, or the user's text for one that is not from the store.
        stored: whether it was found in the store; a published model may also be there.
        read_as: how a file was read, if that is unusual.
    """

    id: str
    spec: ArchitectureSpec
    label: str
    stored: bool
    read_as: str = ""


def _of_document(text: str, place: str) -> tuple[ArchitectureSpec, str]:
    """Return the architecture in a file, and how it was read if that is unusual."""
    document = parse_cell(text, place)
    if isinstance(document, Mapping) and set(document) == {SHAPE_KEY} and isinstance(document[SHAPE_KEY], list):
        return shape_spec(document[SHAPE_KEY]), "SuperShaper's configuration of a shape of BERT-Base"
    if isinstance(document, Mapping) and isinstance(document.get("model_dict"), Mapping):
        inner = document["model_dict"]
        return from_model_dict(inner), "the model_dict inside of it"
    if isinstance(document, Mapping) and document and all(_has_model(row) for row in document.values()):
        rule = "hold one architecture"
        remedy = "Import the table, or save the model_dict of one of them."
        raise InputError(place, rule, Shown(f"{len(document):,}: {', '.join(list(document)[:3])}"), remedy)
    return from_model_dict(document), FIRST_FORM if is_first_form(document) else ""


def _has_model(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("model_dict"), Mapping)


def find_architecture(
    text: str,
    record: Callable[[str], ArchitectureRecord],
    names: Callable[[], Mapping[str, str]],
    files: bool = False,
) -> FoundArchitecture:
    """Find the architecture that a user means.

    A text is, in this order: the name of a published model; the widths of a shape of BERT-Base (``480,240,…``); a JSON
    file; an id in the store or a unique prefix of one; the name of a stored architecture. Case does not matter.

    Args:
        text: the user's words.
        record: returns the stored architecture with an id or unique prefix, or raises NotFoundError; called only if
            needed, as is ``names``.
        names: returns the names of stored architectures by id; unnamed ones may be missing or empty.
        files: whether the text may name a JSON file.

    Raises:
        InputError: the text is none of these, or fits several architectures.
    """
    wanted = text.strip()
    spec, read_as = find_named(wanted), ""
    if spec is None and (widths := parse_widths(wanted)) is not None:
        spec = shape_spec(widths)
    if spec is None and files and wanted.endswith(".json"):
        spec, read_as = _of_document(read_text(Path(wanted)), wanted)
    if spec is not None:
        return FoundArchitecture(architecture_id(spec), spec, wanted, False, read_as)
    try:
        found = record(wanted)
    except NotFoundError as error:
        named = [id for id, name in names().items() if name and name.casefold() == wanted.casefold()]
        if len(named) != 1:
            file = ", a .json file" if files else ""
            models = ", ".join(named_models())
            rule = f"be one of {models}, 12 widths as 480,240,…{file}, or the id or name of a stored architecture"
            several = f"{len(named)} architectures have this name: {', '.join(named[:5])}"
            raise InputError("architecture", rule, text, f"Check the name. ({several if named else error})") from None
        found = record(named[0])
    return FoundArchitecture(found.id, from_json(found.spec), architecture_label(found.id, found.name), stored=True)


def stored_architecture(store: GraphStore, text: str) -> FoundArchitecture:
    """Find the architecture that a user of this machine means, who may name a file; see ``find_architecture``."""
    return find_architecture(
        text, store.architecture, lambda: {one.id: one.name for one in store.summaries()}, files=True
    )
