"""``archex bench NAME``: run a benchmark; its last line is one JSON object with its figures."""

from __future__ import annotations

import argparse
import json as jsonlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import explorer
from explorer.cli.console import JsonOption, print_json, say
from explorer.errors import ExplorerError, InputError

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Unknown options are passed to the benchmark."""
USAGE = 2
"""Exit code of a benchmark for unknown options and other wrong input."""


def run_main(main: Callable[[], None]) -> None:
    """Run a benchmark's ``main`` and exit; its errors end as those of the command line do."""
    from explorer.cli.main import exit_code

    sys.exit(exit_code(main))


class OptionParser(argparse.ArgumentParser):
    """Parser of a benchmark's options; an error is one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit."""
        say(f"error: {message}. See --help.")
        sys.exit(USAGE)


def positive(text: str) -> int:
    """Return an option as a whole number above 0. Raises argparse's error, which names the option."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, but got {text[:100]!r}")
    return int(text)


def benchmarks_folder() -> Path:
    """Return the folder of the benchmarks: next to the package in its source tree, or the ones that a wheel has in it.

    Raises:
        InputError: the package was installed without benchmarks.
    """
    package = Path(str(explorer.__file__)).resolve().parent
    installed = package / "_benchmarks"
    folder = installed if installed.is_dir() else package.parent / "benchmarks"
    if not (folder / "policies.py").is_file():
        remedy = "They are only in the source tree: run the command there, with the package installed by `uv sync`."
        raise InputError("benchmarks", "be next to the package", str(folder), remedy)
    return folder


def bench(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="File name in benchmarks/ without suffix, for example policies or store.")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Smaller work, under a minute.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a benchmark; its last line of output has the figures as JSON.

    Other options are passed to the benchmark; ``archex bench policies -- --help`` shows them.
    """
    folder = benchmarks_folder()
    names = sorted(file.stem for file in folder.glob("*.py") if "def main(" in file.read_text(encoding="utf-8"))
    if name not in names:
        raise InputError("benchmark", f"be one of {', '.join(names)}", name, "Use one of these names.")
    command = [sys.executable, str(folder / f"{name}.py"), *(["--quick"] if quick else []), *context.args]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last = line
                if json:
                    say(line.rstrip("\n"))
                else:
                    sys.stdout.write(line)
                    sys.stdout.flush()
        except BaseException:
            process.terminate()
            raise
    if process.returncode == USAGE:  # The benchmark has said why.
        raise typer.Exit(USAGE)
    if process.returncode != 0:
        raise ExplorerError(f"the benchmark {name} ended with exit code {process.returncode}")
    if json:
        print_json(jsonlib.loads(last))
