"""The query of the Query page: its URL parameters and the typed question for the store.

``explorer.analysis.ranges`` describes ranges. A layer rule is ``position,family,parameter,hidden``, in which an empty
part matches anything. Invalid URL parameters are ignored with a notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from explorer.analysis.quantities import FACT_TITLES
from explorer.analysis.ranges import format_ends, parse_range
from explorer.analysis.score_kinds import TitledKind
from explorer.errors import InputError
from graphstore.queries import ANY, ArchitectureQuery, Condition, Ends, Fact, LayerRule, Range, Sort

POSITIONS = {"first": 0, "last": -1, "any": None}
"""Title of a layer position → ``LayerRule.position``."""
MOST_RULES = 3
LIMITS = (20, 50, 100, 500)
FACTS = tuple(fact.value for fact in FACT_TITLES)
"""Facts, by their names in the URL, in display order."""
SORTS = {
    "score": "Best score first",
    "parameters": "Fewest parameters first",
    "-parameters": "Most parameters first",
    "flops": "Fewest FLOPs first",
    "-flops": "Most FLOPs first",
    "depth": "Fewest layers first",
    "-depth": "Most layers first",
    "heterogeneity": "Most homogeneous first",
    "-heterogeneity": "Most heterogeneous first",
}
"""Value of an order in the URL → its title."""
LARGEST = 10**15
"""Largest number accepted from a form or a URL."""

OPEN: Ends = (None, None)


@dataclass(frozen=True)
class Layer:
    """A layer rule in the form; empty strings and 0 match anything."""

    position: str = "any"
    family: str = ""
    parameter: str = ""
    hidden: int = 0

    @property
    def is_empty(self) -> bool:
        """Return whether the rule matches every layer."""
        return not (self.family or self.parameter or self.hidden)

    @property
    def rule(self) -> LayerRule:
        """Return the rule as a typed question of the store."""
        hidden = Range(self.hidden, self.hidden) if self.hidden else ANY
        return LayerRule(POSITIONS[self.position], self.family or None, self.parameter or None, hidden=hidden)


@dataclass(frozen=True)
class Choices:
    """The values that the form offers for a space.

    Attributes:
        families: parts of the layers' families.
        parameters: parts of their parameters.
        hiddens: hidden sizes.
        kinds: score kinds in display order.
    """

    families: tuple[str, ...]
    parameters: tuple[str, ...]
    hiddens: tuple[int, ...]
    kinds: tuple[TitledKind, ...]


@dataclass(frozen=True)
class FormQuery:
    """A query of the form.

    Attributes:
        layers: layer rules, all of which must hold.
        ranges: name of a fact → its range.
        kind: score kind that must be known; ``None`` for any architecture.
        score: range of that score.
        sort: a key of ``SORTS``; empty for the order of ids.
        limit: most rows.
    """

    layers: tuple[Layer, ...] = ()
    ranges: Mapping[str, Ends] = field(default_factory=dict)
    kind: TitledKind | None = None
    score: Ends = OPEN
    sort: str = ""
    limit: int = LIMITS[0]

    def address(self) -> dict[str, str]:
        """Return the URL parameters; default values are left out."""
        found = {f"layer{n}": _layer_text(layer) for n, layer in enumerate(self.layers, 1) if not layer.is_empty}
        found |= {name: format_ends(ends) for name, ends in self.ranges.items() if ends != OPEN}
        if self.kind is not None:
            found[KIND] = self.kind.title
            if self.score != OPEN:
                found["score"] = format_ends(self.score)
        if self.sort:
            found["sort"] = self.sort
        if self.limit != LIMITS[0]:
            found["limit"] = str(self.limit)
        return found

    def question(self, space: str) -> ArchitectureQuery:
        """Return the typed question. Raises StoreInputError for a range whose end is below its start."""
        conditions = [Condition(Fact(name), Range(*ends)) for name, ends in self.ranges.items() if ends != OPEN]
        kind = None if self.kind is None else self.kind.kind
        if kind is not None:
            conditions.append(Condition(kind, Range(*self.score)))
        sort: tuple[Sort, ...] = ()
        if self.sort == "score":
            sort = (Sort(kind, descending=not kind.lower_is_better),) if kind is not None else ()
        elif self.sort:
            sort = (Sort(Fact(self.sort.removeprefix("-")), descending=self.sort.startswith("-")),)
        rules = tuple(layer.rule for layer in self.layers if not layer.is_empty)
        return ArchitectureQuery(space, rules, (), tuple(conditions), sort, self.limit)


KIND = "series"
"""The URL parameter of the score kind, as in the links of earlier versions."""
ADDRESS = (*(f"layer{n}" for n in range(1, MOST_RULES + 1)), *FACTS, KIND, "score", "sort", "limit")
"""The URL parameters of a query."""


def choices_of(layers: pd.DataFrame, kinds: Sequence[TitledKind]) -> Choices:
    """Return the values that the form offers for a space.

    Args:
        layers: frame of ``frames.layers_frame``.
        kinds: its score kinds in display order.
    """
    operations = [str(one).partition("_")[::2] for one in layers["operation"].unique()]
    return Choices(
        tuple(sorted({part for family, _ in operations for part in family.split("+")})),
        tuple(sorted({part for _, parameter in operations for part in parameter.split("+")})),
        tuple(sorted(int(hidden) for hidden in layers["hidden"].unique())),
        tuple(kinds),
    )


def read_address(address: Mapping[str, str], choices: Choices) -> tuple[FormQuery, list[str]]:
    """Return the query in a URL and the names of its invalid parameters."""
    wrong: list[str] = []
    query = FormQuery()
    layers = []
    for name in ADDRESS[:MOST_RULES]:
        if name in address:
            layer = _read_layer(address[name], choices)
            layers.append(layer or Layer())
            if layer is None:
                wrong.append(name)
    ranges = {name: _read_range(address[name], name != "heterogeneity") for name in FACTS if name in address}
    wrong += [name for name, ends in ranges.items() if ends is None]
    query = replace(
        query, layers=tuple(layers), ranges={name: ends for name, ends in ranges.items() if ends is not None}
    )
    kinds = {one.title: one for one in choices.kinds}
    offered = {KIND: [*kinds], "sort": [*SORTS], "limit": [str(limit) for limit in LIMITS]}
    chosen = {name: address[name] for name, known in offered.items() if address.get(name) in known}
    wrong += [name for name in offered if name in address and name not in chosen]
    limit = int(chosen.get("limit", LIMITS[0]))
    query = replace(query, kind=kinds.get(chosen.get(KIND, "")), sort=chosen.get("sort", ""), limit=limit)
    if query.sort == "score" and query.kind is None:
        query = replace(query, sort="")
    if "score" in address and query.kind is not None:
        ends = _read_range(address["score"])
        query = replace(query, score=ends or OPEN)
        wrong += [] if ends else ["score"]
    return query, wrong


def _layer_text(layer: Layer) -> str:
    return ",".join((layer.position, layer.family, layer.parameter, str(layer.hidden or "")))


def _read_layer(text: str, choices: Choices) -> Layer | None:
    position, family, parameter, hidden, *more = (
        (*text.split(","), "", "", "")[:5] if text.count(",") <= 3 else ("",) * 5
    )
    known_hidden = {str(size): size for size in choices.hiddens} | {"": 0}
    fits = position in POSITIONS and family in ("", *choices.families) and parameter in ("", *choices.parameters)
    if not fits or hidden not in known_hidden or any(more):
        return None
    return Layer(position, family, parameter, known_hidden[hidden])


def _read_range(text: str, counts: bool = False) -> Ends | None:
    """Return the ends of a range; ``None`` if it is invalid, too large, or not of whole numbers where it counts."""
    try:
        found = parse_range("range", text, whole=counts)
    except InputError:
        return None
    numbers = [end for end in (found.at_least, found.at_most) if end is not None]
    if any(abs(end) > LARGEST or (counts and (end < 0 or end != int(end))) for end in numbers):
        return None
    return found.at_least, found.at_most
