"""The project keeps its own rules: style, types, one-way imports, short files, pinned versions, no hosts."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
HOSTS = re.compile(r"pypi\.org|pythonhosted|npmjs|maven\.org|maven\.apache\.org/maven2|debian\.org", re.IGNORECASE)


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)


def own_files(*suffixes):
    skipped = {".venv", ".git", "artifacts", "build", "dist"}
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        made = any(part.endswith((".files", "_cache", "__pycache__")) for part in inside)
        if path.suffix in suffixes and path.is_file() and not made and not skipped & set(inside):
            yield path


@pytest.mark.parametrize(
    "command",
    [
        [str(BIN / "ruff"), "check", "."],
        [str(BIN / "ruff"), "format", "--check", "."],
        [str(BIN / "mypy")],
        [str(BIN / "lint-imports")],
    ],
    ids=["style", "format", "types", "imports"],
)
def test_checkers_find_nothing(command):
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_can_be_read_in_a_sitting():
    long = {str(p.relative_to(ROOT)): n for p in own_files(".py") if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


def test_pip_and_uv_get_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert project["tool"]["uv"]["constraint-dependencies"] == pins
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    extras = project["project"]["optional-dependencies"].values()
    wanted = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *(w for e in extras for w in e),
    ]
    names = {re.split(r"[><=\[ ]", line)[0].lower().replace("_", "-") for line in wanted}
    assert names <= pinned


def test_no_file_names_a_registrys_host():
    named = [
        str(path.relative_to(ROOT))
        for path in own_files(".py", ".toml", ".txt", ".md", ".yaml", ".yml", ".xml", ".json")
        if path != Path(__file__) and HOSTS.search(path.read_text(errors="replace"))
    ]
    assert named == []


def test_the_readme_gives_the_two_commands_and_ci_runs_the_second():
    readme = (ROOT / "README.md").read_text()
    assert "pip install -q uv && uv run archex demo" in readme
    assert "pip install -q uv && uv run pytest" in readme
    assert "pip install -q uv && uv run pytest" in (ROOT / ".ci" / "run").read_text()


def test_every_shown_picture_is_there():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} points to {target}"
