"""Typed questions (``graphstore.queries``) from the words of users, for the command line and the app.

Ranges are described in ``explorer.analysis.ranges``.

* A **layer rule** is a position (``first``, ``last``, a number from 0, or from the end if negative; or ``any``,
  ``none``, ``all``, which look at every layer) and what the layer must be like: ``family=c``, ``parameter=5``,
  ``op=c_5``, ``hidden>=256``, ``heads=4``, ``ff<=512``, ``ff_depth=3``, ``pure``; after ``any`` also how many layers:
  ``count>=2``.
* An **op rule** is a kind or a label, which may end with ``*``, and how many: ``c_* >=3``, ``add_norm_h128=4``,
  ``head 8..12``.
* A **condition** on a score or a measurement is a quantity (``explorer.analysis.quantities``) and a range:
  ``SST-2>=0.8``, ``latency@raspberry<=0.5``; the quantity alone asks that the value is known.
* An **order** is a quantity, smallest first, or largest first after a minus: ``parameters``, ``-SST-2``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from explorer.analysis.devices import find_device
from explorer.analysis.quantities import parse_measurement_key, parse_quantity
from explorer.analysis.ranges import COMPARISON, intersection, normalised, parse_range, split_name
from explorer.analysis.score_kinds import resolve_kind
from explorer.errors import InputError
from explorer.space.operations import Family, parameter_titles
from explorer.space.spec import MAX_LAYERS
from graphstore import GraphStore
from graphstore.queries import (
    ANY,
    SOME,
    ArchitectureQuery,
    Condition,
    Fact,
    LayerRule,
    MeasurementKey,
    OpRule,
    Quantity,
    Range,
    Sort,
)
from graphstore.records import ScoreKind

Named = TypeVar("Named", Condition, Sort)
LARGEST_NUMBER = 2**63 - 1
"""The largest integer that a store can hold."""
POSITIONS = {"first": 0, "last": -1}
EVERYWHERE = ("any", "none", "all")
LAYER_RANGES = {
    "hidden": "hidden",
    "heads": "heads",
    "ff": "feed_forward",
    "feed_forward": "feed_forward",
    "ff_depth": "feed_forward_depth",
    "feed_forward_depth": "feed_forward_depth",
    "count": "count",
}
LAYER_TEXTS = ("family", "parameter", "op")
KINDS = {"input": "input", "output": "output", "head": "head", "add_norm": "add_norm", "bottleneck": "bottleneck"}
KINDS |= {"feed_forward": "feed_forward", "ff": "feed_forward"}
LAYER_EXAMPLE = "Write for example 'last family=c' or 'any hidden>=256 count>=2'."
OP_EXAMPLE = "Write for example 'c_* >=3' or 'head 8..12'."


# Layers and operations -------------------------------------------------------------------------------------------


def _family(text: str, given: str) -> str:
    parts = sorted(set(text.split("+")))
    if not set(parts) <= set(Family):
        raise InputError(
            "family of a layer rule", f"be {', '.join(Family)}, or a mix such as c+sa", given, LAYER_EXAMPLE
        )
    return "+".join(parts)


def _parameter(text: str, given: str) -> str:
    parts = sorted(set(text.split("+")))
    words = parameter_titles().keys()
    if not all(part in words or (part.isascii() and part.isdigit()) for part in parts):
        rule = f"be {', '.join(sorted(words))} or a kernel size, or a mix such as 5+sdp"
        raise InputError("parameter of a layer rule", rule, given, LAYER_EXAMPLE)
    return "+".join(parts)


def _layer_words(text: str) -> list[str]:
    """Split a rule into words; a field and its value, as in ``hidden >= 64`` and ``heads 2..4``, are one word."""
    joined = re.sub(rf"\s*({COMPARISON})\s*", r"\1", normalised(text))
    fields = "|".join([*LAYER_RANGES, *LAYER_TEXTS])
    joined = re.sub(rf"\b({fields})\s+(?=[\d.])", r"\1=", joined)
    return [word.strip(",;") for word in joined.split() if word.strip(",;") not in ("", "layer", "layers", "and")]


def parse_layer_rule(text: str, depth: int | None = None) -> LayerRule:
    """Read a layer rule.

    Args:
        text: the rule; see the module's description.
        depth: the number of layers, if the question fixes it; ``all`` needs it.

    Raises:
        InputError: the text is not a layer rule.
    """
    position: int | None = None
    where, texts, pure = "any", dict[str, str](), False
    ranges: dict[str, Range] = {}
    words = _layer_words(text)
    if words and (words[0] in (*POSITIONS, *EVERYWHERE) or re.fullmatch(r"[-+]?\d{1,4}", words[0])):
        where = words.pop(0)
        if where not in EVERYWHERE:
            position = POSITIONS[where] if where in POSITIONS else int(where)
        if position is not None and not -MAX_LAYERS <= position < MAX_LAYERS:
            rule = f"name a layer from 0 to {MAX_LAYERS - 1}, or from -1 to -{MAX_LAYERS}"
            raise InputError("layer rule", rule, text, LAYER_EXAMPLE)
    for word in words:
        match = re.match(rf"([a-z_-]+)((?:{COMPARISON}).+)", word)
        name = match[1].replace("-", "_") if match else ""
        if word == "pure":
            pure = True
        elif match and name in LAYER_RANGES:
            field = LAYER_RANGES[name]
            found = parse_range(f"{name} of a layer rule", match[2], whole=True)
            ranges[field] = intersection(f"{name} of a layer rule", text, ranges.get(field, ANY), found)
        elif match and name in LAYER_TEXTS and re.match(r"==?[^<>=]", match[2]):
            texts[name] = match[2].lstrip("=")
        elif not match and word.partition("_")[0] in set(Family):
            texts["op"] = word
        else:
            rule = f"consist of a position, {', '.join(LAYER_TEXTS)} (with =), {', '.join(LAYER_RANGES)}, and pure"
            raise InputError("layer rule", rule, f"{word} in {text}" if word != text else text, LAYER_EXAMPLE)
    count = _count(text, where, ranges.pop("count", None), depth)
    if not (texts or ranges):
        raise InputError("layer rule", "name a property of the layer", text, LAYER_EXAMPLE)
    family, _, parameter = texts.get("op", "").partition("_")
    family, parameter = texts.get("family", family), texts.get("parameter", parameter)
    return LayerRule(
        position,
        _family(family, text) if family else None,
        _parameter(parameter, text) if parameter else None,
        pure,
        count=count,
        **ranges,
    )


def _count(text: str, where: str, given: Range | None, depth: int | None) -> Range:
    """Return how many layers must fit."""
    if given is not None and where != "any":
        raise InputError("layer rule", "have a count only if its position is 'any'", text, LAYER_EXAMPLE)
    if where == "none":
        return Range(0, 0)
    if where == "all":
        if depth is None:
            remedy = "Add the depth, such as 4; or write 'none hidden<256' for 'all hidden>=256'."
            raise InputError("layer rule", "come with an exact depth if its position is 'all'", text, remedy)
        return Range(depth, depth)
    return given or SOME


def parse_op_rule(text: str) -> OpRule:
    """Read an op rule. Raises InputError if the text is not one."""
    name, found = split_name(text)
    count = SOME if found is None else parse_range("count of an op rule", found, whole=True)
    if not re.fullmatch(r"[^\s*<>=]*\*?", name) or not name:
        rule = "be a kind or a label, which may end with *, and how many"
        raise InputError("op rule", rule, text, OP_EXAMPLE)
    if name in KINDS:
        return OpRule(kind=KINDS[name], count=count)
    if name == "*":
        return OpRule(count=count)
    return OpRule(label=f"{name}_*" if name in set(Family) else name, count=count)


# Scores, measurements, orders -------------------------------------------------------------------------------------


def parse_score(text: str, kind: Mapping[str, str]) -> Condition:
    """Read a condition on a score. Raises InputError if the text is not one."""
    name, found = split_name(text)
    if not name or name[0] in "<>=":
        raise InputError("score", "name a task", text, "Write for example 'SST-2>=0.8'.")
    return Condition(ScoreKind(name, **kind), ANY if found is None else parse_range(f"score {name}", found))


def parse_measurement(text: str) -> Condition:
    """Read a condition on a measurement. Raises InputError if the text is not one."""
    name, found = split_name(text)
    key = parse_measurement_key(name)
    return Condition(key, ANY if found is None else parse_range(f"measurement {name}", found))


def parse_sort(text: str, kind: Mapping[str, str]) -> Sort:
    """Read an order; a leading minus means largest first. Raises InputError if the text is not one."""
    given = normalised(text)
    name = given.lstrip("+-").strip()
    if not name or len(given) - len(given.lstrip("+-")) > 1:
        raise InputError("sort", "name a fact, a score or a measurement", text, "Write 'parameters' or '-SST-2'.")
    return Sort(parse_quantity(name, kind), descending=given.startswith("-"))


# Whole questions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class QuestionTexts:
    """A user's words about the architectures wanted; see the module's description for each.

    Attributes:
        layers, ops: rules, all of which must hold.
        parameters, flops, depth, heterogeneity: ranges; empty for any.
        scores, measurements: conditions, all of which must hold.
        kind: fields of the score kind (metric, dataset, fidelity, recipe, origin) that count wherever a task is named;
            the recipe is a name of ``explorer.training.recipe.RECIPES`` or as the scores have it.
    """

    layers: Sequence[str] = ()
    ops: Sequence[str] = ()
    parameters: str = ""
    flops: str = ""
    depth: str = ""
    heterogeneity: str = ""
    scores: Sequence[str] = ()
    measurements: Sequence[str] = ()
    kind: Mapping[str, str] = field(default_factory=dict)


def build_query(
    texts: QuestionTexts,
    space: str | None = None,
    sort: Sequence[str] = (),
    limit: int | None = 50,
    offset: int = 0,
) -> ArchitectureQuery:
    """Return the typed question that a user's words mean.

    Args:
        texts: which architectures.
        space: name of the space, or ``None`` for the whole store.
        sort: orders; later ones break ties.
        limit: number of architectures at most, or ``None`` for all.
        offset: number of architectures to skip.

    Raises:
        InputError: a text cannot be read, or a number is too large.
    """
    for name, number in (("limit", limit), ("offset", offset)):
        if number is not None and number > LARGEST_NUMBER:
            raise InputError(name, f"be at most {LARGEST_NUMBER:,}", number, "Give a smaller number.")
    facts: list[Condition] = []
    for fact in Fact:
        text: str = getattr(texts, fact.value)
        if text.strip():
            facts.append(Condition(fact, parse_range(fact.value, text, whole=fact is not Fact.HETEROGENEITY)))
    deep = next((condition.range for condition in facts if condition.quantity is Fact.DEPTH), ANY)
    depth = int(deep.at_least) if deep.at_least is not None and deep.at_least == deep.at_most else None
    return ArchitectureQuery(
        space,
        tuple(parse_layer_rule(text, depth) for text in texts.layers),
        tuple(parse_op_rule(text) for text in texts.ops),
        (
            *facts,
            *(parse_score(text, texts.kind) for text in texts.scores),
            *(parse_measurement(text) for text in texts.measurements),
        ),
        tuple(parse_sort(text, texts.kind) for text in sort),
        limit,
        offset,
    )


def resolve_query(store: GraphStore, query: ArchitectureQuery) -> ArchitectureQuery:
    """Check that a question can be answered: its scores and measurements exist, and its scores are comparable.

    Names of the package's recipes are replaced by the digests by which scores name them, and parts of devices' and
    quantities' names by the whole names.

    Args:
        store: the store to ask.
        query: the question as read from a user's words.

    Returns:
        The query for the store.

    Raises:
        InputError: a score or a measurement does not exist in the space (the error lists those that do), or the scores
            of a task are of several kinds (the error lists the options that select one).
    """
    resolved = resolve_quantities(store, query.space, query.quantities)
    return dataclasses.replace(
        query, conditions=_replaced(query.conditions, resolved), sort=_replaced(query.sort, resolved)
    )


def resolve_quantities(
    store: GraphStore, space: str | None, quantities: Iterable[Quantity]
) -> dict[Quantity, Quantity]:
    """Return for each quantity of a user's words the one of the store. Args and errors: see ``resolve_query``."""
    named = dict.fromkeys(quantities)
    resolved: dict[Quantity, Quantity] = {}
    scores = [quantity for quantity in named if isinstance(quantity, ScoreKind)]
    known_kinds = [best.kind for best in store.best_per_task(space)] if scores else []
    for kind in scores:
        resolved[kind] = resolve_kind(kind, known_kinds, f"space {space}" if space else "the store")
    for key in named:
        if isinstance(key, MeasurementKey):
            found = find_device(store, key.device, key.quantity, space)
            resolved[key] = MeasurementKey(found.device, found.quantity)
    return resolved


def _replaced(ones: Sequence[Named], resolved: Mapping[Quantity, Quantity]) -> tuple[Named, ...]:
    return tuple(dataclasses.replace(one, quantity=resolved.get(one.quantity, one.quantity)) for one in ones)
