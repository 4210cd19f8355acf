"""Optional libraries of policies, imported when a policy that needs one is built."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from explorer.errors import InputError


def import_extra(module: str, policy: str) -> Any:
    """Import a library of the extra ``search``.

    Args:
        module: what to import, for example ``optuna``.
        policy: the policy that needs it, for the error message.

    Raises:
        InputError: the library is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these libraries warn about each other's versions when imported
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        remedy = "Install it with `pip install 'architecture-explorer[search]'`, or choose another policy."
        raise InputError(f"policy {policy}", f"find the library {module}", str(error), remedy) from None
