"""The exceptions that users of the explorer can run into, all of one tree.

The message of an InputError names the field, the rule, the value and the remedy, in this order, on one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from pydantic import ValidationError


MAX_FIELD, MAX_RULE, MAX_SHOWN = 300, 1500, 200
"""Maximum number of characters of field, rule and value in a message; users' own names can be in each."""


class Shown(str):
    """A string whose ``repr`` has no quotes, because it describes a value or is the ``repr`` of one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def shortened(value: object) -> str:
    """Return the beginning of a value's ``repr``; large values are not written out for it."""
    text = ""
    for part in _parts(value):
        text += part
        if len(text) > MAX_SHOWN:
            return _cut(text, MAX_SHOWN)
    return text


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _parts(value: object) -> Iterator[str]:
    kind = type(value)
    if isinstance(value, dict) and kind is dict:
        yield "{"
        for place, (key, child) in enumerate(value.items()):
            yield f"{', ' if place else ''}{key!r}: "
            yield from _parts(child)
        yield "}"
    elif isinstance(value, list | tuple) and kind in (list, tuple):
        yield "[" if kind is list else "("
        for place, child in enumerate(value):
            yield ", " if place else ""
            yield from _parts(child)
        yield "]" if kind is list else ",)" if len(value) == 1 else ")"
    elif isinstance(value, str | bytes) and kind in (str, bytes):
        yield repr(value[: MAX_SHOWN + 1])
    elif isinstance(value, int) and value.bit_length() > 4 * MAX_SHOWN:
        yield f"an integer of {value.bit_length():,} bits"  # repr() refuses those of thousands of digits.
    else:
        yield repr(value)


class ExplorerError(Exception):
    """Base class of all errors that the explorer raises on purpose."""


class Code(StrEnum):
    """Cause of an InputError that callers handle in a way of their own. No code reads the text of a message."""

    TOO_FEW_SCORES = "too few scores"
    """More evaluated architectures would make the request possible."""
    ENCODING = "encoding"
    """A file is not text in the encoding that it was read in."""


class Remedy(StrEnum):
    """Remedies that name a setting: in words for Python and the app here; ``explorer.remedies`` names options.

    The values of an ``Advice`` replace ``{…}``.
    """

    OTHER_KERNEL = "Leave kernel out, or give the new library another name."
    CHEAPER_KERNEL = "Use the kernel views, or a smaller space."
    KERNEL_HOURS = "Use the kernel views, or a smaller space, or raise max_hours."
    COARSER_LEVEL = "Use layers_per_stack={level}, a coarser level."
    GLUE_FOLDER = "Give data, the folder that holds one folder per task, or {hub}."
    GLUE_NAME = "Check the name, or give a folder with GLUE's files as data."
    GLUE_OFFLINE = "Go online once so that it is cached, or give a folder with GLUE's files as data."
    OWN_TASK = "{known} give a task file of your own."
    SAMPLE_SHAPES = "Name some, or give sample, a number of random ones."
    UNTIED = "Count with tied=False."
    ONE_METRIC = "Name one metric, the first part of each, as in {task}:{metric}."
    ONE_KIND = "Add {ways}"
    ONE_FIDELITY = "Choose one kind by fidelity, the third part of each."
    ONE_ORIGIN = "Choose one kind by origin, the last part of each."
    SHARED_STORE = (
        "Use a Neo4j server by its network name (archex store copy moves a store there); or, where all nodes are "
        "containers of one machine that share the file, say so by shared_store=True."
    )
    MEASURE_MORE = "Measure more of the space's architectures."
    SUPERNET_SPACE = "Search a space that was made of the super-network's own shapes."
    DELIMITER = "State it with delimiter={sign!r}."
    ENCODING = "Save it as UTF-8, or state encoding={encoding!r}."
    DECIMAL = "Correct the value, or state decimal=',' or decimal='.', the sign of the table's numbers."
    EXTEND = "Extend it first, for example with budget={budget}."


class Ways(tuple[Mapping[str, str], ...]):
    """Alternative settings in a remedy, each as names with values: arguments in Python, options in a command."""

    __slots__ = ()

    def __str__(self) -> str:
        return "; or ".join(", ".join(f"{name}={value!r}" for name, value in way.items()) for way in self)


class Advice(str):
    """A remedy in words, with its code and values, by which the command line finds words of its own."""

    __slots__ = ("code", "values")
    code: Remedy
    values: Mapping[str, object]

    def __new__(cls, code: Remedy, **values: object) -> Self:
        """Fill the values into the words of a remedy."""
        advice = super().__new__(cls, code.format(**values))
        advice.code, advice.values = code, values
        return advice

    def __reduce__(self) -> tuple[Callable[..., Advice], tuple[Remedy, Mapping[str, object]]]:
        return _advice, (self.code, self.values)


def _advice(code: Remedy, values: Mapping[str, object]) -> Advice:
    return Advice(code, **values)


class InputError(ExplorerError):
    """Something the user gave (a file, a value, a name) breaks a rule. The command line exits with 2.

    Args:
        field: what is wrong, as the user knows it, for example ``layers[2].hidden``.
        rule: what must hold; completes "FIELD must …".
        value: what was given instead.
        remedy: how to correct it; an ``Advice`` where the words depend on who reads them.
        code: the cause, if callers depend on it.
    """

    def __init__(self, field: str, rule: str, value: object, remedy: str, code: Code | None = None) -> None:
        self.field, self.rule = _cut(field, MAX_FIELD), _cut(rule, MAX_RULE)
        self.value, self.remedy, self.code = value, _cut(remedy, MAX_RULE), code
        super().__init__(self.message(self.remedy))

    def message(self, remedy: str) -> str:
        """Return the message with a remedy in other words."""
        return f"{self.field} must {self.rule}, but got {shortened(self.value)}. {remedy}"

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, object, str, Code | None], dict[str, object]]:
        """Pickle the arguments, so that the error survives the way out of a worker process."""
        return type(self), (self.field, self.rule, self.value, self.remedy, self.code), self.__dict__

    @classmethod
    def of(cls, error: InputError, place: str = "") -> Self:
        """Return another error as one of this class, its field prefixed with a place if there is one."""
        field = f"{place}: {error.field}" if place else error.field
        return cls(field, error.rule, error.value, error.remedy, error.code)

    def at(self, place: str) -> Self:
        """Return the same error with its field prefixed with a place, for example a file or a layer."""
        return type(self).of(self, place)


class SpecError(InputError):
    """An architecture or a design space breaks a rule."""


class DataError(InputError):
    """A data file, text or task cannot be used."""


class DiskError(DataError):
    """Files cannot be written: no space, no rights, or the disk is gone."""


class TrainingEnded(ExplorerError):  # noqa: N818 - not an error of the user
    """A training ended without a result.

    Args:
        reason: why.
        part: the part of the training, which precedes the reason in the message.
    """

    def __init__(self, reason: str, part: str = "") -> None:
        self.reason, self.part = reason, part
        super().__init__(f"{part}: {reason}" if part else reason)


class MachineFault(TrainingEnded):
    """The machine cannot continue a training, and the training is not the cause."""


class TrainingFailed(TrainingEnded):
    """A training could not be finished; the reason is stored with its trial."""


Raised = TypeVar("Raised", bound=InputError)
_RULES = {
    "missing": "be given",
    "extra_forbidden": "not be given, because nothing reads it",
    "model_type": "be a list of keys and values",
    "model_attributes_type": "be a list of keys and values",
    "list_type": "be a list",
    "string_unicode": "be valid Unicode text",
    "invalid_key": "have texts as keys",
}
"""Rules by pydantic's type of error, where its own message speaks of Python."""
_PREFIX = re.compile(r"^(Value error, |(Input|String|List|Value) should )")


def validation_error(
    error: ValidationError,
    kind: type[Raised],
    place: str,
    remedy: str,
    whole: str = "document",
    members: Collection[str] = (),
) -> Raised:
    """Translate an error of pydantic into one of this module: the first problem, and how many there are.

    A validator's ValueError states a rule without its subject ("be one line") or with one ("classes must differ").

    Args:
        error: the error of pydantic.
        kind: class of the result.
        place: the file or object that was validated.
        remedy: how to correct it, without a full stop.
        whole: name of the validated document, for problems that belong to no single field.
        members: names of a union's members, which pydantic adds to the path of a field.
    """
    found = error.errors(include_url=False)
    # Each member of a union reports a problem; the one with the longest path fits the document best.
    first = max(found, key=lambda problem: len(problem["loc"])) if found[0]["loc"] else found[0]
    parts = (str(part) for part in first["loc"])
    field = ".".join(part for part in parts if part not in members and "[" not in part)[:200]
    message = _PREFIX.sub("", first["msg"])
    rule = _RULES.get(first["type"], message[:1].lower() + message[1:])
    subject, must, stated = rule.partition(" must ")
    if must:
        rule = stated
        field = field if field.endswith(subject) else ".".join(filter(None, (field, subject)))
    field = field or whole
    value = None if first["type"] == "missing" else first.get("input")
    if first["type"] == "list_type" and isinstance(value, str | int | float):
        remedy = f"Write [{value}]" if len(str(value)) <= MAX_SHOWN else remedy
    more = f" ({len(found)} problems)" if len(found) > 1 else ""
    return kind(f"{place}: {field if field.isprintable() else ascii(field)}", rule, value, f"{remedy}{more}.")
