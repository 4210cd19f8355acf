"""``--task-file`` and ``--data hub:`` of the command line."""

import json
import os
import subprocess
import sys

import pytest

SPEC = {"l": 1, "o": ["l"], "h": [32], "n": [2], "f": [[64]], "p": ["dft"]}
RECIPE = {"base": "quick", "pretrain_steps": 8, "finetune_steps": 6, "finetune_seeds": 2, "tune_rates": [1e-3, 2e-3]}


@pytest.fixture
def archex(tmp_path):
    """Runs the command line in a folder with a text, a task of one's own, an architecture and a recipe."""
    words = ("bad", "fair", "good")
    rows = [{"label": words[n % 3], "text": f"It is {words[n % 3]} in all {n}.", "reply": "So?"} for n in range(90)]
    (tmp_path / "text.txt").write_text("\n\n".join(f"{row['text']} And so it is said." for row in rows))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {"name": "mine", "kind": "classification", "files": {"train": "rows.jsonl"}, "metric": "macro_f1"}
    task["columns"] = {"sentence": "text", "sentence2": "reply"}
    (tmp_path / "mine.yaml").write_text(json.dumps(task))
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "recipe.json").write_text(json.dumps({**RECIPE, "tune_steps": 5}))

    def run(*arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        environment.pop("EXPLORER_STORE", None)
        command = [sys.executable, "-m", "explorer.cli.main", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)

    return run


@pytest.mark.slow
def test_an_own_task_is_trained_and_scored(archex):
    arguments = ("train", "spec.json", "--data", "text.txt", "--recipe", "recipe.json", "--task-file", "mine.yaml")
    done = archex(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [(row["task"], row["metric"]) for row in report["scores"]] == [
        ("mine", "macro_f1"),
        ("mean", "mean of 1 tasks"),
    ]
    assert report["fidelity"] == "pretrain 8x8x32, finetune 6x8 of 160, tune 2x5, 2 seeds"
    assert report["scores"][0]["spread"] >= 0
    again = archex(*arguments)
    assert again.returncode == 0
    assert "mine: macro_f1" in again.stdout
    assert "±" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task-file", "gone.yaml"], "gone.yaml"),
        (["--task-file", "text.txt"], "text.txt must"),
        (["--task-file", "mine.yaml", "--task", "mine"], "give your own by --task-file FILE"),
        (["--data", "hub:no-such/data-set", "--task", "CoLA"], "be reachable"),
        (["--data", "nyu-mll/glue"], "for a data set of the hub write hub:NAME"),
    ],
    ids=["missing file", "no task file", "own task by name", "hub without network", "hub name without hub:"],
)
def test_what_is_wrong_is_told_in_one_line(archex, tmp_path, arguments, message):
    done = archex("train", "spec.json", "--recipe", "quick", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "explorer.db.files").exists()
