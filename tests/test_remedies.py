"""A remedy that names a value or a command works when it is followed literally.

``CASES`` follows remedies: a wrong input raises the error, what its remedy names takes the input's place, and that must
succeed. ``NAMES_NOTHING`` has the others with the reason. A remedy in the source that is in neither fails a test.
"""

from __future__ import annotations

import ast
import functools
import pickle
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
from explorer.errors import Advice, DataError, InputError, Remedy, SpecError

from .remedy_cases import CASES

NEEDS = "it needs what the machine of the tests does not have"
NO_VALUE = "it names an option or a place, and no value"
TRAINS = "the command takes minutes; the last but one test checks that it could be run"
NAMES_NOTHING = {
    "Build one with `archex space build nano`.": TRAINS,
    "Run `archex space build {}`.": TRAINS,
    "Run `archex space build FILE` with its YAML file, or repeat its import.": NO_VALUE,
    "Run its command again.": NO_VALUE,
    "They are only in the source tree: run the command there, with the package installed by `uv sync`.": NO_VALUE,
    "Choose one kind by --fidelity, the third part of each.": NO_VALUE,
    "Choose one kind by --origin, the last part of each.": NO_VALUE,
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
    "If so, write scale: fraction into the mapping": "a note and no error",
    "Run `git lfs pull` in its folder, or download the file.": NEEDS,
    "Write [{}]": "the tests of readers follow it",
    "Give its id, for example trial.architecture.": "the tests of ask and tell queue architectures so",
    "Choose one of them; `archex best` shows what they scored.": NO_VALUE,
    "Leave --kernel out, or give the new library another name with --name.": NO_VALUE,
    "Measure more: `archex measure --missing --space SPACE`.": TRAINS,
    "Check the name; where the hub can be reached, run `{}`, and name that folder here.": NEEDS,
    "Install it with `pip install 'architecture-explorer[transport]'`, or choose another method.": NEEDS,
    "Run `pip install kaleido`, or save as .html.": NEEDS,
    "Install it with `pip install 'architecture-explorer[search]'`, or choose another policy.": NEEDS,
    "Use --kernel views, or a smaller space.": NO_VALUE,
    "Use --kernel views, or a smaller space, or raise --max-kernel-hours.": NO_VALUE,
    "State it with delimiter: {} in {}.": "tests of mappings and of task files state it",
    "Save it as UTF-8, or state encoding: {} in {}.": "tests of tables state it",
    "Write it per head.": NO_VALUE,
    "Give for example a run's folder pretrained/.": NO_VALUE,
    "Start one by `ray start --head`; for ray:// also run: pip install 'ray[client]'": NEEDS,
    "Run: pip install 'architecture-explorer[cluster]'": NEEDS,
    "Choose one of them; `archex devices` lists what was measured.": NO_VALUE,
    "Wait for it, run `archex search stop {}`, or choose another study name.": "tests of jobs stop a running search",
    "Search a space of `archex supernet evaluate FOLDER --store URL`.": TRAINS,
    "Run `archex supernet train {}`.": TRAINS,
    "Name some, or give --sample N.": NO_VALUE,
    "Write one setting per line.": NO_VALUE,
    "Give --data DIR, the folder that holds one folder per task, or --data {}.": NEEDS,
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
    remedy = remedies.by_options(caught.value)
    assert any(pattern(part).fullmatch(remedy) for part in case.template.split(" || ")), remedy
    named = case.take(remedy)
    assert named, remedy
    for value in named:
        case.follow(world, value)


def pattern(template: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, template.split("{}"))))


CONCRETE = re.compile(
    r"`|--\w|for example|\b[Ww]rite\b|\bRun\b|such as|Rename them|\b[Ss]tate\b|^Name one metric|"
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
    found |= {re.sub(r"\{[^}]*\}", "{}", text) for text in remedies.OPTIONS.values()}
    return {text for text in found if CONCRETE.search(text)}


def test_every_remedy_that_names_a_value_or_a_command_is_followed():
    known = {case.template for case in CASES} | NAMES_NOTHING.keys()
    assert concrete() - known == set(), "add a case to CASES, or a reason to NAMES_NOTHING"
    assert known - concrete() == set(), "no error has these remedies any more"
    assert {case.template for case in CASES} & NAMES_NOTHING.keys() == set()


def named_commands() -> list[str]:
    texts = [*concrete(), *remedies.COMMANDS.values()]
    return sorted({command for text in texts for command in re.findall(r"`(archex [^`]+)`", text)})


@pytest.mark.parametrize("command", named_commands())
def test_a_command_that_a_remedy_names_could_be_run(command):
    """Its words are commands and options of the command line, and no argument is missing."""
    filled = command.replace("{store}", " --store URL").replace("{}", "4").replace("{url}", "URL")
    found: typer.main.TyperGroup | typer.main.TyperCommand = typer.main.get_command(build(shlex.split(filled)[1]))  # type: ignore[assignment]
    words = shlex.split(filled)[1:]
    while hasattr(found, "commands") and words and words[0] in found.commands:
        found = found.commands[words.pop(0)]
    context = found.make_context(command, [word for word in words if word != "--"], resilient_parsing=False)
    assert context is not None


OPTION = re.compile(r"(?<![\w-])--(?=[a-z]|$)")
QUOTING_OPTIONS = {
    "explorer/remedies.py": "the words of the command line",
    "explorer/library/importing.py": "a refused row quotes the command that undoes an earlier import",
    "explorer/models/checkpoint.py": "a remedy quotes a command of the hub",
    "explorer/studies/executors/ray_cluster.py": "a remedy quotes a command of Ray",
    "explorer/studies/executors/local.py": "starts workers",
    "explorer/studies/jobs.py": "starts jobs",
    "explorer/studies/worker.py": "is started by executors",
    "explorer/training/distributed.py": "starts torch's launcher",
}
"""Modules below the command line and the app whose texts have options, and why."""


def texts_with_options(path: Path) -> list[str]:
    """Texts of a module that name options, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [text.value for text in texts if id(text) not in documentation and OPTION.search(str(text.value))]


def test_only_the_command_line_names_its_options():
    """People who use Python or the app see arguments; ``explorer.remedies`` translates them to options."""
    below = [path for path in SOURCES.rglob("*.py") if path.relative_to(SOURCES).parts[0] not in ("cli", "app")]
    found = {path.relative_to(SOURCES.parent).as_posix(): texts_with_options(path) for path in below}
    assert {path: texts for path, texts in found.items() if texts and path not in QUOTING_OPTIONS} == {}
    assert {path for path in QUOTING_OPTIONS if not found[path]} == set()


@pytest.mark.parametrize("code", Remedy)
def test_both_wordings_of_a_remedy_need_the_same_values(code):
    """The command line may need more of them, such as the name of a study, which Python's caller knows."""
    named = [set(re.findall(r"\{(\w+)", text)) for text in (code.value, remedies.OPTIONS[code])]
    assert named[0] <= named[1]


def test_an_error_keeps_both_wordings_on_its_way():
    """Through a place that is added, a class that is changed, and a worker process that it leaves."""
    error = SpecError("size", "be small", 9, Advice(Remedy.COARSER_LEVEL, level=4)).at("mine.yaml")
    for one in (error, DataError.of(error), pickle.loads(pickle.dumps(error))):
        assert str(one) == "mine.yaml: size must be small, but got 9. Use layers_per_stack=4, a coarser level."
        assert remedies.by_options(one) == "Use --layers-per-stack 4, a coarser level."
        assert one.message("Stop.") == "mine.yaml: size must be small, but got 9. Stop."
