"""Read a policy's settings from the mapping a user wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from pydantic import ValidationError

from explorer.errors import InputError, validation_error

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], values: Mapping[str, Any], policy: str) -> Settings:
    """Build the settings of a policy.

    Args:
        kind: a pydantic dataclass whose fields all have defaults.
        values: settings by name; absent ones keep their defaults.
        policy: name of the policy, for error messages.

    Raises:
        InputError: a name is unknown, or a value has the wrong type or is out of range.
    """
    defaults = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(name) for name in set(values) - set(defaults))
    if unknown:
        allowed = ", ".join(defaults) or "none"
        raise InputError(f"settings of policy {policy}", f"be among: {allowed}", unknown, "Remove the others.")
    try:
        return kind(**values)
    except ValidationError as error:
        raise validation_error(error, InputError, f"policy {policy}", f"The defaults are {defaults}") from None
