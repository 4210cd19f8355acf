"""The ``archex`` command: every command is in a file of its own; errors become one line and an exit code.

Exit codes: 0 done, 2 the user's input, 1 anything else.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys

import typer

from explorer.cli.console import errors
from explorer.errors import ExplorerError, InputError
from graphstore.errors import StoreError, StoreInputError

COMMANDS = ("demo", "app", "search", "train", "params", "neighbors", "studies")
GROUPS = {"space": "Design spaces: count, build, sample.", "import": "Bring results from elsewhere into the store."}
MODULES = {"import": "importing"}
INTERRUPTED = 130
"""Exit code that typer gives to Ctrl-C."""


def build() -> typer.Typer:
    """Assemble the command line."""
    app = typer.Typer(
        name="archex",
        help="Explore and search Transformer-encoder architectures stored as graphs.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for name in COMMANDS:
        module = importlib.import_module(f"explorer.cli.{name}")
        app.command(name)(getattr(module, name))
    for name, text in GROUPS.items():
        module = importlib.import_module(f"explorer.cli.{MODULES.get(name, name)}")
        app.add_typer(module.group, name=name, help=text)
    return app


def main() -> None:
    """Run the command line and exit."""
    logging.basicConfig(level=os.environ.get("ARCHEX_LOG", "WARNING"), stream=sys.stderr)
    code: int | str | None = 0
    try:
        build()()
    except SystemExit as ended:  # The usual way out; usage errors have been printed and have code 2.
        code = ended.code
    except (InputError, StoreInputError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        code = 2
    except (ExplorerError, StoreError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        code = 1
    if code == INTERRUPTED:
        errors.print("stopped; run the same command again to continue where it was", markup=False)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
