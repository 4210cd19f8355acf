"""A design space from YAML: counting, indexing, enumeration and uniform sampling (FlexiBERT, arXiv 2205.11656).

All layers of one *stack* share their choices; ``layers_per_stack`` is the coarseness of a search level. A space is a
disjoint union over depths of tuples of layer choices, so indices and architectures correspond one to one, and counting
needs no enumeration. This also holds with an operation per head (EdgeTran, arXiv 2303.13745): layers then choose
multisets of operations (``explorer.space.layers``), so no two indices have the same graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from explorer.documents.yaml_text import read_yaml
from explorer.errors import DataError, SpecError
from explorer.space.difference import layer_words
from explorer.space.flexibert_space import is_flexibert_space, space_document
from explorer.space.layers import LayerChoices, LayerPick, Operation, OperationsPer, mixed_digits
from explorer.space.resources import data_folder
from explorer.space.space_document import parse_space
from explorer.space.spec import (
    MAX_HEADS,
    MAX_HIDDEN,
    MAX_LAYERS,
    MAX_STACK,
    ArchitectureSpec,
    Family,
    HeadOp,
    LayerSpec,
)

KEPT_LAYERS = 4096
"""Layers that a space keeps once it has built them."""


class OutsideSpaceError(SpecError):
    """An architecture is not in a design space.

    Attributes:
        layer: index of the layer that is not in the space, or ``None`` for a property of the whole architecture.
        choice: the property that is not in the space; empty if the layer differs from the first of its stack.
        requirement: what the space requires of it; completes "must …".
    """

    layer: int | None = None
    choice: str = ""
    requirement: str = ""

    @classmethod
    def about(
        cls, space: str, layer: int | None, choice: str, requirement: str, value: object, remedy: str
    ) -> OutsideSpaceError:
        """Return the error of a layer, or of the whole architecture; arguments as the attributes."""
        field = choice if layer is None else f"layers[{layer}]" + (f": {choice}" if choice else "")
        error = cls(field, f"{requirement} in space {space}", value, remedy)
        error.layer, error.choice, error.requirement = layer, choice, requirement
        return error


@dataclass(frozen=True)
class DesignSpace:
    """A grammar of architectures.

    Attributes:
        name: unique short name.
        title: one line of description.
        hidden: options for the hidden size.
        heads: options for the number of heads, one tuple per hidden size.
        layers: options for the depth.
        operations: (family, parameter) pairs.
        operations_per: whether a layer has one operation or each of its heads has its own.
        ff_depths, ff_widths: options of the feed-forward stack.
        layers_per_stack: layers that share their choices; divides every option of ``layers``.
        heterogeneous_feed_forward: whether the widths within one stack may differ.
        backbone: width between the layers of all architectures, which then have bottlenecks; ``None`` for none.
        kernel: name of the graph kernel that its library is built with; empty for the default one.
        kernel_parameters: parameters of the kernel.
        read_as: how its file was read, if that is unusual.
    """

    name: str
    title: str
    hidden: tuple[int, ...]
    heads: tuple[tuple[int, ...], ...]
    layers: tuple[int, ...]
    operations: tuple[Operation, ...]
    operations_per: OperationsPer
    ff_depths: tuple[int, ...]
    ff_widths: tuple[int, ...]
    layers_per_stack: int
    heterogeneous_feed_forward: bool
    backbone: int | None = None
    kernel: str = field(default="", compare=False)
    kernel_parameters: Mapping[str, Any] = field(default_factory=dict, compare=False)
    read_as: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        self._check_options("hidden", self.hidden, MAX_HIDDEN)
        if len(self.heads) != len(self.hidden):
            rule = f"have one tuple of options for each hidden size {list(self.hidden)}"
            raise SpecError(f"{self.name}: heads", rule, self.heads, "Give both together.")
        for options in self.heads:
            self._check_options("heads", options, MAX_HEADS)
        self._check_options("layers", self.layers, MAX_LAYERS)
        self._check_options("feed_forward.depth", self.ff_depths, MAX_STACK)
        self._check_options("feed_forward.width", self.ff_widths, 4 * MAX_HIDDEN)
        for family, parameter in self.operations:
            try:
                HeadOp(family, parameter, 1)  # type: ignore[arg-type]
            except SpecError as error:
                raise error.at(f"{self.name}: operation {family}/{parameter}") from None
        if len(set(self.operations)) != len(self.operations):
            raise SpecError(f"{self.name}: operations", "list each once", self.operations, "Remove the repeats.")
        for depth in self.layers:
            if depth % self.layers_per_stack:
                rule = f"divide every number of layers {list(self.layers)}"
                remedy = "Choose a divisor of all of them."
                raise SpecError(f"{self.name}: layers_per_stack", rule, self.layers_per_stack, remedy)
        self._check_heads()

    def _check_options(self, field: str, options: tuple[int, ...], maximum: int) -> None:
        if len(set(options)) != len(options):
            raise SpecError(f"{self.name}: {field}", "list each option once", list(options), "Remove the repeats.")
        for option in options:
            if not 1 <= option <= maximum:
                raise SpecError(f"{self.name}: {field}", f"be from 1 to {maximum}", option, "Correct the number.")

    def _check_heads(self) -> None:
        """Check each number of heads against its hidden size, without building any layer."""
        halved = [f"c/{parameter}" for family, parameter in self.operations if family == Family.CONVOLUTION]
        for hidden, options in zip(self.hidden, self.heads, strict=True):
            place = f"{self.name}: heads at hidden size {hidden}"
            for heads in options:
                if self.operations_per is OperationsPer.HEAD:
                    if heads > hidden:
                        raise SpecError(place, f"be at most {hidden}", heads, "Use fewer heads.")
                elif hidden % heads:
                    remedy = (
                        "Choose a divisor, or give each hidden size its own, as in heads: {128: [2, 4], 768: [12]}."
                    )
                    raise SpecError(place, "divide it", heads, remedy)
                elif halved and heads % 2:
                    rule = f"be even for {halved[0]} (half of the heads of a convolution layer are sdp attention)"
                    raise SpecError(place, rule, heads, "Use even numbers, or leave the convolutions out.")

    @classmethod
    def from_document(cls, document: Any, source: str = "design space") -> DesignSpace:
        """Read a parsed YAML document. Raises SpecError naming the field, the rule, the value and the remedy."""
        parsed = parse_space(document, source)
        return cls(
            name=parsed.name,
            title=parsed.title,
            hidden=tuple(parsed.hidden),
            heads=tuple(tuple(options) for options in parsed.heads_by_hidden(source)),
            layers=tuple(parsed.layers),
            operations=tuple((family, str(p)) for family, options in parsed.operations.items() for p in options),
            operations_per=OperationsPer(parsed.operations_per),
            ff_depths=tuple(parsed.feed_forward.depth),
            ff_widths=tuple(parsed.feed_forward.width),
            layers_per_stack=parsed.layers_per_stack,
            heterogeneous_feed_forward=parsed.heterogeneous_feed_forward,
            backbone=parsed.backbone,
            kernel=parsed.kernel,
            kernel_parameters=parsed.kernel_parameters,
        )

    def source(self) -> dict[str, Any]:
        """Return the grammar as JSON values, which a store compares to tell whether a library was built from it."""
        alike = len(set(self.heads)) == 1
        source: dict[str, Any] = {
            "hidden": list(self.hidden),
            "heads": list(self.heads[0]) if alike else [list(options) for options in self.heads],
            "layers": list(self.layers),
            "operations": [list(operation) for operation in self.operations],
            "feed_forward": [list(self.ff_depths), list(self.ff_widths)],
            "layers_per_stack": self.layers_per_stack,
            "heterogeneous_feed_forward": self.heterogeneous_feed_forward,
        }
        if self.operations_per is OperationsPer.HEAD:
            source["operations_per"] = str(self.operations_per)
        if self.backbone is not None:
            source["backbone"] = self.backbone
        return source

    @classmethod
    def from_source(cls, name: str, source: Mapping[str, Any]) -> DesignSpace:
        """Return the space whose ``source()`` this is; the source holds neither name nor title.

        Raises:
            SpecError: the source is not a grammar's, for example that of a table.
        """
        try:
            hidden, depths, widths = tuple(source["hidden"]), *map(tuple, source["feed_forward"])
            heads = source["heads"]
            by_hidden = heads if isinstance(heads[0], list) else [heads] * len(hidden)
            return cls(
                name,
                "",
                hidden,
                tuple(map(tuple, by_hidden)),
                tuple(source["layers"]),
                tuple((family, parameter) for family, parameter in source["operations"]),
                OperationsPer(source.get("operations_per", OperationsPer.LAYER)),
                depths,
                widths,
                source["layers_per_stack"],
                source["heterogeneous_feed_forward"],
                source.get("backbone"),
            )
        except (KeyError, TypeError, ValueError, IndexError):
            rule = "come from a grammar of choices"
            raise SpecError(f"space {name}", rule, source, "Build one with `archex space build nano`.") from None

    def at_level(
        self, layers_per_stack: int | None = None, heterogeneous_feed_forward: bool | None = None
    ) -> DesignSpace:
        """Return the same grammar at another level of the coarse-to-fine hierarchy. Raises SpecError."""
        level = self.layers_per_stack if layers_per_stack is None else layers_per_stack
        if level < 1:
            raise SpecError("layers_per_stack", "be at least 1", level, "Use 1 for the finest level.")
        mixed = self.heterogeneous_feed_forward if heterogeneous_feed_forward is None else heterogeneous_feed_forward
        return replace(self, layers_per_stack=level, heterogeneous_feed_forward=mixed)

    def with_depths(self, at_least: float, at_most: float) -> DesignSpace:
        """Return the part of the space with depths in a closed range. Raises SpecError if it is empty."""
        layers = tuple(depth for depth in self.layers if at_least <= depth <= at_most)
        if not layers:
            rule = f"hold one of {', '.join(map(str, self.layers))}, the depths of space {self.name}"
            raise SpecError("range of depth", rule, (at_least, at_most), "Widen the range.")
        return replace(self, layers=layers)

    @cached_property
    def choices(self) -> LayerChoices:
        """The choices of one layer."""
        return LayerChoices(
            self.hidden,
            self.heads,
            self.operations,
            self.operations_per,
            self.ff_depths,
            self.ff_widths,
            self.heterogeneous_feed_forward,
        )

    @property
    def choices_per_layer(self) -> int:
        """Number of layers to choose from."""
        return self.choices.count

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        return tuple(self.choices.count ** (depth // self.layers_per_stack) for depth in self.layers)

    def count(self) -> int:
        """Return the exact number of architectures."""
        return sum(self._counts)

    def build(self, layers: Sequence[LayerSpec]) -> ArchitectureSpec:
        """Return the architecture whose stacks repeat these layers, one layer per stack."""
        return ArchitectureSpec(tuple(layer for layer in layers for _ in range(self.layers_per_stack)), self.backbone)

    @cached_property
    def _layers_made(self) -> dict[int, LayerSpec]:
        return {}

    def _layer_at(self, index: int) -> LayerSpec:
        """Return the layer with this index, the same object each time: listing a space repeats few layers often."""
        layer = self._layers_made.get(index)
        if layer is None:
            layer = self.choices.build(self.choices.pick_at(index))
            if len(self._layers_made) < KEPT_LAYERS:
                self._layers_made[index] = layer
        return layer

    def at(self, index: int) -> ArchitectureSpec:
        """Return the architecture with this index, from 0 to ``count() - 1``.

        Raises:
            SpecError: the index is out of range.
        """
        if not 0 <= index < self.count():
            raise SpecError("index", f"be from 0 to {self.count() - 1}", index, "Choose an index inside the space.")
        for depth, count in zip(self.layers, self._counts, strict=True):
            if index < count:
                digits = mixed_digits(index, [self.choices.count] * (depth // self.layers_per_stack))
                return self.build([self._layer_at(digit) for digit in digits])
            index -= count
        raise AssertionError("unreachable: the index was checked against the count")

    def picks(self, spec: ArchitectureSpec) -> list[LayerPick]:
        """Return the choices of each stack of an architecture.

        Raises:
            SpecError: the architecture is not in the space; names the first layer and field that are not.
        """
        elsewhere = "Choose another space."
        if spec.backbone != self.backbone:
            requirement = f"be {self.backbone or 'absent'}"
            raise OutsideSpaceError.about(
                self.name, None, "backbone", requirement, spec.backbone, "Choose another space."
            )
        if spec.depth not in self.layers:
            requirement = f"be one of {', '.join(map(str, self.layers))}"
            raise OutsideSpaceError.about(self.name, None, "number of layers", requirement, spec.depth, elsewhere)
        picks = []
        for first in range(0, spec.depth, self.layers_per_stack):
            for other in range(first + 1, first + self.layers_per_stack):
                if spec.layers[other] != spec.layers[first]:
                    requirement = f"equal layers[{first}], its stack's first"
                    words = layer_words(spec.layers[other])
                    raise OutsideSpaceError.about(self.name, other, "", requirement, words, "Choose a finer level.")
            try:
                picks.append(self.choices.pick(spec.layers[first]))
            except SpecError as error:
                raise OutsideSpaceError.about(
                    self.name, first, error.field, error.rule, error.value, error.remedy
                ) from None
        return picks

    def index_of(self, spec: ArchitectureSpec) -> int:
        """Return the index of an architecture; the inverse of ``at``.

        Raises:
            SpecError: the architecture is not in the space; names the first layer and field that are not.
        """
        index = 0
        for pick in self.picks(spec):
            index = index * self.choices.count + self.choices.index(pick)
        return sum(self._counts[: self.layers.index(spec.depth)]) + index

    def __contains__(self, spec: object) -> bool:
        if not isinstance(spec, ArchitectureSpec):
            return False
        try:
            self.picks(spec)
        except SpecError:
            return False
        return True

    def __iter__(self) -> Iterator[ArchitectureSpec]:
        """Iterate over all architectures in index order, lazily."""
        return (self.at(index) for index in range(self.count()))

    def sample(self, count: int, rng: np.random.Generator) -> list[ArchitectureSpec]:
        """Draw ``count`` architectures uniformly, with replacement."""
        return [self.at(uniform_below(self.count(), rng)) for _ in range(count)]


def uniform_below(total: int, rng: np.random.Generator) -> int:
    """Draw a uniform integer from 0 to ``total - 1`` of any size; 64 bits more than needed make the bias negligible."""
    return int.from_bytes(rng.bytes((total.bit_length() + 64) // 8 + 1), "little") % total


def preset_names() -> list[str]:
    """Return the names of the shipped design spaces."""
    return sorted(path.stem for path in (data_folder() / "spaces").glob("*.yaml"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or the folder is not searchable
        return False


def load_space(name_or_file: str) -> DesignSpace:
    """Load a shipped preset by name, or a user's YAML file by path, which may be FlexiBERT's ``design_space.yaml``.

    Raises:
        SpecError: the preset or file does not exist, is not valid YAML, or breaks a rule.
    """
    path, source = data_folder() / "spaces" / f"{name_or_file}.yaml", f"{name_or_file}.yaml"
    if name_or_file not in preset_names():
        path, source = Path(name_or_file), name_or_file
        if path.suffix not in {".yaml", ".yml"} or not _is_file(path):
            rule = f"be one of {', '.join(preset_names())}, or an existing .yaml file"
            raise SpecError("design space", rule, name_or_file, "Check the name or the path.")
    try:
        document = read_yaml(path, "design space")
    except DataError as error:
        raise SpecError.of(error) from None
    if not is_flexibert_space(document):
        return DesignSpace.from_document(document, source)
    document, read_as = space_document(document, path.stem, source)
    return replace(DesignSpace.from_document(document, source), read_as=read_as)
