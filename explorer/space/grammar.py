"""A design space from YAML: counting, indexing, enumeration and uniform sampling (FlexiBERT, arXiv 2205.11656).

All layers of one *stack* share their choices; ``layers_per_stack`` is the coarseness of a search level. A space is a
disjoint union over depths of tuples of layer choices, so every index stands for exactly one architecture and nothing
needs to be enumerated to be counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from explorer.errors import SpecError
from explorer.space.documents import parse_yaml
from explorer.space.resources import data_folder
from explorer.space.spec import (
    MAX_HEADS,
    MAX_HIDDEN,
    MAX_LAYERS,
    MAX_STACK,
    ArchitectureSpec,
    LayerSpec,
)

MAX_OPTIONS = 32
Options = Annotated[list[int], Field(min_length=1, max_length=MAX_OPTIONS)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _FeedForward(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    depth: Options
    width: Options


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Name
    title: str = ""
    hidden: Options
    heads: Options
    layers: Options
    operations: dict[Literal["sa", "l", "c"], Annotated[list[str | int], Field(min_length=1, max_length=MAX_OPTIONS)]]
    feed_forward: _FeedForward
    layers_per_stack: int = Field(default=2, ge=1, le=MAX_LAYERS)
    heterogeneous_feed_forward: bool = False


def _as_spec_error(source: str, error: ValidationError) -> SpecError:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "document"
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    rule = f"satisfy: {first['msg'][0].lower()}{first['msg'][1:]}"
    return SpecError(f"{source}: {field}", rule, first.get("input"), f"Correct this field{more}.")


def _digits(index: int, bases: Sequence[int]) -> list[int]:
    """Digits of an index in mixed radix, the last one turning fastest."""
    digits = []
    for base in reversed(bases):
        index, digit = divmod(index, base)
        digits.append(digit)
    return digits[::-1]


@lru_cache(maxsize=4096)
def _built(hidden: int, family: str, parameter: str, heads: int, stack: tuple[int, ...]) -> LayerSpec:
    # The layers of a small space recur in all of its architectures; checking each anew would make listing it slow.
    return LayerSpec.per_layer(hidden, family, parameter, heads, stack)


@dataclass(frozen=True)
class DesignSpace:
    """A grammar of architectures.

    Attributes:
        name: unique short name.
        title: one line for people.
        hidden, heads, layers: options, ascending.
        operations: (family, parameter) pairs.
        ff_depths, ff_widths: options of the feed-forward stack.
        layers_per_stack: layers that share their choices; divides every option of ``layers``.
        heterogeneous_feed_forward: whether the widths within one stack may differ.
    """

    name: str
    title: str
    hidden: tuple[int, ...]
    heads: tuple[int, ...]
    layers: tuple[int, ...]
    operations: tuple[tuple[str, str], ...]
    ff_depths: tuple[int, ...]
    ff_widths: tuple[int, ...]
    layers_per_stack: int
    heterogeneous_feed_forward: bool

    def __post_init__(self) -> None:
        limits = {"hidden": MAX_HIDDEN, "heads": MAX_HEADS, "layers": MAX_LAYERS}
        limits |= {"ff_depths": MAX_STACK, "ff_widths": 4 * MAX_HIDDEN}
        for field, maximum in limits.items():
            options: tuple[int, ...] = getattr(self, field)
            shown = {"ff_depths": "feed_forward.depth", "ff_widths": "feed_forward.width"}.get(field, field)
            if len(set(options)) != len(options):
                raise SpecError(f"{self.name}: {shown}", "list each option once", list(options), "Remove the repeats.")
            for option in options:
                if not 1 <= option <= maximum:
                    raise SpecError(f"{self.name}: {shown}", f"be from 1 to {maximum}", option, "Correct the number.")
        if len(set(self.operations)) != len(self.operations):
            raise SpecError(f"{self.name}: operations", "list each once", self.operations, "Remove the repeats.")
        for depth in self.layers:
            if depth % self.layers_per_stack:
                rule = f"divide every number of layers {list(self.layers)}"
                remedy = "Choose a divisor of all of them."
                raise SpecError(f"{self.name}: layers_per_stack", rule, self.layers_per_stack, remedy)
        for hidden, heads, (family, parameter) in itertools.product(self.hidden, self.heads, self.operations):
            try:
                LayerSpec.per_layer(hidden, family, parameter, heads, (1,))
            except SpecError as error:
                place = f"{self.name}: hidden {hidden}, heads {heads}, operation {family}/{parameter}: {error.field}"
                raise SpecError(place, error.rule, error.value, error.remedy) from None

    @classmethod
    def from_document(cls, document: Any, source: str = "design space") -> DesignSpace:
        """Read a parsed YAML document. Raises SpecError naming the field, the rule, the value and the remedy."""
        if not isinstance(document, dict):
            raise SpecError(source, "be a YAML mapping", document, "See data/spaces/nano.yaml for an example.")
        try:
            parsed = _Document.model_validate(document)
        except ValidationError as error:
            raise _as_spec_error(source, error) from None
        operations = tuple((family, str(p)) for family, options in parsed.operations.items() for p in options)
        return cls(
            parsed.name,
            parsed.title,
            tuple(parsed.hidden),
            tuple(parsed.heads),
            tuple(parsed.layers),
            operations,
            tuple(parsed.feed_forward.depth),
            tuple(parsed.feed_forward.width),
            parsed.layers_per_stack,
            parsed.heterogeneous_feed_forward,
        )

    def at_level(
        self, layers_per_stack: int | None = None, heterogeneous_feed_forward: bool | None = None
    ) -> DesignSpace:
        """The same grammar at another level of the coarse-to-fine hierarchy. Raises SpecError."""
        level = self.layers_per_stack if layers_per_stack is None else layers_per_stack
        if level < 1:
            raise SpecError("layers_per_stack", "be at least 1", level, "Use 1 for the finest level.")
        mixed = self.heterogeneous_feed_forward if heterogeneous_feed_forward is None else heterogeneous_feed_forward
        return replace(self, layers_per_stack=level, heterogeneous_feed_forward=mixed)

    @cached_property
    def _stacks_by_depth(self) -> tuple[int, ...]:
        widths = len(self.ff_widths)
        return tuple(widths**depth if self.heterogeneous_feed_forward else widths for depth in self.ff_depths)

    @property
    def choices_per_layer(self) -> int:
        """How many layers there are to choose from."""
        return len(self.hidden) * len(self.heads) * len(self.operations) * sum(self._stacks_by_depth)

    def _stack(self, index: int) -> tuple[int, ...]:
        for depth, count in zip(self.ff_depths, self._stacks_by_depth, strict=True):
            if index < count:
                if not self.heterogeneous_feed_forward:
                    return (self.ff_widths[index],) * depth
                picks = _digits(index, (len(self.ff_widths),) * depth)
                return tuple(self.ff_widths[pick] for pick in picks)
            index -= count
        raise AssertionError("unreachable: the index is a digit below the number of stacks")

    def _layer(self, index: int) -> LayerSpec:
        """The layer with this index, from 0 to ``choices_per_layer - 1``; the stack turns fastest."""
        bases = (len(self.hidden), len(self.heads), len(self.operations), sum(self._stacks_by_depth))
        hidden, heads, operation, stack = _digits(index, bases)
        return _built(self.hidden[hidden], *self.operations[operation], self.heads[heads], self._stack(stack))

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        return tuple(self.choices_per_layer ** (depth // self.layers_per_stack) for depth in self.layers)

    def count(self) -> int:
        """Exact number of architectures."""
        return sum(self._counts)

    def at(self, index: int) -> ArchitectureSpec:
        """The architecture with this index, from 0 to ``count() - 1``.

        Raises:
            SpecError: the index is outside.
        """
        if not 0 <= index < self.count():
            raise SpecError("index", f"be from 0 to {self.count() - 1}", index, "Choose an index inside the space.")
        for depth, count in zip(self.layers, self._counts, strict=True):
            if index < count:
                picks = _digits(index, (self.choices_per_layer,) * (depth // self.layers_per_stack))
                return ArchitectureSpec(
                    tuple(self._layer(pick) for pick in picks for _ in range(self.layers_per_stack))
                )
            index -= count
        raise AssertionError("unreachable: the index was checked against the count")

    def __iter__(self) -> Iterator[ArchitectureSpec]:
        """All architectures in index order, one at a time."""
        return (self.at(index) for index in range(self.count()))

    def sample(self, count: int, rng: np.random.Generator) -> list[ArchitectureSpec]:
        """Draw ``count`` architectures uniformly, with replacement."""
        total = self.count()
        # Exact for spaces beyond 64 bits too: integers from random bytes, with enough bits to make the bias nil.
        size = (total.bit_length() + 64) // 8 + 1
        return [self.at(int.from_bytes(rng.bytes(size), "little") % total) for _ in range(count)]


def preset_names() -> list[str]:
    """Names of the shipped design spaces."""
    return sorted(path.stem for path in (data_folder() / "spaces").glob("*.yaml"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def load_space(name_or_file: str) -> DesignSpace:
    """Load a shipped preset by name, or a user's YAML file by path.

    Raises:
        SpecError: no such preset or file, no valid YAML, or a rule is broken.
    """
    path = data_folder() / "spaces" / f"{name_or_file}.yaml"
    if name_or_file not in preset_names():
        path = Path(name_or_file)
        if path.suffix not in {".yaml", ".yml"} or not _is_file(path):
            rule = f"be one of {', '.join(preset_names())}, or an existing .yaml file"
            raise SpecError("design space", rule, name_or_file, "Check the name or the path.")
    try:
        document = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(path.name, f"be readable YAML ({error})", str(path), "Correct the file.") from None
    return DesignSpace.from_document(document, source=path.name)
