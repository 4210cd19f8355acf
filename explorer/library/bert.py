"""Bring a BERT checkpoint in: its architecture into the store, its weights into a folder for ``transformers``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explorer.library.importing import ensure_stored
from explorer.similarity.graph import architecture_id
from explorer.training.files import check_new, named_folder
from graphstore import GraphStore

TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")
"""A checkpoint with one of these files has a tokenizer."""


@dataclass(frozen=True)
class BertImport:
    """What an import of a checkpoint found and wrote.

    Attributes:
        id: the architecture.
        space: where it went.
        new: whether the store did not have it.
        folder: the model.
        kind: name of the model's class.
        tokenizer: whether the checkpoint had one, which is beside the model now.
        left_out: weights that the model has no place for.
        difference: largest difference between its outputs and BERT's, or ``None`` where there is no BERT to ask.
    """

    id: str
    space: str
    new: bool
    folder: Path
    kind: str
    tokenizer: bool
    left_out: tuple[str, ...]
    difference: float | None


def import_bert(store: GraphStore, folder: Path, target: Path, space: str) -> BertImport:
    """Read a checkpoint, write it as a model of this package, whole or not at all, and store its architecture.

    Args:
        store: where the architecture goes.
        folder: the checkpoint, as ``BertModel`` and its like save it.
        target: folder of the model; new, or empty.
        space: name of the space, if the architecture is in none yet.

    Raises:
        InputError: the target holds something already or cannot be written; or as ``read_bert`` says.
        DataError: as ``read_bert`` says.
        ExplorerError: the model's outputs are not BERT's.
    """
    from transformers import AutoTokenizer

    from explorer.models.bert import compare_with_bert, read_bert
    from explorer.models.checking import quiet_transformers

    check_new(target)
    found = read_bert(folder)
    difference = compare_with_bert(found, folder)
    tokenizer = any((folder / name).is_file() for name in TOKENIZERS)
    with named_folder(target) as temporary:
        with quiet_transformers():
            found.model.save_pretrained(temporary)
            if tokenizer:
                # Saved anew, so that it names its own class: ours is no model that transformers knows one of.
                AutoTokenizer.from_pretrained(folder, padding_side="right").save_pretrained(temporary)
        new = ensure_stored(store, found.spec, space)
    id, kind = architecture_id(found.spec), type(found.model).__name__
    return BertImport(id, space, new, target, kind, tokenizer, found.left_out, difference)
