"""Only ``explorer.documents`` parses what people write; other modules parse files that a program wrote for them."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARSERS = {
    *("json.load", "json.loads", "json.JSONDecoder", "csv.reader", "csv.DictReader", "csv.Sniffer"),
    *("yaml.load", "yaml.safe_load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "yaml.safe_load_all"),
    *("pandas.read_csv", "pandas.read_json", "pandas.read_excel", "pandas.read_table"),
    *("numpy.loadtxt", "numpy.genfromtxt", "tomllib.load", "tomllib.loads"),
}
THE_READER = "explorer/documents/"
OWN_FILES = "a file of a training, a model or a space, which this package wrote"
EXCEPTIONS = {
    "graphstore/": "records of the store, and files of a server that the store manages",
    "explorer/testing/": "answers of the suites' own processes",
    "explorer/training/backend.py": OWN_FILES,
    "explorer/training/checkpoints.py": OWN_FILES,
    "explorer/training/distributed.py": OWN_FILES,
    "explorer/training/prepared.py": OWN_FILES,
    "explorer/training/text.py": OWN_FILES,
    "explorer/training/tokenizer.py": OWN_FILES,
    "explorer/supershaper/folder.py": OWN_FILES,
    "explorer/supershaper/text.py": OWN_FILES,
    "explorer/library/card.py": OWN_FILES,
    "explorer/library/exporting.py": OWN_FILES,
    "explorer/studies/donors.py": OWN_FILES,
    "explorer/similarity/kernel.py": "state of a kernel in the store",
    "explorer/studies/demo.py": "an architecture in the store",
    "explorer/studies/worker.py": "the order that the coordinator gives its worker",
    "explorer/measure/memory.py": "question and answer of a child process",
    "explorer/cli/bench.py": "the last line of a benchmark",
    "explorer/models/": "files of a checkpoint, written by transformers",
    "benchmarks/policies.py": "the benchmark's own cache",
    "benchmarks/supernet.py": "the benchmark's own cache",
    "benchmarks/transfer.py": "the benchmark's own cache",
    "benchmarks/training.py": "output of the benchmark's own process",
    "benchmarks/app.py": "messages of the browser",
}
"""Files or folders that may parse, and what: none of it is written by people."""
NAMES = {"pd": "pandas", "np": "numpy"}


def calls(path: Path):
    """Names of the parsers that a module calls, with their lines; copies through JSON do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = dict(NAMES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, _, rest = ast.unparse(node.func).partition(".")
        name = ".".join(filter(None, (named.get(first, first), rest)))
        copied = node.args and ast.unparse(node.args[0]).startswith(("json.dumps(", "jsonlib.dumps("))
        if name in PARSERS and not copied:
            yield node.lineno, name


def modules():
    for folder in ("explorer", "graphstore", "benchmarks"):
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield ROOT / "streamlit_app.py"


def test_people_are_read_by_the_one_reader():
    found = {path.relative_to(ROOT).as_posix(): list(calls(path)) for path in modules()}
    found = {name: lines for name, lines in found.items() if lines and not name.startswith(THE_READER)}
    assert {name: lines for name, lines in found.items() if not name.startswith(tuple(EXCEPTIONS))} == {}
    idle = [exception for exception in EXCEPTIONS if not any(name.startswith(exception) for name in found)]
    assert idle == [], "an exception that nothing needs"


def test_a_parser_is_found_under_any_name(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import json as j, csv\nfrom yaml import safe_load as read\nimport pandas as pd\n"
        "j.loads(x)\nread(x)\ncsv.reader(x)\npd.read_csv(x)\nj.loads(json.dumps(x))\nj.dumps(x)\n"
    )
    assert list(calls(path)) == [(4, "json.loads"), (5, "yaml.safe_load"), (6, "csv.reader"), (7, "pandas.read_csv")]
