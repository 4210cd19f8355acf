"""Import a BERT checkpoint: its architecture into the store, its weights into a folder for ``transformers``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.library.spaces import add_architecture
from explorer.similarity.graph import architecture_id
from explorer.training.files import check_new, named_folder
from graphstore import GraphStore

if TYPE_CHECKING:
    from explorer.models.bert import ImportedBert
    from explorer.models.bert_tokenizer import BertTokenizerFiles


@dataclass(frozen=True)
class ReadBert:
    """A checkpoint whose model was found to have BERT's outputs.

    Attributes:
        found: the model.
        tokenizer: the tokenizer, if there is one.
        difference: largest difference between the outputs; see ``BertImport``.
    """

    found: ImportedBert
    tokenizer: BertTokenizerFiles | None
    difference: float | None


@dataclass(frozen=True)
class BertImport:
    """Result of importing a checkpoint.

    Attributes:
        id: id of the architecture.
        space: name of the space it belongs to.
        new: whether the store did not have it.
        folder: folder of the model.
        kind: name of the model's class.
        auto: name of the Auto class that loads it.
        tokenizer: whether the checkpoint had a tokenizer; it is saved next to the model.
        left_out: names of weights that the model has no counterpart for.
        difference: largest difference between its outputs and BERT's; ``None`` if ``transformers`` has no class to
            compare with.
        notes: what was decided or done to read the checkpoint, and what is contradictory in it, one sentence each.
    """

    id: str
    space: str
    new: bool
    folder: Path
    kind: str
    auto: str
    tokenizer: bool
    left_out: tuple[str, ...]
    difference: float | None
    notes: tuple[str, ...]


def read_bert_checkpoint(checkpoint: str, cased: bool | None = None) -> ReadBert:
    """Convert a checkpoint to a model of this package in memory, and compare their outputs.

    Args:
        checkpoint: a BERT, as ``BertModel.save_pretrained`` and its task variants write it: its folder, a file in it,
            a folder with it in a subfolder, or its name on the hub.
        cased: whether its tokenizer keeps capitals; by default decided from the checkpoint.

    Raises:
        InputError, DataError, SpecError: see ``find_checkpoint``, ``read_bert`` and ``read_tokenizer``.
        ExplorerError: the model's outputs differ from BERT's.
    """
    from explorer.models.bert import compare_with_bert, read_bert
    from explorer.models.bert_tokenizer import read_tokenizer
    from explorer.models.checking import quiet_transformers
    from explorer.models.checkpoint import find_checkpoint

    place = find_checkpoint(checkpoint)
    found = read_bert(place)
    with quiet_transformers():
        tokenizer = read_tokenizer(place.folder, found.model.config.vocab_size, cased)
    return ReadBert(found, tokenizer, compare_with_bert(found))


def import_bert(store: GraphStore, read: ReadBert, target: Path, space: str) -> BertImport:
    """Write the model of a checkpoint to a folder and store its architecture.

    The model's folder appears complete or not at all.

    Args:
        store: receives the architecture.
        read: the checkpoint.
        target: folder of the model; new or empty.
        space: name of the space for an architecture that the store does not have.

    Raises:
        InputError: the target is not empty.
        DataError: it cannot be written.
    """
    from explorer.models import AUTO
    from explorer.models.checking import quiet_transformers

    check_new(target)
    found, tokenizer = read.found, read.tokenizer
    notes = found.files.notes
    with named_folder(target) as temporary:
        with quiet_transformers():
            found.model.save_pretrained(temporary)
            if tokenizer is not None:
                tokenizer.tokenizer.save_pretrained(temporary)
                notes += (*tokenizer.notes, *_lost(tokenizer, temporary))
        new = add_architecture(store, found.spec, space)
    kind = type(found.model)
    names = kind.__name__, AUTO[kind].__name__
    id, has = architecture_id(found.spec), tokenizer is not None
    return BertImport(id, space, new, target, *names, has, found.left_out, read.difference, notes)


def _lost(read: BertTokenizerFiles, folder: Path) -> tuple[str, ...]:
    """Describe how the saved tokenizer, as users load it, differs from the one that was read, if it does."""
    from transformers import AutoTokenizer

    from explorer.models.bert_tokenizer import difference

    saved = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    apart = difference(read.tokenizer.backend_tokenizer, saved)
    return (f"the saved tokenizer differs from the checkpoint's: {apart}",) if apart else ()
