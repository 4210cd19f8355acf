"""Sources of text and tasks: the Python installation, a text file, a folder, the hub, a user's task files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from explorer.errors import Advice, DataError, InputError, Remedy
from explorer.training.files import digest
from explorer.training.recipe import Recipe
from explorer.training.tasks.base import Task
from explorer.training.tasks.forms import GLUE_TASKS, glue_name
from explorer.training.tasks.glue import files_of, load_glue, other_tasks, task_folder
from explorer.training.tasks.hub import DEFAULT_HUB, files_in, load_hub
from explorer.training.tasks.made import MADE_TASKS
from explorer.training.tasks.own import OwnTask, load_own, read_own
from explorer.training.text import corpus_from_file, installation_key

log = logging.getLogger(__name__)
PREPARATION_VERSION = "named-2"
OWN_TEXT = "text.txt"
HUB = "hub:"
"""Prefix of ``data`` that names a data set of the hub."""
KNOWN_TASKS = (*MADE_TASKS, *GLUE_TASKS)
"""Names of all tasks without a task file."""


@dataclass(frozen=True)
class Source:
    """The source of text and tasks.

    Attributes:
        text: the user's text file, or ``None`` for the default text.
        folder: GLUE-format folder, or ``None``.
        tasks: names of the tasks.
        hub: data set on the hub, or a folder in its layout, or ``None``.
        own: the user's own tasks.
    """

    text: Path | None
    folder: Path | None
    tasks: tuple[str, ...]
    hub: str | None = None
    own: tuple[OwnTask, ...] = ()

    @property
    def glue(self) -> tuple[str, ...]:
        """Names of the tasks from the folder or the hub."""
        return tuple(name for name in self.tasks if name in GLUE_TASKS)

    def key(self, recipe: Recipe) -> str:
        """Return the digest of all inputs of the preparation; the user's files enter by content.

        Raises:
            DataError: a file exists and cannot be read.
        """
        parts = [PREPARATION_VERSION, *self.tasks, str(recipe.vocab_size), str(recipe.length)]
        parts += [str(recipe.train_examples), str(recipe.dev_examples), str(recipe.task_seed)]
        files = [self.text] if self.text else []
        if self.folder:
            files += [file for name in self.glue for file in files_of(self.folder, name)]
        if self.hub:
            # A data set of the hub enters by its name; its first preparation is kept.
            parts.append(f"{HUB}{self.hub}")
            files += files_in(Path(self.hub)) if Path(self.hub).is_dir() else []
        for own in self.own:
            parts.append(own.document.model_dump_json())
            files += own.files
        raws = [_content(path) for path in files]
        names = [path.stem for path in files]
        return digest(*parts, *names, *raws, "" if self.text else installation_key())

    def load(self) -> dict[str, Task]:
        """Read all tasks that are not generated from the text, by name.

        Raises:
            DataError: data is missing or malformed.
        """
        found: dict[str, Task] = {}
        for name in self.glue:
            if self.hub:
                found[name] = load_hub(self.hub, name)
            elif self.folder:
                found[name] = load_glue(self.folder, name)
        return found | {own.name: load_own(own) for own in self.own}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b"absent"
    except OSError as error:
        raise DataError("data", f"be readable ({error.strerror})", str(path), "Check its permissions.") from None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # for example a name that is too long, or a folder without search permission
        return False


def resolve_source(tasks: Sequence[str] | None, data: Path | None, task_files: Sequence[Path] = ()) -> Source:
    """Resolve the source of text and tasks.

    Args:
        tasks: names of the tasks. ``None`` selects all available ones: those of a GLUE-format folder or of the hub,
            else those of the task files, else those generated from the text.
        data: a text file, a folder with GLUE-format tasks and optionally ``text.txt``, ``hub:NAME`` for a data set of
            the hub (``hub:FOLDER`` for a local copy), or ``None`` for the default text.
        task_files: the user's own tasks, each a YAML file or a folder; they follow the others.

    Raises:
        InputError: a task is unknown, none is named, or two have one name.
        DataError: the file or folder does not exist or offers nothing; a GLUE task is named without its folder; a task
            file is malformed.
    """
    own = tuple(read_own(path) for path in task_files)
    names = [task.name for task in own]
    if len(set(names)) < len(names):
        raise InputError("task files", "have distinct task names", names, "Rename one of them.")
    tasks = None if tasks is None else [known_task(name) for name in tasks]
    if tasks is not None and not tasks and not own:
        raise InputError("task", "be named at least once", list(tasks), f"Use one of {', '.join(KNOWN_TASKS)}.")
    text, folder, hub = _places(data)
    if tasks is None:
        tasks = _offered(folder, text, hub, bool(own))
    source = Source(text, folder, (*dict.fromkeys(tasks), *names), hub, own)
    if source.glue and folder is None and hub is None:
        remedy = Advice(Remedy.GLUE_FOLDER, hub=f"{HUB}{DEFAULT_HUB}")
        raise DataError(f"data for task {source.glue[0]}", "be a GLUE-format folder", data and str(data), remedy)
    return source


def known_task(name: str) -> str:
    """Return the task of a name, whose case and punctuation do not matter.

    Raises:
        InputError: the task does not exist.
    """
    if name in MADE_TASKS:
        return name
    if found := glue_name(name):
        return found
    alike = get_close_matches(name.casefold(), [known.casefold() for known in KNOWN_TASKS], n=1, cutoff=0.5)
    meant = [known for known in KNOWN_TASKS if alike == [known.casefold()]]
    known = f"Did you mean {meant[0]}? Else" if meant else "Use one of them, or"
    raise InputError("task", f"be one of {', '.join(KNOWN_TASKS)}", name, Advice(Remedy.OWN_TASK, known=known))


def _places(data: Path | None) -> tuple[Path | None, Path | None, str | None]:
    """Return the text file, the folder and the hub data set in ``data``; two of them are ``None``."""
    if data is not None and str(data).startswith(HUB):
        hub = str(data).removeprefix(HUB)
        if not hub:
            raise DataError("data", f"name a data set after {HUB}", HUB, f"Write {HUB}{DEFAULT_HUB}.")
        return None, None, hub
    if data is not None and not _exists(data):
        remedy = f"Check the path; for a data set of the hub write {HUB}NAME, for example {HUB}{DEFAULT_HUB}."
        raise DataError("data", "be an existing file or folder", str(data), remedy)
    folder = data if data is not None and data.is_dir() else None
    text = folder / OWN_TEXT if folder else data
    return text if text is not None and text.is_file() else None, folder, None


def _offered(folder: Path | None, text: Path | None, hub: str | None, own: bool) -> tuple[str, ...]:
    """Return the names of the tasks in the data."""
    offered = tuple(name for name in GLUE_TASKS if hub or (folder and task_folder(folder, name).is_dir()))
    for other, likely in (other_tasks(folder) if folder else {}).items():
        names = " or ".join(likely) or "a GLUE task"
        log.warning(
            "%s looks like a task but is left out, because no task has this name: rename the folder to %s, "
            "or describe it in a task file",
            folder and folder / other,
            names,
        )
    if folder and not offered and text is None:
        rule = f"hold {OWN_TEXT} or a folder of a task ({', '.join(GLUE_TASKS)})"
        raise DataError("data", rule, str(folder), "Check the folder.")
    if offered or own:
        return offered
    return tuple(name for name in MADE_TASKS if text is None or name != "package")


def absolute(data: Path) -> str:
    """Return ``data`` with an absolute path; names on the hub are unchanged."""
    if not str(data).startswith(HUB):
        return str(data.resolve())
    name = str(data).removeprefix(HUB)
    return f"{HUB}{Path(name).resolve()}" if name and _exists(Path(name)) else str(data)


def check_source(source: Source) -> None:
    """Check that a user's files can be read. Raises DataError if one is missing or malformed."""
    source.load()
    if source.text is not None:
        corpus_from_file(source.text)
