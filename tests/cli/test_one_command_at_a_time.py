"""A command is assembled alone; that must not show."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from explorer.cli.main import COMMANDS, GROUPS, build


@pytest.fixture(scope="module")
def all_commands() -> typer.Typer:
    return build()


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_alone_a_command_is_what_it_is_among_all(name: str, all_commands: typer.Typer):
    apps = (build(name), all_commands)
    texts = [CliRunner().invoke(app, [name, "--help"], prog_name="archex").output for app in apps]
    assert texts[0] == texts[1]
    assert f"archex {name}" in texts[0]


def test_other_words_show_all_commands():
    for only in ("", "--help", "nosuch"):
        assert set(get_command(build(only)).commands) == {*COMMANDS, *GROUPS}  # type: ignore[attr-defined]


def test_a_small_command_imports_no_training():
    code = (
        "import sys; sys.argv = ['archex', 'params', 'bert-mini', '--json']\n"
        "from explorer.cli.main import _run\n_run()\n"
        "heavy = {'torch', 'transformers', 'streamlit', 'sklearn', 'networkx'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
