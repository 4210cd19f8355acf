"""Rules for layers and operations as Cypher conditions on an architecture ``a``."""

from __future__ import annotations

from graphstore.parameters import Parameters
from graphstore.queries import SOME, LayerRule, OpRule, Range, parts_of

_LAYERS = "(a)-[:HAS_LAYER]->(l:ArchexLayer)"
_OF_LAYERS, _OF_ENDS = "(a)-[:HAS_LAYER]->(:ArchexLayer)-[:HAS_OP]->(o:ArchexOp)", "(a)-[:HAS_OP]->(o:ArchexOp)"


def layer_condition(rule: LayerRule, parameters: Parameters) -> str:
    """Return the condition that the layers fit the rule."""
    fits = []
    family, hidden = "l.family", "l.hidden"
    if rule.position is not None:
        place = parameters.place(rule.position)
        fits.append(f"l.index = {place}" if rule.position >= 0 else f"l.index = a.depth + {place}")
        # The architecture node lists both for each layer, so the query visits no layer node.
        family, hidden = f"a.families[{place}]", f"a.hiddens[{place}]"
    own = _parts(family, rule.family, rule.pure, parameters) if rule.family is not None else []
    own += parameters.within(hidden, rule.hidden.whole_ends)
    if rule.parameter is not None:
        fits += _parts("l.parameter", rule.parameter, rule.pure, parameters)
    fits += parameters.within("l.heads", rule.heads.whole_ends)
    fits += parameters.within("size(l.feed_forward)", rule.feed_forward_depth.whole_ends)
    widths = parameters.within("w", rule.feed_forward.whole_ends)
    if widths:
        fits.append(f"all(w IN l.feed_forward WHERE {' AND '.join(widths)})")
    if rule.position is None:
        return _counted([_LAYERS], own + fits, rule.count, parameters)
    visited = [] if own and len(fits) == 1 else [_counted([_LAYERS], fits, rule.count, parameters)]
    return " AND ".join(own + visited)


def op_condition(rule: OpRule, parameters: Parameters) -> str:
    """Return the condition on the number of operations that fit the rule."""
    fits = []
    if rule.kind is not None:
        fits.append(f"o.kind = {parameters.place(rule.kind)}")
    if rule.label is not None and rule.label.endswith("*"):
        fits.append(f"o.label STARTS WITH {parameters.place(rule.label[:-1])}")
    elif rule.label is not None:
        fits.append(f"o.label = {parameters.place(rule.label)}")
    return _counted([_OF_LAYERS, _OF_ENDS], fits, rule.count, parameters)


def _parts(field: str, named: str, pure: bool, parameters: Parameters) -> list[str]:
    wanted = parts_of(named)
    fits = [f"('+' + {field} + '+') CONTAINS {parameters.place(f'+{part}+')}" for part in wanted]
    if pure:
        # If all wanted parts occur and the number of parts is equal, no other part occurs, and none twice.
        fits.append(f"size(split({field}, '+')) = {parameters.place(len(wanted))}")
    return fits


def _counted(patterns: list[str], fits: list[str], count: Range, parameters: Parameters) -> str:
    where = f" WHERE {' AND '.join(fits)}" if fits else ""
    if count == SOME:
        return "(" + " OR ".join(f"EXISTS {{{pattern}{where}}}" for pattern in patterns) + ")"
    many = " + ".join(f"COUNT {{{pattern}{where}}}" for pattern in patterns)
    return " AND ".join(parameters.within(f"({many})", count.whole_ends)) or "true"
