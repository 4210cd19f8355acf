"""``archex neo4j …``: manage a Neo4j server of your own on this machine.

Every command reaches it by ``--store neo4j``, and starts it if it does not run.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from explorer.cli.console import JsonOption, errors, output, print_json, say
from explorer.errors import InputError
from graphstore.neo4j.managed import ManagedNeo4j
from graphstore.neo4j.status import ServerState, Status

group = typer.Typer(no_args_is_help=True)


def _document(status: Status) -> dict[str, object]:
    return {"running": status.condition is ServerState.RUNNING, **asdict(status), "condition": status.condition.value}


@group.command()
def start(json: JsonOption = False) -> None:
    """Start the server and wait until it answers. It runs until `archex neo4j stop`.

    It listens on this machine only. NEO4J_HOME may name a Neo4j distribution; otherwise Maven downloads the server and
    Java runs it, or a container does.
    """
    server = ManagedNeo4j()
    login = server.start(say)
    if json:
        print_json(_document(server.status()))
        return
    output.print(
        f"Neo4j runs at {login.url} until `archex neo4j stop`; every command reaches it by --store neo4j.", markup=False
    )
    output.print(
        f"Other programs log in as {login.user} with the password in {server.home / 'password'}.", soft_wrap=True
    )


@group.command()
def status(json: JsonOption = False) -> None:
    """Show whether the server runs, and from which distribution. The exit code is 0 if it runs, else 1."""
    found = ManagedNeo4j().status()
    if json:
        print_json(_document(found))
    else:
        _print(found)
    if found.condition is not ServerState.RUNNING:
        raise typer.Exit(1)


def _print(status: Status) -> None:
    where = f" at {status.url}" if status.condition is ServerState.RUNNING else ""
    process = f" (process {status.pid})" if status.pid else ""
    lines = [f"Neo4j: {status.condition.value}{where}{process}"]
    if status.condition is ServerState.CRASHED:
        lines.append("  It ended without being stopped. `archex neo4j start` starts it again with all that was stored.")
    if status.condition is ServerState.SILENT:
        lines.append("  Its process lives but does not answer: wait, or `archex neo4j stop` and start it again.")
    verb = "runs" if status.pid or where else "would run"
    lines.append(f"  {verb} from: {' '.join((status.source, status.version)).strip() or 'nothing that works here'}")
    lines += [f"  not from {name}: {reason}" for name, reason in status.refused.items()]
    lines.append(f"  data, password and logs: {status.home}")
    for line in lines:
        output.print(line, markup=False, soft_wrap=True)


@group.command()
def stop(json: JsonOption = False) -> None:
    """Stop the server; its data are kept."""
    ran = ManagedNeo4j().stop(say)
    if json:
        print_json({"stopped": ran})
    else:
        errors.print("Neo4j is stopped." if ran else "Neo4j does not run.", markup=False)


@group.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", help="How many lines, from the end.", min=0)] = 40,
    follow: Annotated[bool, typer.Option("--follow", help="Follow the log until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the server's log."""
    if json and follow:
        raise InputError("--follow", "be left out with --json, which prints one document", follow, "Choose one.")
    found = ManagedNeo4j().logs(lines, follow)
    if json:
        print_json({"lines": list(found)})
        return
    for line in found:
        output.print(line, markup=False, highlight=False, soft_wrap=True)
