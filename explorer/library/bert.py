"""Import a BERT checkpoint: its architecture into the store, its weights into a folder for ``transformers``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explorer.library.spaces import add_architecture
from explorer.similarity.graph import architecture_id
from explorer.training.files import check_new, named_folder
from graphstore import GraphStore

TOKENIZERS = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")
"""A checkpoint with one of these files has a tokenizer."""


@dataclass(frozen=True)
class BertImport:
    """Result of importing a checkpoint.

    Attributes:
        id: id of the architecture.
        space: name of the space it belongs to.
        new: whether the store did not have it.
        folder: folder of the model.
        kind: name of the model's class.
        tokenizer: whether the checkpoint had a tokenizer; it is saved next to the model.
        left_out: names of weights that the model has no counterpart for.
        difference: largest difference between its outputs and BERT's; ``None`` if ``transformers`` has no class to
            compare with.
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
    """Convert a checkpoint to a model of this package and store its architecture.

    The model's folder appears complete or not at all.

    Args:
        store: receives the architecture.
        folder: the checkpoint, as ``BertModel.save_pretrained`` and its task variants write it.
        target: folder of the model; new or empty.
        space: name of the space for an architecture that the store does not have.

    Raises:
        InputError: the target is not empty or cannot be written; see also ``read_bert``.
        DataError: see ``read_bert``.
        ExplorerError: the model's outputs differ from BERT's.
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
                # Re-save the tokenizer so that its config names its class: AutoTokenizer cannot infer it from our
                # model type.
                AutoTokenizer.from_pretrained(folder, padding_side="right").save_pretrained(temporary)
        new = add_architecture(store, found.spec, space)
    id, kind = architecture_id(found.spec), type(found.model).__name__
    return BertImport(id, space, new, target, kind, tokenizer, found.left_out, difference)
