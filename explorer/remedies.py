"""Remedies that name commands and options: of the store's errors, and of errors that Python and the app see as well."""

from __future__ import annotations

import shlex

from explorer.errors import Advice, InputError, Remedy, Ways
from explorer.library.workplace import DEFAULT_STORE
from graphstore.errors import Code, StoreError

COMMANDS = {
    Code.NO_STORE: "Make one with `archex space build nano{store}`, or name another with --store.",
    Code.OLD_LAYOUT: "Run `archex store migrate{store}`.",
    Code.INCONSISTENT: "See `archex store check{store}`.",
    Code.UNKNOWN_SPACE: "Build one, for example with `archex space build nano{store}`.",
    Code.UNKNOWN_STUDY: "See `archex studies{store}`.",
    Code.UNKNOWN_JOB: "The app's Jobs page lists all jobs.",
    Code.UNKNOWN_QUERY: "See `archex cypher --list{store}`.",
    Code.NO_CYPHER: "Use `archex find{store}`, or copy the catalogue to a server: `archex store copy {url} neo4j`.",
}
"""Remedies of the store's errors, which does not know the commands of this package."""
OPTIONS = {
    Remedy.OTHER_KERNEL: "Leave --kernel out, or give the new library another name with --name.",
    Remedy.CHEAPER_KERNEL: "Use --kernel views, or a smaller space.",
    Remedy.KERNEL_HOURS: "Use --kernel views, or a smaller space, or raise --max-kernel-hours.",
    Remedy.COARSER_LEVEL: "Use --layers-per-stack {level}, a coarser level.",
    Remedy.GLUE_FOLDER: "Give --data DIR, the folder that holds one folder per task, or --data {hub}.",
    Remedy.GLUE_NAME: "Check the name, or give a folder with GLUE's files by --data DIR.",
    Remedy.GLUE_OFFLINE: "Go online once so that it is cached, or give a folder with GLUE's files by --data DIR.",
    Remedy.OWN_TASK: "{known} give your own by --task-file FILE.",
    Remedy.SAMPLE_SHAPES: "Name some, or give --sample N.",
    Remedy.UNTIED: "Add --untied.",
    Remedy.ONE_METRIC: "Name one metric, the first part of each, as in --objective '{task}:{metric}'.",
    Remedy.ONE_KIND: "Add {ways}",
    Remedy.ONE_FIDELITY: "Choose one kind by --fidelity, the third part of each.",
    Remedy.ONE_ORIGIN: "Choose one kind by --origin, the last part of each.",
    Remedy.SHARED_STORE: "Use a Neo4j server by its network name (archex store copy moves a store there); or, where "
    "all nodes are containers of one machine that share the file, say so by --shared-store.",
    Remedy.MEASURE_MORE: "Measure more: `archex measure --missing --space SPACE`.",
    Remedy.SUPERNET_SPACE: "Search a space of `archex supernet evaluate FOLDER --store URL`.",
    Remedy.DELIMITER: "State it with --delimiter {sign!r}.",
    Remedy.ENCODING: "Save it as UTF-8, or state --encoding {encoding}.",
    Remedy.DECIMAL: "Correct the value, or state --decimal ',' or --decimal '.', the sign of the table's numbers.",
    Remedy.EXTEND: "Extend it first, for example `archex search extend {study} --budget {budget}`.",
}
"""The words of the command line for each remedy that names a setting."""


def by_options(error: InputError) -> str:
    """Return the remedy of an error in the words of the command line."""
    return in_options(error.remedy)


def in_options(remedy: str) -> str:
    """Return a remedy in the words of the command line."""
    if not isinstance(remedy, Advice):
        return remedy
    values = {name: _options(value) if isinstance(value, Ways) else value for name, value in remedy.values.items()}
    return OPTIONS[remedy.code].format(**values)


def _options(ways: Ways) -> str:
    return "; or ".join(" ".join(f"--{name} {shlex.quote(value)}" for name, value in way.items()) for way in ways)


def with_remedy(error: object, url: str = "") -> str:
    """Return an error's message, with the command to run where the error has a code.

    Args:
        error: the error.
        url: the store that the user named, for errors that do not say it; empty for the default one.
    """
    if not isinstance(error, StoreError) or error.code is None:
        return str(error)
    named = error.url or url
    remedy = COMMANDS[error.code].format(store=f" --store {named}" if named else "", url=named or DEFAULT_STORE)
    return f"{error} {remedy}"
