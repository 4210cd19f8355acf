"""A remedy that names a value or a command works when it is followed literally.

``CASES`` follows remedies: a wrong input raises the error, what its remedy names takes the input's place, and that must
succeed. ``NAMES_NOTHING`` has the others with the reason. A remedy in the source that is in neither fails a test.
"""

from __future__ import annotations

import ast
import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

import explorer
from explorer import remedies
from explorer.cli.main import build
from explorer.errors import InputError

from .remedy_cases import CASES

NEEDS = "it needs what the machine of the tests does not have"
NO_VALUE = "it names an option or a place, and no value"
TRAINS = "the command takes minutes; the last but one test checks that it could be run"
NAMES_NOTHING = {
    "Build one with `archex space build nano`.": TRAINS,
    "Run `archex space build {}`.": TRAINS,
    "Run `archex space build FILE` with its YAML file, or repeat its import.": NO_VALUE,
    "Run `archex search extend {} --budget {}`.": "the app's launching tests extend such a study",
    "Run its command again.": NO_VALUE,
    "They are only in the source tree: run the command there, with the package installed by `uv sync`.": NO_VALUE,
    "Choose one kind by --fidelity, the third part of each.": NO_VALUE,
    "Choose one kind by --origin, the last part of each.": NO_VALUE,
    "Import one kind into another --store, and search there.": NO_VALUE,
    "Leave --job out; only the app uses it.": NO_VALUE,
    "Run for example `archex measure BERT-Mini`.": TRAINS,
    "Write maximise:{} or minimise:{}.": "a note and no error",
    "Write the subcommand first.": NO_VALUE,
    "Write the value out.": NO_VALUE,
    "Free some space, or write elsewhere with `archex store backup FILE`.": NO_VALUE,
    "Train it first: `archex train {}`.": TRAINS,
    "Run `archex export {} FOLDER` where the store is.": NEEDS,
    "Run `archex import edgetran {}`.": "followed in the tests of the imports",
    "Run `archex import nas-bench-bert {}`.": "followed in the tests of the imports",
    "Choose an even number, or write the layer per head.": NO_VALUE,
    "Run it to its end first.": NO_VALUE,
    "Use a Neo4j server by its network name (archex store copy moves a store there); or, where all nodes are "
    "containers of one machine that share the file, say so by --shared-store.": NEEDS,
    "if they are fractions, write scale: fraction into the mapping": "a note and no error",
    "Check the id, or --store.": NO_VALUE,
    "Choose one of them; `archex best` shows what they scored.": NO_VALUE,
    "Leave --kernel out, or give the new library another name with --name.": NO_VALUE,
    "Choose another --space.": NO_VALUE,
    "Measure more: `archex measure --missing --space SPACE`.": TRAINS,
    "Check the name; where the hub can be reached, run `{}`, and name that folder here.": NEEDS,
    "Install it with `pip install 'architecture-explorer[transport]'`, or choose another method.": NEEDS,
    "Run `pip install kaleido`, or save as .html.": NEEDS,
    "Install it with `pip install 'architecture-explorer[search]'`, or choose another policy.": NEEDS,
    "{}, or raise --max-kernel-hours.": NO_VALUE,
    "Write it per head.": NO_VALUE,
    "Give for example a run's folder pretrained/.": NO_VALUE,
    "Install the same packages on every machine, and put --data at the same path.": NO_VALUE,
    "Start one by `ray start --head`; for ray:// also run: pip install 'ray[client]'": NEEDS,
    "Run: pip install 'architecture-explorer[cluster]'": NEEDS,
    "Choose one of them; `archex devices` lists what was measured.": NO_VALUE,
    "Wait for it, run `archex search stop {}`, or choose another --study.": "tests of jobs stop a running search",
    "Search a space of `archex supernet evaluate FOLDER --store URL`.": TRAINS,
    "Run `archex supernet train {}`.": TRAINS,
    "Name some, or give --sample N.": NO_VALUE,
    "Write one setting per line.": NO_VALUE,
    "Give --data DIR, the folder that holds one folder per task, or --data {}{}.": NEEDS,
    "Check the path; for a data set of the hub write {}NAME, for example {}{}.": NEEDS,
    "Check the name, or give a folder with GLUE's files by --data DIR.": NO_VALUE,
    "Go online once so that it is cached, or give a folder with GLUE's files by --data DIR.": NO_VALUE,
}
"""Remedies that are not followed, and why."""


@pytest.fixture
def world(store, tmp_path, archex) -> SimpleNamespace:
    """A store with a space ``small`` and scores ``known``, a folder, and a way to run commands."""
    return SimpleNamespace(store=store, path=tmp_path, archex=archex)


@pytest.mark.parametrize("case", CASES, ids=[case.template[:60] for case in CASES])
def test_a_remedy_followed_literally_works(world, case):
    with pytest.raises(InputError) as caught:
        case.wrong(world)
    remedy = caught.value.remedy
    assert any(pattern(part).fullmatch(remedy) for part in case.template.split(" || ")), remedy
    named = case.take(remedy)
    assert named, remedy
    for value in named:
        case.follow(world, value)


def pattern(template: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, template.split("{}"))))


CONCRETE = re.compile(
    r"`|--\w|for example|\b[Ww]rite\b|\bRun\b|such as|Rename them|State it|^Name one metric|"
    r"^Use (\{\}|[\w.]*\d|--|bfloat)|^Add --"
)
"""What a remedy has that names a value or a command."""
SOURCES = Path(explorer.__file__).parent


def template(node: ast.expr) -> str | None:
    """A text with ``{}`` for what is filled in, and alternatives joined by ``||``; ``None`` if it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    if isinstance(node, ast.BinOp):
        left, right = template(node.left), template(node.right)
        return f"{left or '{}'}{right or '{}'}" if left or right else None
    if isinstance(node, ast.IfExp):
        return " || ".join(filter(None, (template(node.body), template(node.orelse)))) or None
    return None


def remedies_of(path: Path) -> Iterator[str]:
    """Templates of the remedies of a module: of its errors, and what is assigned to or returned as a remedy."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found: ast.expr | None = None
        if isinstance(node, ast.Call) and (match := re.search(r"(Error|Flaw)$|Error\.about$", ast.unparse(node.func))):
            place = 2 if match[1] == "Flaw" else 5 if ".about" in match[0] else 3
            found = node.args[place] if len(node.args) > place else None
        elif isinstance(node, ast.Assign) and any("remedy" in ast.unparse(one).lower() for one in node.targets):
            found = node.value
        elif isinstance(node, ast.FunctionDef) and "remedy" in node.name:
            yield from (
                text
                for one in ast.walk(node)
                if isinstance(one, ast.Return) and one.value and (text := template(one.value))
            )
        if found is not None and (text := template(found)):
            yield text


@functools.cache
def concrete() -> set[str]:
    found = {text for path in SOURCES.rglob("*.py") for text in remedies_of(path)}
    return {text for text in found if CONCRETE.search(text)}


def test_every_remedy_that_names_a_value_or_a_command_is_followed():
    known = {case.template for case in CASES} | NAMES_NOTHING.keys()
    assert concrete() - known == set(), "add a case to CASES, or a reason to NAMES_NOTHING"
    assert known - concrete() == set(), "no error has these remedies any more"
    assert {case.template for case in CASES} & NAMES_NOTHING.keys() == set()


def named_commands() -> list[str]:
    texts = [*concrete(), *remedies._REMEDIES.values()]
    return sorted({command for text in texts for command in re.findall(r"`(archex [^`]+)`", text)})


@pytest.mark.parametrize("command", named_commands())
def test_a_command_that_a_remedy_names_could_be_run(command):
    """Its words are commands and options of the command line, and no argument is missing."""
    filled = command.replace("{store}", " --store URL").replace("{}", "4").replace("{url}", "URL")
    found: typer.main.TyperGroup | typer.main.TyperCommand = typer.main.get_command(build())  # type: ignore[assignment]
    words = shlex.split(filled)[1:]
    while hasattr(found, "commands") and words and words[0] in found.commands:
        found = found.commands[words.pop(0)]
    context = found.make_context(command, [word for word in words if word != "--"], resilient_parsing=False)
    assert context is not None
