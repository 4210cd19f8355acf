"""``archex cypher``: run a Cypher statement or a saved query on a Neo4j store."""

from __future__ import annotations

import json as json_text
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.documents.json_text import parse_value
from explorer.errors import InputError
from graphstore.cypher import LONGEST_TIME_S, MOST_ROWS, ROWS, TIME_S, parameter_names, run_query
from graphstore.neo4j.saved_queries import SavedQuery, saved_queries, saved_query

WIDEST_CELL = 200
"""Maximum number of characters of a value in the table; --json prints the whole value."""


def cypher(
    text: Annotated[str, typer.Argument(help="One reading Cypher statement.")] = "",
    saved: Annotated[str, typer.Option("--saved", help="Run this saved query instead; see --list.")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            help="NAME=VALUE of a parameter, repeatable. In your own statement the value is JSON, otherwise text.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Maximum number of rows.", min=1, max=MOST_ROWS)] = ROWS,
    timeout: Annotated[
        float, typer.Option("--timeout", help=f"Time limit in seconds, up to {LONGEST_TIME_S:g}.")
    ] = TIME_S,
    list_saved: Annotated[bool, typer.Option("--list", help="List the saved queries.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Run a reading Cypher statement on a Neo4j store; the server refuses to write."""
    if list_saved + bool(saved) + bool(text) != 1:
        raise InputError(
            "query", "be a statement, --saved NAME or --list, and only one of them", text or saved, "Choose."
        )
    if list_saved:
        _print_list(saved_queries(), json)
        return
    given: dict[str, str] = {}
    for one in param or []:
        name, value = _pair(one)
        if name in given:
            raise InputError("--param", "give each parameter once", one, f"Leave out all but one of {name}=….")
        given[name] = value
    if saved:
        query = saved_query(saved)
        text, parameters = query.text, query.values(given)
    else:
        asked = parameter_names(text)
        for name in given:
            if name not in asked:
                known = ", ".join(f"${one}" for one in sorted(asked)) or "none"
                raise InputError("--param", "name a parameter of the statement", name, f"The statement has {known}.")
        parameters = {name: parse_value(value, f"--param {name}") for name, value in given.items()}
    with opened(store, create=False) as opened_store:
        answer = run_query(opened_store, text, parameters, limit, timeout)
    if json:
        columns, rows = list(answer.columns), [list(row) for row in answer.rows]
        print_json({"columns": columns, "rows": rows, "truncated": answer.truncated, "seconds": answer.seconds})
        return
    table = Table(*(Column(Text(name)) for name in answer.columns))
    for row in answer.rows:
        table.add_row(*(_cell(value) for value in row))
    output.print(table)
    more = f", further rows were left out: raise --limit {limit}" if answer.truncated else ""
    rows_said = "1 row" if len(answer.rows) == 1 else f"{len(answer.rows):,} rows"
    output.print(f"{rows_said} in {answer.seconds:.2f} s{more}", markup=False)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError("--param", "be NAME=VALUE", text, "Write for example --param k=3.")
    return name, value


def _cell(value: Any) -> Text:
    """Return a table cell: texts unchanged, floats shortened, all others as JSON."""
    if isinstance(value, str):
        shown = value
    elif isinstance(value, float):
        shown = f"{value:.6g}"
    else:
        shown = "" if value is None else json_text.dumps(value, ensure_ascii=False)
    return Text(shown if len(shown) <= WIDEST_CELL else shown[:WIDEST_CELL] + "…")


def _print_list(queries: Sequence[SavedQuery], json: bool) -> None:
    if json:
        print_json({"queries": [_document(query) for query in queries]})
        return
    for query in queries:
        output.print(Text.assemble((query.name, "bold"), f": {query.title}"))
        output.print(Text(f"  {query.explanation}"))
        for parameter in query.parameters:
            default = "required" if parameter.default is None else f"default {parameter.default!r}"
            output.print(Text(f"  --param {parameter.name}=…  {parameter.help}; {default}"))
        output.print()


def _document(query: SavedQuery) -> dict[str, Any]:
    parameters = [
        {"name": p.name, "type": p.type.value, "default": p.default, "help": p.help} for p in query.parameters
    ]
    return {
        "name": query.name,
        "title": query.title,
        "explanation": query.explanation,
        "columns": dict(query.columns),
        "parameters": parameters,
        "cypher": query.text,
    }
