"""Reading a policy's settings from a mapping a user wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from explorer.errors import InputError

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], values: Mapping[str, Any], policy: str) -> Settings:
    """Build the settings dataclass ``kind`` (numbers, switches and texts) from ``values``.

    Args:
        kind: a dataclass whose fields all have bool, int, float or str defaults, no number negative.
        values: settings by name; what is absent keeps its default.
        policy: name of the policy, for messages.

    Raises:
        InputError: a name is unknown, or a value has the wrong type or is negative.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in set(values) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise InputError(f"settings of policy {policy}", f"be among: {allowed}", unknown, "Remove the others.")
    checked: dict[str, bool | int | float | str] = {}
    for name, value in values.items():
        default = known[name].default
        if isinstance(default, bool | str):
            if type(value) is not type(default):
                rule = "be true or false" if isinstance(default, bool) else "be a text"
                raise InputError(f"{policy} setting {name}", rule, value, f"The default is {default!r}.")
            checked[name] = value
            continue
        whole = isinstance(default, int)
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not math.isfinite(value) or value < 0:
            rule = f"be a {'whole' if whole else 'finite'} number, 0 or more"
            raise InputError(f"{policy} setting {name}", rule, value, f"The default is {default}.")
        checked[name] = value if whole else float(value)
    return kind(**checked)
