"""``archex bench NAME``: run a benchmark of the source tree; its last line is one JSON object with its figures."""

from __future__ import annotations

import json as jsonlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import explorer
from explorer.cli.console import JsonOption, print_json, say
from explorer.errors import ExplorerError, InputError

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Options this command does not have are the benchmark's."""
USAGE = 2
"""Exit code of a benchmark that was given options it does not have."""


def benchmarks_folder() -> Path:
    """Where the benchmarks are: beside the package, in its source tree.

    Raises:
        InputError: the package was installed without them.
    """
    folder = Path(str(explorer.__file__)).resolve().parents[1] / "benchmarks"
    if not (folder / "policies.py").is_file():
        remedy = "They are in the source tree only: run the command there, with the package installed by `uv sync`."
        raise InputError("benchmarks", "be beside the package", str(folder), remedy)
    return folder


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which one: a file of benchmarks/, for example policies or store.")],
    quick: Annotated[bool, typer.Option("--quick", help="Smaller work, under a minute.")] = False,
    json: JsonOption = False,
) -> None:
    """Run a benchmark: side by side with what it is compared to, and with its figures in the last line.

    Other options are handed on to it; ``archex bench policies -- --help`` shows them.
    """
    folder = benchmarks_folder()
    names = sorted(file.stem for file in folder.glob("*.py"))
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
    if process.returncode == USAGE:
        remedy = f"See `archex bench {name} -- --help`."
        raise InputError(f"options of {name}", "be ones it takes, as it says above", list(context.args), remedy)
    if process.returncode != 0:
        raise ExplorerError(f"the benchmark {name} ended with exit code {process.returncode}")
    if json:
        print_json(jsonlib.loads(last))
