"""Groups of options that several commands share: dataclasses whose fields are options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from typer.models import OptionInfo

from explorer.analysis.quantities import Direction
from explorer.cli.console import say


def note_minus(objectives: Iterable[str], meaning: Direction) -> None:
    """Say on standard error what a leading minus of an objective means here, because it depends on the command."""
    for text in objectives:
        if text.strip().startswith("-"):
            name = text.strip()[1:].strip()
            say(f"--objective {text} is read as {meaning}:{name}. Write that, because later versions refuse the minus.")


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of a command that is a dataclass by options for the fields of the dataclass.

    The signature is rewritten, because typer reads options from nothing else.
    """
    types = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in types.items() if isinstance(kind, type) and is_dataclass(kind)}

    @functools.wraps(command)
    def expanded(**given: Any) -> None:
        made = {name: kind(**{f.name: given.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        command(**made, **given)

    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        if own.name in groups:
            kind = groups[own.name]
            within = get_type_hints(kind, include_extras=True)
            parameters += [
                inspect.Parameter(f.name, own.KEYWORD_ONLY, default=f.default, annotation=within[f.name])
                for f in fields(kind)
            ]
        else:
            parameters.append(own.replace(kind=own.KEYWORD_ONLY, annotation=types[own.name]))
    vars(expanded)["__signature__"] = inspect.Signature(parameters)
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def words_of(group: Any) -> list[str]:
    """Return a group of options as words of the command line, those with their default value left out."""
    hints = get_type_hints(type(group), include_extras=True)
    words = []
    for one in fields(group):
        value = getattr(group, one.name)
        (option,) = (part for part in hints[one.name].__metadata__ if isinstance(part, OptionInfo))
        if value != one.default:
            # The first argument of ``typer.Option`` is ``default``; within ``Annotated`` that is the option's name.
            name = str(option.default)
            words.append(name if isinstance(value, bool) else f"{name}={value}")
    return words
