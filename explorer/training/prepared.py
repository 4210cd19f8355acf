"""From text and tasks to arrays of token ids, kept on disk so that every training of a study starts at once.

Every file in the work folder is named by the digest of what it was made from, written under a temporary name and
renamed when complete; two processes that prepare the same thing at the same time end with the same files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.training.files import digest, intact, write_array, write_atomically, write_json
from explorer.training.metrics import Metric
from explorer.training.recipe import Recipe
from explorer.training.sources import PREPARATION_VERSION, Source, resolve_source
from explorer.training.tasks.base import Kind, Task
from explorer.training.tasks.made import MADE_TASKS, make_task
from explorer.training.text import Corpus, Document, Progress, corpus_from_file, default_corpus

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
    """

    ids: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    labels: NDArray[np.float64]

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
        return EncodedExamples(ids, np.cumsum([0, *map(len, rows)], dtype=np.int64), self.labels[indices])


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
    """

    tokenizer: Path
    vocab_size: int
    length: int
    tokens: NDArray[np.uint16]
    text: str
    tasks: tuple[EncodedTask, ...]

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


def _build(work: Path, recipe: Recipe, source: Source, progress: Progress) -> dict[str, object]:
    from explorer.training.tokenizer import encode_stream, load_tokenizer, save_tokenizer, train_tokenizer

    loaded = source.load()
    if source.text:
        corpus = corpus_from_file(source.text)
    else:
        corpus = default_corpus(work, lambda share, message: progress(0.6 * share, message))
    made = {
        name: make_task(name, corpus, recipe.train_examples, recipe.dev_examples, recipe.task_seed)
        for name in source.tasks
        if name in MADE_TASKS
    }
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
    rows = []
    for name in source.tasks:
        progress(0.9, f"encoding task {name}")
        task = loaded[name] if name in loaded else made[name]
        path = work / f"task-{name}-{digest(task.fingerprint, vocabulary, str(recipe.length))}.npz"
        if not path.is_file():
            _write_task(path, task, tokenizer, recipe.length)
        row: dict[str, object] = {"file": path.name, "fingerprint": task.fingerprint, "name": name}
        row |= {"classes": task.classes, "metric": task.metric.value, "kind": task.kind.value, "pair": task.pair}
        rows.append(row)
    progress(1.0, "text and tasks are ready")
    vocab_size = tokenizer.get_vocab_size()
    return {"tokenizer": folder.name, "vocab_size": vocab_size, "text": text, "stream": stream.name, "tasks": rows}


def _with_sentences(corpus: Corpus, tasks: dict[str, Task]) -> Corpus:
    """The default text and the train sentences of the user's tasks, so that the vocabulary knows their words."""
    documents = list(corpus.documents)
    for name, task in tasks.items():
        for number, example in enumerate(task.train[:MOST_EXAMPLES]):
            sentences = (example.first, example.second) if example.second else (example.first,)
            documents.append(Document(name, str(number), sentences))
    return Corpus(tuple(documents))


def _write_task(path: Path, task: Task, tokenizer: object, length: int) -> None:
    from explorer.training.tokenizer import encode

    arrays = {}
    for part, examples in task.parts.items():
        seconds = [example.second or "" for example in examples] if task.pair else None
        rows = encode(tokenizer, [example.first for example in examples], seconds, length)  # type: ignore[arg-type]
        arrays[f"{part}_ids"] = np.concatenate(rows)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        arrays[f"{part}_labels"] = np.asarray([example.label for example in examples])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, lambda stream: stream.write(buffer.getvalue()))


def _load(work: Path, recipe: Recipe, manifest: dict[str, object]) -> Prepared:
    tasks = []
    for row in manifest["tasks"]:  # type: ignore[attr-defined]
        path = work / row["file"]
        # Opened here: numpy leaves the file open where it is damaged.
        with intact(path, AGAIN), path.open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
            parts = [
                EncodedExamples(*(arrays[f"{part}_{name}"] for name in ("ids", "offsets", "labels")))
                for part in ("train", "dev", "mismatched")
                if f"{part}_ids" in arrays
            ]
        metric, kind = Metric(row["metric"]), Kind(row["kind"])
        tasks.append(
            EncodedTask(row["name"], metric, kind, row["pair"], tuple(row["classes"]), row["fingerprint"], *parts)
        )
    stream = work / str(manifest["stream"])
    with intact(stream, AGAIN):
        tokens = np.load(stream, mmap_mode="r", allow_pickle=False)
    folder, vocab_size = work / str(manifest["tokenizer"]), int(str(manifest["vocab_size"]))
    return Prepared(folder, vocab_size, recipe.length, tokens, str(manifest["text"]), tuple(tasks))
