"""Text and tasks as arrays of token ids, cached on disk so that every training of a study starts immediately.

Every file in the work folder is named by the digest of its inputs, written under a temporary name and renamed when
complete, so two processes that prepare the same inputs concurrently end with the same files.
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

from explorer.training.files import digest, intact, writable, write_array, write_atomically, write_json
from explorer.training.metrics import Metric
from explorer.training.recipe import Recipe
from explorer.training.sources import PREPARATION_VERSION, Source, resolve_source
from explorer.training.tasks.base import Task, TaskKind
from explorer.training.tasks.made import MADE_TASKS, make_task
from explorer.training.text import Corpus, Document, Progress, corpus_from_file, default_corpus
from explorer.training.tokenizer import OURS, SpecialIds

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MOST_EXAMPLES = 100_000
"""Most train examples per task whose sentences are added to the text."""


AGAIN = "Remove its folder: everything in it can be recreated."


@dataclass(frozen=True)
class EncodedExamples:
    """Examples as token ids.

    Attributes:
        ids: all sequences concatenated, ``[T]``.
        offsets: start of each sequence and the end of the last, ``[N + 1]``.
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
        """Return the token ids of one example, ``[S]``."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Lengths of the examples in tokens, ``[N]``."""
        return np.diff(self.offsets)

    def take(self, indices: NDArray[np.int64]) -> EncodedExamples:
        """Return some of the examples in the given order."""
        rows = [self.sequence(int(index)) for index in indices]
        ids = np.concatenate(rows) if rows else self.ids[:0]
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return EncodedExamples(ids, offsets, self.labels[indices], self.special)


@dataclass(frozen=True)
class EncodedTask:
    """A task as token ids; the attributes are those of ``tasks.base.Task``, ``fingerprint`` that of the raw task."""

    name: str
    metric: Metric
    kind: TaskKind
    pair: bool
    classes: tuple[str, ...]
    fingerprint: str
    train: EncodedExamples
    dev: EncodedExamples
    mismatched: EncodedExamples | None = None

    @property
    def devs(self) -> dict[str, EncodedExamples]:
        """The dev sets by suffix: an empty one, or ``matched`` and ``mismatched``."""
        return {"": self.dev} if self.mismatched is None else {"matched": self.dev, "mismatched": self.mismatched}


@dataclass(frozen=True)
class Prepared:
    """Everything a training reads.

    Attributes:
        tokenizer: folder of the tokenizer.
        vocab_size: size of its vocabulary.
        length: maximal number of tokens of a sequence.
        tokens: the text as one stream of ids, ``[T]``, memory-mapped.
        text: fingerprint of the text and its vocabulary.
        tasks: tasks in the order of training.
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
        """Return the fingerprint of the data of a task's score: the pre-training text and the task's examples."""
        return digest(self.text, task.fingerprint)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the data of the mean over all tasks."""
        return digest(self.text, *(task.fingerprint for task in self.tasks))


def prepare(
    work: Path,
    recipe: Recipe,
    tasks: Sequence[str] | None,
    data: Path | None,
    progress: Progress,
    task_files: Sequence[Path] = (),
) -> Prepared:
    """Collect the text, train the tokenizer and encode text and tasks; or load the result of an earlier call.

    Only train examples are added to the text and the vocabulary, never dev examples of the user's or GLUE's tasks.

    Args:
        work: folder for the results; created if absent.
        recipe: recipe with vocabulary size, length and number of examples.
        tasks: names of the tasks, or ``None`` for all that the data offers (see ``resolve_source``).
        data: text file, GLUE-format folder, ``hub:NAME``, or ``None`` for the default text.
        progress: called with the progress.
        task_files: the user's own tasks.

    Raises:
        InputError: a task is unknown.
        DataError: data is missing or malformed, or a file in ``work`` is damaged or cannot be written (DiskError).
    """
    source = resolve_source(tasks, data, task_files)
    manifest = work / f"prepared-{source.key(recipe)}.json"
    if not manifest.is_file():
        with writable(work):
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
    """Encode tasks with an existing vocabulary.

    Args:
        prepared: text and vocabulary; its own tasks are ignored.
        work: folder for the results.
        recipe: recipe with the number of examples; the length is that of ``prepared``.
        tasks: names of the tasks.
        data: see ``prepare``.
        progress: called with the progress.
        task_files: the user's own tasks.

    Raises:
        InputError: a task is unknown; DataError: data is missing or malformed.
    """
    from explorer.training.tokenizer import load_tokenizer

    source = resolve_source(tasks, data, task_files)
    loaded = source.load()
    with writable(work):
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
    """Return the tasks that are generated from the text."""
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
    """Write every missing task; return the input of ``_load_tasks``."""
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
    """Return the default text plus the train sentences of the user's tasks, whose words the vocabulary should cover."""
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
        # Open the file here, because numpy leaves a damaged file open.
        with intact(path, AGAIN), path.open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
            parts = [
                EncodedExamples(arrays[f"{part}_ids"], arrays[f"{part}_offsets"], arrays[f"{part}_labels"], special)
                for part in ("train", "dev", "mismatched")
                if f"{part}_ids" in arrays
            ]
        metric, kind = Metric(row["metric"]), TaskKind(row["kind"])
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
