"""``--task-file`` and ``--data hub:`` of the command line."""

import json

import pytest

from explorer.training.metrics import levels_text

SPEC = {"l": 1, "o": ["l"], "h": [32], "n": [2], "f": [[64]], "p": ["dft"]}
RECIPE = {"base": "quick", "pretrain_steps": 8, "finetune_steps": 6, "finetune_seeds": 2, "tune_rates": [1e-3, 2e-3]}


@pytest.fixture(autouse=True)
def _files(tmp_path):
    """A text, a task of one's own, an architecture and a recipe in the folder that commands run in."""
    words = ("bad", "fair", "good")
    rows = [{"label": words[n % 3], "text": f"It is {words[n % 3]} in all {n}.", "reply": "So?"} for n in range(90)]
    (tmp_path / "text.txt").write_text("\n\n".join(f"{row['text']} And so it is said." for row in rows))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = {"name": "mine", "kind": "classification", "files": {"train": "rows.jsonl"}, "metric": "macro_f1"}
    task["columns"] = {"sentence": "text", "sentence2": "reply"}
    (tmp_path / "mine.yaml").write_text(json.dumps(task))
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "recipe.json").write_text(json.dumps({**RECIPE, "tune_steps": 5}))


@pytest.mark.slow
def test_an_own_task_is_trained_and_scored(archex):
    arguments = ("train", "spec.json", "--data", "text.txt", "--recipe", "recipe.json", "--task-file", "mine.yaml")
    code, printed, told = archex(*arguments, "--json")
    assert code == 0, told
    report = json.loads(printed)
    assert [(row["task"], row["metric"]) for row in report["scores"]] == [
        ("mine", "macro_f1"),
        ("mean", "mean of 1 tasks"),
    ]
    assert report["fidelity"] == "pretrain 8x8x32, finetune 6x8 of 160, tune 2x5, 2 seeds"
    assert report["scores"][0]["spread"] >= 0
    # Macro F1 of a constant answer to three classes, at most that of the most frequent third of the dev examples.
    assert 0 < report["scores"][0]["majority"] < 1 / 3
    code, printed, _ = archex(*arguments)
    assert code == 0
    assert "mine: macro_f1" in printed
    assert "±" in printed
    for row in report["scores"]:
        levels = levels_text(row["value"], row["majority"], row["chance"])
        assert f" s); {levels}\n" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task-file", "gone.yaml"], "gone.yaml"),
        (["--task-file", "text.txt"], "text.txt must"),
        (["--task-file", "mine.yaml", "--task", "mine"], "give your own by --task-file FILE"),
        (["--data", "hub:no-such/data-set", "--task", "CoLA"], "reachable"),
        (["--data", "nyu-mll/glue"], "for a data set of the hub write hub:NAME"),
    ],
    ids=["missing file", "no task file", "own task by name", "hub without network", "hub name without hub:"],
)
def test_what_is_wrong_is_told_in_one_line(archex, tmp_path, arguments, message):
    code, _, told = archex("train", "spec.json", "--recipe", "quick", *arguments)
    assert code == 2, told
    assert message in " ".join(told.split())
    assert "Traceback" not in told
    assert not (tmp_path / "explorer.db.files").exists()
