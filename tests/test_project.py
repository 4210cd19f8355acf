"""The project keeps its own rules: style, types, one-way imports, files in their folders, pinned versions, no hosts."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LONG = {
    "explorer/models/flexibert/modeling_flexibert.py",
    "explorer/models/flexibert/configuration_flexibert.py",
}
"""Files that may exceed 400 lines: Hugging Face's layout holds a whole model in one file, which an export copies."""
HOSTS = re.compile(r"pypi\.org|pythonhosted|npmjs|maven\.org|maven\.apache\.org/maven2|debian\.org", re.IGNORECASE)


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)


def own_files(*suffixes):
    skipped = {".venv", ".git", "artifacts", "build", "dist"}  # at the top only: explorer/app/build is a page
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT).parts
        made = any(part.endswith((".files", "_cache", "__pycache__")) for part in inside)
        if path.suffix in suffixes and path.is_file() and not made and inside[0] not in skipped:
            yield path


@pytest.mark.parametrize(
    "command",
    [
        [str(BIN / "mypy")],
        [str(BIN / "lint-imports")],
        [str(BIN / "ruff"), "check", "."],
        [str(BIN / "ruff"), "format", "--check", "."],
    ],
    ids=["types", "imports", "style", "format"],
)
def test_checkers_find_nothing(command):
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_can_be_read_in_a_sitting():
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in own_files(".py")}
    assert {name: count for name, count in lengths.items() if count > 400 and name not in LONG} == {}


def test_no_folder_of_the_packages_is_crowded():
    """No folder of the packages holds more than 25 modules; the command line has one for each command."""
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in own_files(".py"))
    large = {name for name, count in counts.items() if count > 25 and name.startswith(("explorer", "graphstore"))}
    assert large <= {"explorer/cli"}


def test_every_folder_of_a_package_is_one():
    folders = {path.parent for path in own_files(".py")}
    packages = [folder for folder in folders if folder.relative_to(ROOT).parts[:1] in (("explorer",), ("graphstore",))]
    assert [str(folder) for folder in packages if not (folder / "__init__.py").is_file()] == []


def test_a_module_with_one_importer_is_in_its_folder():
    """Within a room, such as ``explorer.search``; modules of lower rooms stay in the room of their subject."""
    graph = grimp.build_graph("explorer", "graphstore", cache_dir=None)
    packages = {module.rpartition(".")[0] for module in graph.modules}
    elsewhere = (ROOT / "streamlit_app.py").read_text()
    misplaced = []
    for module in sorted(graph.modules - packages):
        importers = graph.find_modules_that_directly_import(module)
        if len(importers) != 1 or module in elsewhere:
            continue
        (importer,) = importers
        folder = importer if importer in packages else importer.rpartition(".")[0]
        if importer.split(".")[:2] == module.split(".")[:2] and not module.startswith(f"{folder}."):
            misplaced.append(f"{module} is imported by {importer} only")
    assert misplaced == []


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
