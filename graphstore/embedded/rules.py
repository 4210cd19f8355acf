"""Rules for layers and operations as SQL conditions on an architecture ``a``."""

from __future__ import annotations

from graphstore.parameters import Parameters
from graphstore.queries import SOME, LayerRule, OpRule, Range, parts_of

_PAST_LAST = "(SELECT max(x.position) + 1 FROM layer x WHERE x.architecture = a.key)"


def layer_condition(rule: LayerRule, parameters: Parameters) -> str:
    """Return the condition that the layers fit the rule."""
    fits = ["l.architecture = a.key"]
    if rule.position is not None:
        place = parameters.place(rule.position)
        fits.append(f"l.position = {place}" if rule.position >= 0 else f"l.position = {_PAST_LAST} + {place}")
    for column, named in (("l.family", rule.family), ("l.parameter", rule.parameter)):
        if named is not None:
            fits += _parts(column, named, rule.pure, parameters)
    fits += parameters.within("l.hidden", rule.hidden.whole_ends)
    fits += parameters.within("l.heads", rule.heads.whole_ends)
    fits += parameters.within("json_array_length(l.feed_forward)", rule.feed_forward_depth.whole_ends)
    widths = parameters.within("w.value", rule.feed_forward.whole_ends)
    if widths:
        fits.append(f"NOT EXISTS (SELECT 1 FROM json_each(l.feed_forward) w WHERE NOT ({' AND '.join(widths)}))")
    return _counted(f"FROM layer l WHERE {' AND '.join(fits)}", rule.count, parameters)


def op_condition(rule: OpRule, parameters: Parameters) -> str:
    """Return the condition on the number of operations that fit the rule."""
    fits = ["o.architecture = a.key"]
    if rule.kind is not None:
        fits.append(f"o.kind = {parameters.place(rule.kind)}")
    if rule.label is not None and rule.label.endswith("*"):
        beginning = rule.label[:-1]
        fits.append(f"substr(o.label, 1, {len(beginning)}) = {parameters.place(beginning)}")
    elif rule.label is not None:
        fits.append(f"o.label = {parameters.place(rule.label)}")
    return _counted(f"FROM op o WHERE {' AND '.join(fits)}", rule.count, parameters)


def _parts(column: str, named: str, pure: bool, parameters: Parameters) -> list[str]:
    wanted = parts_of(named)
    fits = [f"instr('+' || {column} || '+', {parameters.place(f'+{part}+')}) > 0" for part in wanted]
    if pure:
        # If all wanted parts occur and the number of parts is equal, no other part occurs, and none twice.
        many = f"length({column}) - length(replace({column}, '+', '')) + 1"
        fits.append(f"{many} = {parameters.place(len(wanted))}")
    return fits


def _counted(rows: str, count: Range, parameters: Parameters) -> str:
    if count == SOME:
        return f"EXISTS (SELECT 1 {rows})"
    conditions = parameters.within(f"(SELECT count(*) {rows})", count.whole_ends)
    return " AND ".join(conditions) if conditions else "TRUE"
