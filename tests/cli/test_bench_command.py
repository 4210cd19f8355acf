"""``archex bench``: what it refuses, and how it hands on what a benchmark says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import explorer
from explorer.cli.bench import benchmarks_folder
from explorer.cli.main import build
from explorer.errors import ExplorerError, InputError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree whose benchmark prints its arguments, and ends with the exit code it is told."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    script = "import json, sys\ndef main(): pass\nprint('working')\nprint(json.dumps({'got': sys.argv[1:]}))\n"
    (folder / "policies.py").write_text(script + "sys.exit(int(sys.argv[-1]) if sys.argv[1:] else 0)\n")
    monkeypatch.setattr(explorer, "__file__", str(tmp_path / "explorer" / "__init__.py"))
    return tmp_path


def bench(*words: str):
    return CliRunner().invoke(build("bench"), ["bench", *words])


def test_the_real_folder_has_the_benchmark() -> None:
    assert (benchmarks_folder() / "policies.py").is_file()


def test_options_are_handed_on_and_the_last_line_is_the_document(tree: Path) -> None:
    done = bench("policies", "--quick", "--json", "--seeds", "0")
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout) == {"got": ["--quick", "--seeds", "0"]}
    assert "working" in done.stderr


def test_without_json_all_is_shown(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = bench("policies")
    assert done.stdout == 'working\n{"got": []}\n'


def test_a_benchmark_that_does_not_exist_is_refused_with_the_names(tree: Path) -> None:
    done = bench("nothing")
    assert isinstance(done.exception, InputError)
    assert "policies" in str(done.exception)


def test_exit_codes_of_the_benchmark(tree: Path) -> None:
    refused, failed = bench("policies", "2"), bench("policies", "3")
    assert refused.exit_code == 2
    assert refused.output == "working\n" + '{"got": ["2"]}\n', "the benchmark has said why"
    assert isinstance(failed.exception, ExplorerError)
    assert not isinstance(failed.exception, InputError)
    assert "exit code 3" in str(failed.exception)


def test_an_installation_without_benchmarks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "__file__", str(tmp_path / "explorer" / "__init__.py"))
    with pytest.raises(InputError, match=r"benchmarks must be next to the package.*source tree"):
        benchmarks_folder()


def test_a_wheel_has_benchmarks_of_its_own(tree: Path) -> None:
    inside = tree / "explorer" / "_benchmarks"
    inside.mkdir(parents=True)
    (tree / "benchmarks" / "policies.py").rename(inside / "policies.py")
    (inside / "scored_tables.py").write_text("import numpy\n")
    assert benchmarks_folder() == inside
    assert bench("policies").exit_code == 0
    assert "be one of policies, but got 'scored_tables'" in str(bench("scored_tables").exception)
