"""From text and tasks to arrays of token ids, kept on disk so that every training of a study starts at once.

Every file in the work folder is named by the digest of what it was made from, written under a temporary name and
renamed when complete; two processes that prepare the same thing at the same time end with the same files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from explorer.training.files import digest, intact, write_array, write_atomically, write_json
from explorer.training.metrics import Metric
from explorer.training.recipe import Recipe
from explorer.training.sources import PREPARATION_VERSION, Source, resolve_source
from explorer.training.tasks.base import Kind, Task
from explorer.training.tasks.made import MADE_TASKS, make_task
from explorer.training.text import Corpus, Document, Progress, corpus_from_file, default_corpus
from explorer.training.tokenizer import OURS, SpecialIds

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_EXAMPLES = 100_000
"""Of a task with more train examples than this, only so many sentences or pairs join the text."""


AGAIN = "Remove the folder it is in: all of that is made again."


@dataclass(frozen=True)
class EncodedExamples:
    """Examples as token ids.

    Attributes:
        ids: all sequences one after the other, ``[T]``.
        offsets: where each begins, and the end of the last, ``[N + 1]``.
        labels: ``[N]``.
        special: ids of the vocabulary's special tokens.
    """

    ids: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]
    special: SpecialIds = OURS

    def __len__(self) -> int:
        return len(self.labels)

    def sequence(self, index: int) -> NDArray[np.uint16]:
        """Token ids of one example, ``[S]``."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, ``[N]``."""
        return np.diff(self.offsets)

    def take(self, indices: NDArray[np.int64]) -> EncodedExamples:
        """Some of the examples, in the order given."""
        rows = [self.sequence(int(index)) for index in indices]
        ids = np.concatenate(rows) if rows else self.ids[:0]
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return EncodedExamples(ids, offsets, self.labels[indices], self.special)


@dataclass(frozen=True)
class EncodedTask:
    """A task as token ids; the attributes are those of ``tasks.base.Task``, ``fingerprint`` that of the raw task."""

    name: str
    metric: Metric
    kind: Kind
    pair: bool
    classes: tuple[str, ...]
    fingerprint: str
    train: EncodedExamples
    dev: EncodedExamples
    mismatched: EncodedExamples | None = None

    @property
    def devs(self) -> dict[str, EncodedExamples]:
        """What it is scored on, by what tells the sets apart: nothing, or ``matched`` and ``mismatched``."""
        return {"": self.dev} if self.mismatched is None else {"matched": self.dev, "mismatched": self.mismatched}


@dataclass(frozen=True)
class Prepared:
    """Everything a training reads.

    Attributes:
        tokenizer: folder of the tokenizer.
        vocab_size: tokens it knows.
        length: most tokens of a sequence.
        tokens: the text as one stream of ids, ``[T]``, memory-mapped.
        text: fingerprint of the text and its vocabulary.
        tasks: in the order they are trained.
        special: ids of the vocabulary's special tokens.
    """

    tokenizer: Path
    vocab_size: int
    length: int
    tokens: NDArray[np.uint16]
    text: str
    tasks: tuple[EncodedTask, ...]
    special: SpecialIds = OURS

    def dataset(self, task: EncodedTask) -> str:
        """Fingerprint of the data behind a task's score: the pre-training text and the task's examples."""
        return digest(self.text, task.fingerprint)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the data behind the mean over all tasks."""
        return digest(self.text, *(task.fingerprint for task in self.tasks))


def prepare(
    work: Path,
    recipe: Recipe,
    tasks: Sequence[str] | None,
    data: Path | None,
    progress: Progress,
    task_files: Sequence[Path] = (),
) -> Prepared:
    """Collect the text, train the tokenizer and encode text and tasks; or load all that from an earlier call.

    Only train examples get into the text and the vocabulary, never dev examples of the user's or GLUE's tasks.

    Args:
        work: folder for the results; made if absent.
        recipe: vocabulary, length and number of examples.
        tasks: names of the tasks, or ``None`` for all that the data offers (see ``resolve_source``).
        data: text file, GLUE-format folder, ``hub:NAME``, or ``None`` for the default text.
        progress: told how far it is.
        task_files: the user's own tasks.

    Raises:
        InputError: a task is unknown.
        DataError: data is missing or malformed, or a file in ``work`` is damaged.
    """
    source = resolve_source(tasks, data, task_files)
    manifest = work / f"prepared-{source.key(recipe)}.json"
    if not manifest.is_file():
        write_json(manifest, _build(work, recipe, source, progress))
    with intact(manifest, AGAIN):
        document = json.loads(manifest.read_text(encoding="utf-8"))
    return _load(work, recipe, document)


def prepare_tasks(
    prepared: Prepared,
    work: Path,
    recipe: Recipe,
    tasks: Sequence[str],
    data: Path | None,
    progress: Progress,
    task_files: Sequence[Path] = (),
) -> Prepared:
    """Tasks in a vocabulary that is there already.

    Args:
        prepared: text and vocabulary; its own tasks are left out.
        work: folder for the results.
        recipe: number of examples; its length is the vocabulary's.
        tasks: names of the tasks.
        data: as ``prepare``'s.
        progress: told how far it is.
        task_files: the user's own tasks.

    Raises:
        InputError: a task is unknown; DataError: data is missing or malformed.
    """
    from explorer.training.tokenizer import load_tokenizer

    source = resolve_source(tasks, data, task_files)
    loaded = source.load()
    if set(source.tasks) - set(loaded):
        loaded = _made(source, _corpus(work, source, progress), recipe) | loaded
    rows = _encode_tasks(work, recipe, source, loaded, *load_tokenizer(prepared.tokenizer), progress)
    found = _load_tasks(work, rows, prepared.special)
    return replace(prepared, tasks=found)


def _corpus(work: Path, source: Source, progress: Progress) -> Corpus:
    if source.text:
        return corpus_from_file(source.text)
    return default_corpus(work, lambda share, message: progress(0.6 * share, message))


def _made(source: Source, corpus: Corpus, recipe: Recipe) -> dict[str, Task]:
    """The tasks that are made from the text."""
    settings = (recipe.train_examples, recipe.dev_examples, recipe.task_seed)
    return {name: make_task(name, corpus, *settings) for name in source.tasks if name in MADE_TASKS}


def _build(work: Path, recipe: Recipe, source: Source, progress: Progress) -> dict[str, object]:
    from explorer.training.tokenizer import encode_stream, load_tokenizer, save_tokenizer, train_tokenizer

    loaded = source.load()
    corpus = _corpus(work, source, progress)
    made = _made(source, corpus, recipe)
    corpus = _with_sentences(corpus, loaded) if source.text is None else corpus
    sizes = (str(recipe.vocab_size), str(recipe.length))
    folder = work / f"tokenizer-{digest(PREPARATION_VERSION, corpus.fingerprint, *sizes)}"
    if not folder.is_dir():
        progress(0.6, "training the tokenizer")
        sentences = (sentence for document in corpus.documents for sentence in document.sentences)
        save_tokenizer(train_tokenizer(sentences, recipe.vocab_size), folder, recipe.length)
    tokenizer, vocabulary = load_tokenizer(folder)
    text = digest(corpus.fingerprint, vocabulary)
    stream = work / f"tokens-{text}.npy"
    if not stream.is_file():
        progress(0.75, "encoding the text")
        write_array(stream, encode_stream(tokenizer, [" ".join(d.sentences) for d in corpus.documents]))
    rows = _encode_tasks(work, recipe, source, made | loaded, tokenizer, vocabulary, progress)
    progress(1.0, "text and tasks are ready")
    vocab_size = tokenizer.get_vocab_size()
    return {"tokenizer": folder.name, "vocab_size": vocab_size, "text": text, "stream": stream.name, "tasks": rows}


def _encode_tasks(
    work: Path,
    recipe: Recipe,
    source: Source,
    tasks: dict[str, Task],
    tokenizer: Tokenizer,
    vocabulary: str,
    progress: Progress,
) -> list[dict[str, object]]:
    """Write every task that is not there yet; what ``_load_tasks`` needs to know of them."""
    rows = []
    for name in source.tasks:
        progress(0.9, f"encoding task {name}")
        task = tasks[name]
        path = work / f"task-{name}-{digest(task.fingerprint, vocabulary, str(recipe.length))}.npz"
        if not path.is_file():
            _write_task(path, task, tokenizer, recipe.length)
        row: dict[str, object] = {"file": path.name, "fingerprint": task.fingerprint, "name": name}
        row |= {"classes": task.classes, "metric": task.metric.value, "kind": task.kind.value, "pair": task.pair}
        rows.append(row)
    return rows


def _with_sentences(corpus: Corpus, tasks: dict[str, Task]) -> Corpus:
    """The default text and the train sentences of the user's tasks, so that the vocabulary knows their words."""
    documents = list(corpus.documents)
    for name, task in tasks.items():
        for number, example in enumerate(task.train[:MOST_EXAMPLES]):
            sentences = (example.first, example.second) if example.second else (example.first,)
            documents.append(Document(name, str(number), sentences))
    return Corpus(tuple(documents))


def _write_task(path: Path, task: Task, tokenizer: Tokenizer, length: int) -> None:
    from explorer.training.tokenizer import encode

    arrays = {}
    for part, examples in task.parts.items():
        seconds = [example.second or "" for example in examples] if task.pair else None
        rows = encode(tokenizer, [example.first for example in examples], seconds, length)
        arrays[f"{part}_ids"] = np.concatenate(rows)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        arrays[f"{part}_labels"] = np.asarray([example.label for example in examples])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, lambda stream: stream.write(buffer.getvalue()))


def _load_tasks(work: Path, rows: list[dict[str, Any]], special: SpecialIds = OURS) -> tuple[EncodedTask, ...]:
    tasks = []
    for row in rows:
        path = work / row["file"]
        # Opened here: numpy leaves the file open where it is damaged.
        with intact(path, AGAIN), path.open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
            parts = [
                EncodedExamples(arrays[f"{part}_ids"], arrays[f"{part}_offsets"], arrays[f"{part}_labels"], special)
                for part in ("train", "dev", "mismatched")
                if f"{part}_ids" in arrays
            ]
        metric, kind = Metric(row["metric"]), Kind(row["kind"])
        tasks.append(
            EncodedTask(row["name"], metric, kind, row["pair"], tuple(row["classes"]), row["fingerprint"], *parts)
        )
    return tuple(tasks)


def _load(work: Path, recipe: Recipe, manifest: dict[str, Any]) -> Prepared:
    tasks = _load_tasks(work, manifest["tasks"])
    stream = work / str(manifest["stream"])
    with intact(stream, AGAIN):
        tokens = np.load(stream, mmap_mode="r", allow_pickle=False)
    folder, vocab_size = work / str(manifest["tokenizer"]), int(str(manifest["vocab_size"]))
    return Prepared(folder, vocab_size, recipe.length, tokens, str(manifest["text"]), tasks)
