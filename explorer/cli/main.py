"""The ``archex`` command: each command has its own module; errors become one line and an exit code.

Exit codes: 0 done, 2 the user's input, 1 anything else.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from types import FrameType

import typer

from explorer.cli.console import errors
from explorer.documents.values import checked
from explorer.errors import ExplorerError, InputError
from explorer.library.workplace import STORE_VARIABLE
from explorer.remedies import by_options, with_remedy
from graphstore.errors import StoreError, StoreInputError
from graphstore.url import scrubbed

COMMANDS = (
    "demo",
    "app",
    "train",
    "export",
    "params",
    "measure",
    "devices",
    "predict",
    "neighbors",
    "explain",
    "find",
    "best",
    "pareto",
    "plot",
    "project",
    "lineage",
    "cypher",
    "studies",
    "bench",
)
GROUPS = {
    "search": "Search a space in the foreground; or start, status, stop, resume, extend, export.",
    "space": "Design spaces: count, build, sample.",
    "shapes": "SuperShaper's shapes: search, heuristic, predict, devices.",
    "supernet": "Super-networks: train, evaluate, extract.",
    "import": "Import results from elsewhere into the store.",
    "store": "Maintain the graph store: check, migrate, copy, backup.",
    "neo4j": "A Neo4j server of your own on this machine: start, status, stop, logs.",
}
MODULES = {"import": "importing", "neo4j": "neo4j_server"}
INTERRUPTED = 130
"""Exit code of typer after Ctrl-C."""


def build(only: str = "") -> typer.Typer:
    """Assemble the command line.

    Args:
        only: the only command or group to load, if it is a known one. Importing the modules of all commands would take
            most of the time that a command needs to start.
    """
    known = only in COMMANDS or only in GROUPS
    app = typer.Typer(
        name="archex",
        help="Explore and search Transformer-encoder architectures stored as graphs.",
        callback=lambda: None,  # without a callback, typer runs a single command without its name
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for name in COMMANDS:
        if known and name != only:
            continue
        module = importlib.import_module(f"explorer.cli.{name}")
        app.command(name, context_settings=getattr(module, "CONTEXT", None))(getattr(module, name))
    for name, text in GROUPS.items():
        if known and name != only:
            continue
        module = importlib.import_module(f"explorer.cli.{MODULES.get(name, name)}")
        app.add_typer(module.group, name=name, help=text)
    return app


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """Stop the work at the first Ctrl-C or SIGTERM; ignore further ones during the clean-up, which is short."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    errors.print("stopping", markup=False)
    raise KeyboardInterrupt


def _run() -> int:
    return exit_code(lambda: build(next(iter(sys.argv[1:]), ""))(standalone_mode=False))


def exit_code(work: Callable[[], object]) -> int:
    """Run a command and return its exit code; print an error as one line."""
    try:
        checked(sys.argv[1:], "arguments")  # Bytes that are not text cannot be stored or printed.
        code = work()
    except (InputError, StoreInputError) as error:
        return _say(error, 2)
    except typer.TyperException as error:
        return _say(_usage(error), 2)
    except (ExplorerError, StoreError) as error:
        return _say(error, 1)
    except OSError as error:
        # Unexpected OSError: show the system's own message.
        return _say(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""), 1)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    if code == INTERRUPTED:
        errors.print("stopped; run the same command again to resume", markup=False)
        return 1
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException) -> str:
    """Return the message of an error in the arguments."""
    text: str = error.format_message() if hasattr(error, "format_message") else str(error)
    text = text or "Missing command."  # typer has printed the help and gives no message
    if ("unexpected extra argument" in text or "No such command" in text) and "://" in text:
        text += ". Name a store with --store"
    return text


def _named_store() -> str:
    """Return the URL that the user named with ``--store``; empty if none is."""
    words = [part for word in sys.argv[1:] for part in word.split("=", 1 if word.startswith("--store=") else 0)]
    return next((word for before, word in pairwise(words) if before == "--store"), "")


def _say(error: object, code: int) -> int:
    told = error.message(by_options(error)) if isinstance(error, InputError) else with_remedy(error, _named_store())
    text = scrubbed(told, [*sys.argv[1:], os.environ.get(STORE_VARIABLE, "")])
    if code == 2:
        text = " ".join(text.split())
    errors.print(f"error: {text}", markup=False, soft_wrap=True)
    return code


def main() -> None:
    """Run the command line and exit."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, _interrupt_once)
    logging.basicConfig(level=os.environ.get("ARCHEX_LOG", "WARNING"), stream=sys.stderr)
    if "ARCHEX_LOG" not in os.environ:
        # The driver logs each retry, and every error in addition to raising it.
        logging.getLogger("neo4j").setLevel(logging.CRITICAL)
    sys.exit(_run())


if __name__ == "__main__":
    main()
