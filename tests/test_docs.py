"""What the documents name exists: files, modules with their members, commands with their options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
import typer

from explorer.cli.main import build

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = ("explorer", "graphstore", "benchmarks", "data", "docs", "tests", ".ci")
SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def spans(page: Path) -> Iterator[str]:
    """Code within the lines of a page."""
    yield from SPAN.findall(FENCE.sub("", page.read_text()))


def lines(page: Path) -> Iterator[str]:
    """Command lines: those of the code blocks, continued ones joined, and code within lines."""
    for block in FENCE.findall(page.read_text()):
        yield from block.replace("\\\n", " ").splitlines()
    yield from spans(page)


def names(page: Path) -> Iterator[str]:
    for span in spans(page):
        yield from span.split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_files_exist(page):
    missing = []
    for name in names(page):
        path = name.rstrip("/,.;:").partition("::")[0]
        is_pattern = re.search(r"[*<>{}…]|[A-Z]{2,}/", path)
        if path.startswith(tuple(f"{folder}/" for folder in FOLDERS)) and not is_pattern:
            missing += [] if (ROOT / path).exists() else [name]
    assert missing == []


@cache
def members(path: Path) -> set[str]:
    """The names that a module or a class in it defines or imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return found


def exists(dotted: str) -> bool:
    place, parts = ROOT, dotted.split(".")
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    module = place / f"{parts[0]}.py" if parts and (place / f"{parts[0]}.py").is_file() else place / "__init__.py"
    rest = parts[1:] if module.name != "__init__.py" else parts
    return module.is_file() and all(part in members(module) for part in rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_modules_exist(page):
    text = page.read_text()
    named = set(re.findall(r"(?<![\w./-])((?:explorer|graphstore)(?:\.[A-Za-z_]\w*)+)(?![\w/(])", text))
    named -= {name for name in named if name.endswith((".db", ".files")) or "mutmut" in name}
    assert sorted(name for name in named if not exists(name)) == []


@cache
def command_line() -> click.Group:
    return typer.main.get_group(build())


def options_of(command: click.Command) -> set[str]:
    return {text for one in command.params for text in (*one.opts, *one.secondary_opts)} | {"--help"}


def subcommands(command: click.Command) -> dict[str, click.Command]:
    return getattr(command, "commands", {})


@cache
def all_options() -> set[str]:
    """The options of every command, and those of the benchmarks, which pages name as well."""
    found, left = set(), [command_line()]
    while left:
        command = left.pop()
        found |= options_of(command)
        left += subcommands(command).values()
    for path in (ROOT / "benchmarks").glob("*.py"):
        found |= set(re.findall(r'"(--[a-z][a-z-]*)"', path.read_text()))
    return found


def unknown(words: list[str]) -> list[str]:
    """The subcommand or the options of an ``archex`` command line that do not exist."""
    command = command_line()
    while words and words[0] in subcommands(command):
        command = subcommands(command)[words.pop(0)]
    if words and words[0].isalpha() and words[0].islower() and subcommands(command) and not command.params:
        return [words[0]]
    if command.context_settings.get("ignore_unknown_options"):
        return []
    given = [word.strip("[]").partition("=")[0] for word in words if word.lstrip("[").startswith("--")]
    return [word for word in given if word not in options_of(command)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_commands_and_options_exist(page):
    wrong = []
    for line in lines(page):
        found = re.search(r"(?:^|\s)archex\s+(\S.*)", line.partition(" #")[0])
        if found:
            wrong += [f"{line}: {word}" for word in unknown(found[1].split())]
    alone = [words[0].partition("=")[0].rstrip(",.") for span in spans(page) if (words := span.split())]
    wrong += [option for option in alone if re.fullmatch(r"--[a-z][a-z-]*", option) and option not in all_options()]
    assert wrong == []


def test_what_does_not_exist_is_found():
    assert unknown(["search", "status", "mine", "--store", "x", "--json"]) == []
    assert unknown(["search", "status", "--sunny=1", "--json"]) == ["--sunny"]
    assert unknown(["space", "bild", "nano"]) == ["bild"]
    assert unknown(["bench", "policies", "--quick"]) == []
    assert exists("explorer.study.Study")
    assert exists("explorer.similarity.kernel")
    assert not exists("explorer.study.Stud")
    assert not exists("explorer.studying")
