"""The command line: one JSON document on standard output, one clear line and exit code 2 for bad input."""

import json
import subprocess
import sys

import pytest

from explorer.cli.main import build

SPEC = {"l": 2, "o": ["sa", "l"], "h": [64, 32], "n": [2, 4], "f": [[64], [128, 128, 128]], "p": ["sdp", "dft"]}


def document(ran):
    code, printed, told = ran
    assert code == 0, told
    return json.loads(printed)


def test_a_process_of_its_own(tmp_path):
    """The module runs as a program, and prints its document to standard output alone."""
    command = [sys.executable, "-m", "explorer.cli.main", "space", "count", "tiny-mini", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert document((done.returncode, done.stdout, done.stderr))["count"] == 9_312
    assert done.stderr == ""


def test_the_papers_counts(archex):
    assert document(archex("space", "count", "tiny-mini", "--json"))["count"] == 9_312
    fine = archex("space", "count", "tiny-mini", "--layers-per-stack", "1", "--json")
    assert document(fine)["count"] == 84_943_872
    finest = archex("space", "count", "tiny-mini", "--layers-per-stack", "1", "--heterogeneous-feed-forward", "--json")
    assert document(finest)["count"] == 3_317_817_600


def test_a_space_is_built_and_its_neighbours_found(archex, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nhidden: [32, 64]\nheads: [2, 4]\nlayers: [2]\noperations: {sa: [sdp], l: [dft, dct], c: [5]}\n"
        "feed_forward: {depth: [1], width: [64, 128]}\nlayers_per_stack: 1\n"
    )
    built = document(archex("space", "build", "mine.yaml", "--json"))
    assert built["architectures"] == 32**2
    (drawn,) = document(archex("space", "sample", "mine.yaml", "--seed", "3", "--json"))["architectures"]
    found = document(archex("neighbors", drawn["id"], "--k", "5", "--json"))
    assert [n["rank"] for n in found["neighbors"]] == [1, 2, 3, 4, 5]
    assert found["neighbors"][0]["dissimilarity"] <= found["neighbors"][4]["dissimilarity"]
    outside = document(archex("neighbors", "BERT-Tiny", "--k", "3", "--json"))
    assert (outside["space"], len(outside["neighbors"])) == ("mine", 3)
    assert archex("search", "--space", "mine", "--task", "nope", "--study", "named")[0] == 2
    assert document(archex("studies", "--json"))["studies"] == []
    assert drawn["id"] in archex("space", "sample", "mine.yaml", "--seed", "3")[1]


def test_sizes_of_named_models_and_of_files(archex, tmp_path):
    mini = document(archex("params", "BERT-Mini", "--json"))["parameters"]
    flexible = document(archex("params", "FlexiBERT-Mini", "--json"))["parameters"]
    assert flexible / mini == pytest.approx(0.97, abs=0.005)  # the paper: 3 % fewer
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    small = document(archex("params", "spec.json", "--vocab", "1000", "--json"))
    large = document(archex("params", "spec.json", "--vocab", "2000", "--json"))
    assert large["parameters"] - small["parameters"] == 1000 * 64
    assert small["model_dict"] == SPEC


@pytest.fixture
def prepared_store(quick_data, tmp_path):
    """Gives the URL of a new store of this name whose text is prepared already for the recipe ``short.json``."""
    (tmp_path / "short.json").write_text(json.dumps({"base": "quick", "pretrain_steps": 8, "finetune_steps": 6}))

    def url(name):
        folder = tmp_path / f"{name}.files"
        folder.mkdir()
        (folder / "data").symlink_to(quick_data)
        return f"sqlite:///{name}"

    return url


@pytest.mark.slow
def test_a_users_architecture_is_trained_and_the_same_seed_gives_the_same_score(archex, tmp_path, prepared_store):
    own_store, other_store = prepared_store("first.db"), prepared_store("second.db")
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    arguments = ["train", "spec.json", "--recipe", "short.json", "--task", "order", "--json", "--seed", "5"]
    first = document(archex(*arguments, "--store", own_store))
    second = document(archex(*arguments, "--store", other_store))
    assert [s["task"] for s in first["scores"]] == ["order", "mean"]
    assert [s["value"] for s in first["scores"]] == [s["value"] for s in second["scores"]]
    again = document(archex(*arguments, "--store", own_store))
    assert again["scores"] == first["scores"]
    data = tmp_path / "data" / "SST-2"
    data.mkdir(parents=True)
    for part in ("train", "dev"):
        (data / f"{part}.tsv").write_text("label\tsentence\n" + "1\ta fine film\n0\ta dull film\n" * 20)
    own = ["train", "spec.json", "--recipe", "short.json", "--data", "data", "--task", "SST-2", "--json"]
    before = document(archex(*own, "--store", own_store))
    assert [score["majority"] for score in before["scores"]] == [0.5, 0.5]
    assert before["scores"][0]["chance"] == pytest.approx(0.5, abs=0.1)
    with (data / "train.tsv").open("a") as rows:
        rows.write("1\ta great film\n")
    after = document(archex(*own, "--store", own_store))
    assert before["folder"] != after["folder"]
    alike = document(archex("neighbors", "spec.json", "--store", own_store, "--json"))
    assert (alike["space"], alike["neighbors"]) == ("own", [])


@pytest.mark.slow
def test_glue_folders_are_trained_and_scored(archex, shared_data, prepared_store, tmp_path):
    """On the first rows of real ones: to prepare the tens of thousands of SST-2 would take most of the test."""
    metrics = {"SST-2": "accuracy", "CoLA": "matthews", "RTE": "accuracy", "STS-B": "pearson"}
    arguments = [word for task in metrics for word in ("--task", task)]
    for file in (shared_data / "glue").glob("*/*.tsv"):
        rows = file.read_text(encoding="utf-8").splitlines(keepends=True)[:500]
        (tmp_path / "glue" / file.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "glue" / file.parent.name / file.name).write_text("".join(rows), encoding="utf-8")
    arguments += ["--data", "glue", "--recipe", "short.json", "--store", prepared_store("glue.db")]
    scores = document(archex("train", "BERT-Tiny", *arguments, "--json"))["scores"]
    found = {score["task"]: score["metric"] for score in scores}
    assert set(found) == {*metrics, "STS-B/pearson", "STS-B/spearman", "mean"}
    assert all(metric in found[task] for task, metric in metrics.items())
    assert all(-1 <= score["value"] <= 1 for score in scores)


BAD = {
    "unknown preset": (["space", "count", "nope"], "nano"),
    "unknown level": (["space", "count", "nano", "--layers-per-stack", "3"], "layers_per_stack"),
    "malformed YAML": (["space", "count", "bad.yaml"], "hidden"),
    "too large": (["space", "build", "small", "--layers-per-stack", "1"], "at most"),
    "malformed spec": (["params", "bad.json"], "model_dict"),
    "unknown model": (["params", "BERT-Huge"], "BERT-Tiny"),
    "missing file": (["import", "nas-bench-bert", "missing.json"], "missing.json"),
    "unknown task": (["train", "BERT-Tiny", "--task", "nope"], "order"),
    "no GLUE folder": (["train", "BERT-Tiny", "--task", "SST-2"], "--data"),
    "missing data": (["train", "BERT-Tiny", "--data", "nowhere"], "nowhere"),
    "bad row": (["train", "BERT-Tiny", "--data", "glue", "--task", "SST-2"], "line 3"),
    "unknown recipe": (["train", "BERT-Tiny", "--recipe", "nope"], "quick"),
    "foreign store": (["studies", "--store", "sqlite:///bad.yaml"], "bad.yaml"),
    "unknown store": (["studies", "--store", "oracle://x"], "sqlite"),
    "no store yet": (["studies", "--store", "sqlite:///none.db"], "archex"),
    "unknown policy": (["search", "--policy", "best"], "boshnas"),
    "budget of nothing": (["search", "--budget", "0"], "budget"),
    "not a number": (["search", "--budget", "many"], "--budget"),
    "unknown command": (["fly"], "fly"),
    "unknown option": (["studies", "--fast"], "--fast"),
    "options of training without training": (["search", "--from-scores", "--task", "order"], "--task"),
    "option of known scores with training": (["search", "--batch", "3"], "--batch"),
    "markup in a name": (["params", "[/x].json"], "[/x].json"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_changes_nothing(archex, tmp_path, case):
    (tmp_path / "bad.yaml").write_text("name: bad\nhidden: [0]\nheads: [2]\nlayers: [2]\noperations: {sa: [sdp]}\n"
                                       "feed_forward: {depth: [1], width: [64]}\n")  # fmt: skip
    (tmp_path / "bad.json").write_text('{"l": 2}')
    folder = tmp_path / "glue" / "SST-2"
    folder.mkdir(parents=True)
    for part in ("train", "dev"):
        (folder / f"{part}.tsv").write_text("label\tsentence\n1\tgood\n7\tbad\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments, named = BAD[case]
    code, printed, told = archex(*arguments)
    assert code == 2, told
    assert named in told
    assert "Traceback" not in told
    assert printed == ""
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(after) == sorted(before)
    assert [path for path in before if after[path] != before[path]] == []
    assert len(told.strip().splitlines()) == 1, told


def test_every_command_and_option_says_what_it_is():
    import typer

    def commands(command, path):
        for name, child in getattr(command, "commands", {}).items():
            yield f"{path} {name}", child
            yield from commands(child, f"{path} {name}")

    found = dict(commands(typer.main.get_command(build()), "archex"))
    assert {"archex demo", "archex search", "archex space count", "archex import nas-bench-bert"} <= set(found)
    for path, command in found.items():
        assert command.help, path
        for parameter in command.params:
            shown = getattr(parameter, "help", "") or getattr(parameter, "hidden", False)
            assert shown, f"{path} {parameter.name}"
