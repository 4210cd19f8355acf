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

from explorer.errors import DataError, InputError
from explorer.training.files import digest, write_array, write_atomically, write_json
from explorer.training.metrics import Metric
from explorer.training.recipe import Recipe
from explorer.training.tasks.base import Kind, Task
from explorer.training.tasks.glue import GLUE_TASKS, load_glue
from explorer.training.tasks.made import MADE_TASKS, make_task
from explorer.training.text import Corpus, Document, Progress, corpus_from_file, default_corpus, installation_key

PREPARATION_VERSION = "named-1"
OWN_TEXT = "text.txt"
KNOWN_TASKS = (*MADE_TASKS, *GLUE_TASKS)
"""Names of all tasks."""


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


@dataclass(frozen=True)
class Source:
    """Where text and tasks come from.

    Attributes:
        text: the user's text file, or ``None`` for the default text.
        folder: GLUE-format folder, or ``None``.
        tasks: names of the tasks.
    """

    text: Path | None
    folder: Path | None
    tasks: tuple[str, ...]

    @property
    def glue(self) -> tuple[str, ...]:
        """Names of the tasks that are read from the folder."""
        return tuple(name for name in self.tasks if name in GLUE_TASKS)

    def key(self, recipe: Recipe) -> str:
        """Digest of everything the preparation depends on; the user's files count by their content.

        Raises:
            DataError: a file is there and cannot be read.
        """
        parts = [PREPARATION_VERSION, *self.tasks, str(recipe.vocab_size), str(recipe.length)]
        parts += [str(recipe.train_examples), str(recipe.dev_examples), str(recipe.task_seed)]
        files = [self.text] if self.text else []
        if self.folder:
            files += [self.folder / name / f"{part}.tsv" for name in self.glue for part in ("train", "dev")]
        raws = [_content(path) for path in files]
        names = [path.stem for path in files]
        return digest(*parts, *names, *raws, "" if self.text else installation_key())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b"absent"
    except OSError as error:
        raise DataError("data", f"be readable ({error.strerror})", str(path), "Check who may read it.") from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def resolve_source(tasks: Sequence[str] | None, data: Path | None) -> Source:
    """Work out where text and tasks come from.

    Args:
        tasks: names of the tasks; ``None`` means all that the data offers: those of a GLUE-format folder, else the
            tasks made from the text.
        data: a text file, a folder with GLUE-format tasks and perhaps ``text.txt``, or ``None`` for the default text.

    Raises:
        InputError: a task is unknown, or none is named.
        DataError: the file or folder does not exist or offers nothing; a GLUE task is named without its folder.
    """
    for name in tasks or ():
        if name not in KNOWN_TASKS:
            raise InputError("task", f"be one of {', '.join(KNOWN_TASKS)}", name, "Use one of them.")
    if tasks is not None and not tasks:
        raise InputError("task", "be named at least once", list(tasks), f"Use one of {', '.join(KNOWN_TASKS)}.")
    if data is not None and not _exists(data):
        raise DataError("data", "be an existing file or folder", str(data), "Check the path.")
    folder = data if data is not None and data.is_dir() else None
    own = folder / OWN_TEXT if folder else data
    text = own if own is not None and own.is_file() else None
    if tasks is None:
        offered = tuple(name for name in GLUE_TASKS if folder and (folder / name).is_dir())
        if folder and not offered and text is None:
            rule = f"hold {OWN_TEXT} or a folder of a task ({', '.join(GLUE_TASKS)})"
            raise DataError("data", rule, str(folder), "Check the folder.")
        tasks = offered or tuple(name for name in MADE_TASKS if text is None or name != "package")
    source = Source(text, folder, tuple(dict.fromkeys(tasks)))
    if source.glue and folder is None:
        remedy = "Give --data DIR, the folder that holds one folder per task."
        raise DataError(f"data for task {source.glue[0]}", "be a GLUE-format folder", data and str(data), remedy)
    return source


def check_source(source: Source) -> None:
    """Read a user's own files and keep nothing. Raises DataError if one is missing or malformed."""
    if source.folder is not None:
        for name in source.glue:
            load_glue(source.folder, name)
    if source.text is not None:
        corpus_from_file(source.text)


def prepare(work: Path, recipe: Recipe, tasks: Sequence[str] | None, data: Path | None, progress: Progress) -> Prepared:
    """Collect the text, train the tokenizer and encode text and tasks; or load all that from an earlier call.

    Args:
        work: folder for the results; made if absent.
        recipe: vocabulary, length and number of examples.
        tasks: names of the tasks, or ``None`` for all that the data offers (see ``resolve_source``).
        data: text file, GLUE-format folder, or ``None`` for the default text.
        progress: told how far it is.

    Raises:
        InputError: a task is unknown.
        DataError: data is missing or malformed.
    """
    source = resolve_source(tasks, data)
    manifest = work / f"prepared-{source.key(recipe)}.json"
    if not manifest.is_file():
        write_json(manifest, _build(work, recipe, source, progress))
    return _load(work, recipe, json.loads(manifest.read_text(encoding="utf-8")))


def _build(work: Path, recipe: Recipe, source: Source, progress: Progress) -> dict[str, object]:
    from explorer.training.tokenizer import encode_stream, load_tokenizer, save_tokenizer, train_tokenizer

    loaded = {name: load_glue(source.folder, name) for name in source.glue if source.folder}
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
    folder = work / f"tokenizer-{digest(corpus.fingerprint, str(recipe.vocab_size), str(recipe.length))}"
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
        for number, example in enumerate(task.train):
            sentences = (example.first, example.second) if example.second else (example.first,)
            documents.append(Document(name, str(number), sentences))
    return Corpus(tuple(documents))


def _write_task(path: Path, task: Task, tokenizer: object, length: int) -> None:
    from explorer.training.tokenizer import encode

    arrays = {}
    for part, examples in (("train", task.train), ("dev", task.dev)):
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
        with np.load(work / row["file"], allow_pickle=False) as arrays:
            parts = [
                EncodedExamples(*(arrays[f"{part}_{name}"] for name in ("ids", "offsets", "labels")))
                for part in ("train", "dev")
            ]
        metric, kind = Metric(row["metric"]), Kind(row["kind"])
        tasks.append(
            EncodedTask(row["name"], metric, kind, row["pair"], tuple(row["classes"]), row["fingerprint"], *parts)
        )
    tokens = np.load(work / str(manifest["stream"]), mmap_mode="r", allow_pickle=False)
    folder, vocab_size = work / str(manifest["tokenizer"]), int(str(manifest["vocab_size"]))
    return Prepared(folder, vocab_size, recipe.length, tokens, str(manifest["text"]), tuple(tasks))
