"""The Cypher tab of the Query page: saved queries, and free statements in an app that one person uses."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from explorer.app.shared import access, address, components, downloads, services
from explorer.documents.json_text import parse_json
from explorer.errors import DataError, InputError
from graphstore.cypher import LONGEST_PARAMETERS, LONGEST_TEXT, Answer, CypherStore, run_query
from graphstore.errors import StoreInputError
from graphstore.neo4j.saved_queries import Parameter, ParameterType, SavedQuery, saved_queries
from graphstore.url import without_password

OWN = ""
"""Entry of the list for a statement of the user's own."""
ROW_LIMITS = (20, 100, 1000)
TIME_LIMITS_S = (2, 10, 60)
EXAMPLE = (
    "MATCH (a:Architecture)-[:HAS_LAYER]->(l:Layer)\nRETURN l.family AS family, count(*) AS layers ORDER BY layers DESC"
)
LONGEST_SHARED = 2_000
"""Maximum number of characters of a statement in the address."""
LARGEST = 10**15
"""The largest number that a parameter may be."""
LONGEST_CELL = 1_000
"""Maximum number of characters of a value in the table."""


def render(space: str) -> None:
    """Draw the tab; ``space`` is the default of parameters of this name."""
    store = services.store()
    if not isinstance(store, CypherStore):
        _how_to_get_neo4j()
        return
    queries = {query.name: query for query in saved_queries()}
    wanted = st.query_params.get("saved", next(iter(queries)))
    shared = access.is_shared()
    names = [*queries] if shared else [*queries, OWN]
    chosen = st.selectbox(
        "Query",
        names,
        index=names.index(wanted) if wanted in names else 0,
        format_func=lambda name: queries[name].title if name else "Your own statement",
        key="cypher_query",
    )
    if shared:
        st.caption("Several people may use this app, so it offers the saved queries only.")
    if chosen != st.query_params.get("saved"):
        st.query_params["saved"] = chosen
    text, given, asked = _saved(queries[chosen], space) if chosen else _own()
    if asked:
        st.session_state.pop("cypher_answer", None)
        try:
            limits = st.session_state["cypher_rows"], float(st.session_state["cypher_seconds"])
            parameters = queries[chosen].values(given) if chosen else _own_parameters(str(given["parameters"]))
            with st.spinner("Running …"):
                answer = run_query(store, text, parameters, *limits)
            st.session_state["cypher_answer"] = (chosen, answer)
        except (InputError, StoreInputError) as error:
            # A code block, because the characters of a statement are not Markdown.
            st.error("The statement was not run, or did not finish:", icon=":material/error:")
            st.code(str(error), language=None, wrap_lines=True)
    kept = st.session_state.get("cypher_answer")
    if kept is not None and kept[0] == chosen:
        _show(kept[1], space)


def _how_to_get_neo4j() -> None:
    st.info("This store is a file; Cypher needs a Neo4j server. The Guided tab works on both.", icon=":material/info:")
    url = without_password(services.store_url())
    st.markdown(
        "Three commands copy the whole catalogue to a server of your own on this machine:\n\n"
        f"```\narchex neo4j start\narchex store copy {url} neo4j\narchex app --store neo4j\n```\n\n"
        "For another server give its address, for example `--store neo4j://HOST:7687`."
    )


def _limits() -> bool:
    """Draw row limit, time limit and the button; return whether it was pressed."""
    rows, seconds, button = st.columns([1, 1, 2], vertical_alignment="bottom")
    with rows:
        address.choice("Rows at most", ROW_LIMITS, "cypher_rows", ROW_LIMITS[1])
    with seconds:
        address.choice("Seconds at most", TIME_LIMITS_S, "cypher_seconds", TIME_LIMITS_S[1])
    return button.form_submit_button("Run", icon=":material/play_arrow:", type="primary")


def _saved(query: SavedQuery, space: str) -> tuple[str, dict[str, Any], bool]:
    st.markdown(query.explanation)
    with st.form(f"cypher_form_{query.name}", border=True):
        columns = st.columns(max(1, len(query.parameters)))
        given = {
            parameter.name: _field(column, parameter, query.name, space)
            for column, parameter in zip(columns, query.parameters, strict=False)
        }
        asked = _limits()
    with st.expander("Meaning of the columns"):
        st.markdown("\n".join(f"- **{name}**: {meaning}" for name, meaning in query.columns.items()))
    with st.expander("Statement"):
        st.code(query.text, language=None)
    return query.text, given, asked


def _field(place: Any, parameter: Parameter, query: str, space: str) -> Any:
    label, key = parameter.name.capitalize(), f"cypher_{query}_{parameter.name}"
    default: Any = parameter.default
    if parameter.name == "space":
        default = space
    elif parameter.default is None:
        default = st.query_params.get("id", "")
    with place:
        if parameter.type is ParameterType.TEXT:
            return address.text(label, key, default, help=f"It is {parameter.help}.")
        most = LARGEST if parameter.type is ParameterType.INTEGER else float(LARGEST)
        return address.number(label, key, -most, most, default, help=f"It is {parameter.help}.")


def _own() -> tuple[str, dict[str, Any], bool]:
    st.markdown("One reading statement; the server refuses to write. `docs/cypher.md` describes the graph.")
    with st.form("cypher_form", border=True):
        # The address fills the field, but only the button runs the statement.
        begin = address.read("statement", lambda text: True, "statement", LONGEST_SHARED) or EXAMPLE
        text = st.text_area("Cypher", value=begin, height=160, max_chars=LONGEST_TEXT, key="cypher_text")
        parameters = st.text_input(
            "Parameters", value="{}", max_chars=LONGEST_PARAMETERS, help="A JSON object.", key="cypher_parameters"
        )
        asked = _limits()
    if asked:
        address.write("statement", text if len(text) <= LONGEST_SHARED else None)
    return text, {"parameters": parameters}, asked


def _own_parameters(text: str) -> dict[str, Any]:
    found = parse_json(text or "{}", "parameters")
    if not isinstance(found, dict):
        raise DataError("parameters", "be a JSON object", found, 'Write for example {"k": 3}.')
    return found


def answer_frame(answer: Answer) -> pd.DataFrame:
    """Return the result as a table: numeric columns unchanged, all others as text."""
    columns = {}
    for position, name in enumerate(answer.columns):
        values = [row[position] for row in answer.rows]
        numbers = all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        )
        columns[name] = pd.Series(values if numbers else [_cell(value) for value in values], dtype=object)
        if numbers and any(value is not None for value in values):
            columns[name] = pd.to_numeric(columns[name].astype(object))
    return pd.DataFrame(columns)


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + "…"


def _show(answer: Answer, space: str) -> None:
    count = "1 row" if len(answer.rows) == 1 else f"{len(answer.rows):,} rows"
    more = "; further rows were left out" if answer.truncated else ""
    st.caption(f"{count} in {answer.seconds:.2f} s{more}")
    if not answer.rows:
        st.info("No rows.", icon=":material/search_off:")
        return
    table = answer_frame(answer)
    shown = table
    if "architecture" in table and "open" not in table:
        shown = table.assign(open=components.addresses(table["architecture"], space))
    order = ["open", *table.columns] if "open" not in table and "architecture" in table else list(table.columns)
    config = {"open": components.COLUMNS["link"]} if shown is not table else {}
    downloads.table(
        shown,
        "cypher",
        "cypher_table",
        table,
        column_order=order,
        column_config=config,
        hide_index=True,
        placeholder=components.UNKNOWN,
    )
