"""The commands that ask the store, and every example of docs/queries.md as it stands there."""

import dataclasses
import io
import json
import math
import re
import shlex
import statistics
from collections import defaultdict
from pathlib import Path

import pytest

from explorer.cli.main import build
from explorer.errors import InputError
from explorer.library.importing import import_file, nas_bench_bert_file
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.remedies import by_options
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_model_dict
from explorer.space.named import named_model
from explorer.testing.searches import search
from explorer.training.recipe import RECIPES
from graphstore import open_store
from graphstore.errors import StoreInputError
from graphstore.records import (
    LineageRecord,
    MeasurementRecord,
    ScoreRecord,
    SpaceRecord,
    TrialStatus,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "queries.md"
SPACE = "nas-bench-bert"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.strip().splitlines()]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A folder with ``explorer.db``: NAS-Bench-BERT, a measured, a searched and an inherited architecture."""
    table = Path(__file__).resolve().parents[3] / "shared/data/architectures/nas_bench_bert/BERT_benchmark.json"
    if not table.exists():
        pytest.skip("needs the folder ../shared/data, which is absent here")
    folder = tmp_path_factory.mktemp("questions")
    (folder / "BERT_benchmark.json").symlink_to(table)
    with open_store(f"sqlite:///{folder / 'explorer.db'}") as store:
        import_file(store, nas_bench_bert_file(table), SilentReporter())
        ids = [summary.id for summary in store.summaries(SPACE)][:3]
        store.add_measurements([MeasurementRecord(id, "raspberry", "latency", 0.2, "s") for id in ids])
        store.create_study(search("STUDY", SPACE, score="sst", budget=3).record(created=0.0))
        store.add_trials("STUDY", [(id, {}) for id in ids])
        first = store.claim_trial("STUDY", "me", 60.0, 10.0)
        store.finish_trial(first, TrialStatus.COMPLETE, 14.0, value=0.75)
        second = store.claim_trial("STUDY", "me", 60.0, 20.0)
        store.finish_trial(second, TrialStatus.FAILED, 21.0, reason="out of\nmemory")
        store.claim_trial("STUDY", "gone", 5.0, 30.0)
        store.expire_leases("STUDY", 100.0, 3)
        store.add_lineage([LineageRecord("trained:STUDY/1", ids[1], "trained:STUDY/0", ids[0], "ordered", 0.5)])
        point = store.embeddings(SPACE).vectors[:2].mean(axis=0)
    (folder / "point.json").write_text(json.dumps(point.tolist()))
    return folder, ids


@pytest.fixture
def archex(catalogue, monkeypatch, capsys):
    """Runs a command in the folder of the catalogue, in this process."""
    monkeypatch.chdir(catalogue[0])
    monkeypatch.delenv("EXPLORER_STORE", raising=False)

    def run(*arguments):
        build(arguments[0])(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return run


def typed(text):
    """Standard input with a text."""
    return io.TextIOWrapper(io.BytesIO(text.encode()))


def means(task):
    """Mean score of each architecture, worked out by a loop; some of them were trained twice."""
    with open_store("sqlite:///explorer.db") as store:
        values = defaultdict(list)
        for score in store.scores(space=SPACE, task=task):
            values[score.architecture].append(score.value)
        return {id: statistics.fmean(found) for id, found in values.items()}, store.summaries(SPACE)


def document(text):
    return json.loads(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_document_works(archex, catalogue, command):
    program, *arguments = shlex.split(command)
    assert program == "archex"
    arguments = [catalogue[1][1] if word == "ID" else word for word in arguments]
    told = archex(*arguments)
    assert told.strip()
    assert not told.startswith("0 architectures")
    if "--json" not in arguments:
        assert document(archex(*arguments, "--json"))


def test_every_python_example_of_the_document_works(catalogue, monkeypatch):
    monkeypatch.chdir(catalogue[0])
    shown = []
    for block in blocks("python"):
        exec(compile(block, str(DOCUMENT), "exec"), {"print": lambda *values: shown.append(values)})
    (total, rows), (nearest,), (vectors,), (similarity, _), (steps,) = shown
    assert total > len(rows) == 5
    assert len(nearest) == 5
    assert vectors.shape == (2, 16)
    assert len(steps) == 4
    assert 0 < similarity < 1


def test_find_gives_the_values_it_was_asked_for(archex):
    asked = ["find", "--space", SPACE, "--layer", "last c", "--parameters", "<=10M", "--score", "sst>=0.8"]
    found = document(archex(*asked, "--sort", "-sst", "--limit", "1000", "--json"))
    assert found["total"] == len(found["rows"])
    values = [row["values"]["sst"] for row in found["rows"]]
    assert values == sorted(values, reverse=True)
    scores, summaries = means("sst")
    small = [s.id for s in summaries if s.families[-1] == "c" and s.parameters <= 10_000_000]
    assert {row["id"]: row["values"]["sst"] for row in found["rows"]} == pytest.approx(
        {id: scores[id] for id in small if scores.get(id, 0.0) >= 0.8}
    )
    page = document(archex(*asked, "--sort", "-sst", "--limit", "2", "--offset", "3", "--json"))
    assert page == {"total": found["total"], "rows": found["rows"][3:5]}
    assert document(archex(*asked, "--count", "--json")) == {"total": found["total"], "rows": []}
    assert archex(*asked, "--count").strip() == f"{found['total']} architectures fit"


def test_pareto_rows_beat_each_other_nowhere(archex):
    front = document(archex("pareto", "--objective", "parameters", "--objective", "-sst", "--space", SPACE, "--json"))
    assert front["objectives"][1] == {"quantity": "sst", "more_is_better": True}
    scores, summaries = means("sst")
    known = {s.id: (s.parameters, -scores[s.id]) for s in summaries if s.id in scores}
    naive = {id for id, p in known.items() if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in known.values())}
    assert {row["id"] for row in front["rows"]} == naive


def test_old_spellings_of_objectives_are_read_with_a_note(catalogue, monkeypatch, capsys):
    monkeypatch.chdir(catalogue[0])

    def front(*objectives):
        words = [word for text in objectives for word in ("--objective", text)]
        build("pareto")(["pareto", *words, "--space", SPACE, "--json"], standalone_mode=False)
        return capsys.readouterr()

    wanted = front("minimise:parameters", "maximise:sst").out
    assert front("minimise:parameters", "minimise:sst").out != wanted
    for text, note in (("-sst", "is read as maximise:sst."), ("sst", "is maximised; earlier versions minimised it.")):
        found = front("parameters", text)
        assert found.out == wanted
        assert found.err.startswith(f"--objective {text} {note}")


def test_best_is_the_largest_mean(archex):
    best = {one["task"]: one for one in document(archex("best", "--space", SPACE, "--json"))["best"]}
    scores, _ = means("glue")
    assert best["glue"]["value"] == pytest.approx(max(scores.values()))
    assert scores[best["glue"]["architecture"]] == max(scores.values())
    assert best["glue"]["scored"] == len(scores)


def test_explain_adds_up(archex, tmp_path):
    models = [named_model("BERT-Mini"), named_model("FlexiBERT-Mini")]
    with open_store("sqlite:///explorer.db") as store:
        kernel = 1.0 - Library.open(store, SPACE).dissimilarities(models)[0, 1]
    found = document(archex("explain", "BERT-Mini", "FlexiBERT-Mini", "--limit", "0", "--json"))
    assert found["kernel"] == "views"
    assert [found["first"], found["second"]] == [architecture_id(model) for model in models]
    assert sum(pattern["shared"] for pattern in found["shared"]) == pytest.approx(kernel, abs=1e-9)
    assert sum(pattern["different"] for pattern in found["different"]) == pytest.approx(1 - kernel, abs=1e-9)
    assert [step["change"] for step in found["layers"]] == ["changed"] * 4
    few = document(archex("explain", "BERT-Mini", "FlexiBERT-Mini", "--limit", "2", "--json"))
    assert (len(few["shared"]), few["different_patterns"]) == (2, len(found["different"]))


def test_neighbours_by_vector(archex, catalogue):
    id = catalogue[1][0]
    found = document(archex("neighbors", id, "--by", "vector", "--k", "4", "--space", SPACE, "--json"))["neighbors"]
    with open_store("sqlite:///explorer.db") as store:
        embedded = store.embeddings(SPACE)
    vectors = dict(zip(embedded.ids, embedded.vectors.astype(float), strict=True))
    distances = sorted((((vector - vectors[id]) ** 2).sum() ** 0.5, other) for other, vector in vectors.items())
    nearest = [distance for distance, other in distances if other != id][:4]
    assert [row["distance"] for row in found] == pytest.approx(nearest, rel=1e-5)
    assert id not in [row["id"] for row in found]
    # From elsewhere: placed among the vectors first.
    other = document(archex("neighbors", "BERT-Base", "--by", "vector", "--k", "3", "--space", SPACE, "--json"))
    placed = [row["distance"] for row in other["neighbors"]]
    assert placed == sorted(placed)
    assert len(placed) == 3


def test_neighbours_by_overlap(archex, catalogue):
    id = catalogue[1][0]
    found = document(archex("neighbors", id, "--by", "overlap", "--k", "6", "--space", SPACE, "--json"))["neighbors"]
    with open_store("sqlite:///explorer.db") as store:
        layers = {summary.id: json.loads(summary.spec) for summary in store.summaries(SPACE)}
        architectures = {key: from_model_dict(spec).layers for key, spec in layers.items()}
    own = architectures.pop(id)

    def overlap(layers) -> int:
        same = [first == second for first, second in zip(own, layers, strict=False)]
        return next((index for index, equal in enumerate(same) if not equal), len(same))

    assert [row["overlap"] for row in found] == sorted(map(overlap, architectures.values()), reverse=True)[:6]
    assert [row["overlap"] for row in found] == [overlap(architectures[row["id"]]) for row in found]


def test_nearest_to_any_vector(archex, monkeypatch):
    asked = ["neighbors", "--k", "7", "--space", SPACE, "--json"]
    told = document(archex(*asked, "--vector", "point.json"))
    with open_store("sqlite:///explorer.db") as store:
        embedded = store.embeddings(SPACE)
    vectors = dict(zip(embedded.ids, embedded.vectors.astype(float).tolist(), strict=True))
    text = Path("point.json").read_text()
    distances = sorted((math.dist(vector, json.loads(text)), id) for id, vector in vectors.items())
    assert [row["id"] for row in told["neighbors"]] == [id for _, id in distances[:7]]
    assert [row["distance"] for row in told["neighbors"]] == pytest.approx([d for d, _ in distances[:7]], rel=1e-5)
    assert (told["vector"], told["space"]) == (json.loads(text), SPACE)
    monkeypatch.setattr("sys.stdin", typed(text))
    assert document(archex(*asked, "--vector", "-", "--by", "vector")) == told
    # An architecture's own vector leads to itself, which neighbours of an architecture leave out.
    monkeypatch.setattr("sys.stdin", typed(json.dumps(vectors[embedded.ids[5]])))
    first = document(archex(*asked, "--vector", "-"))["neighbors"][0]
    assert first["distance"] == 0
    assert vectors[first["id"]] == vectors[embedded.ids[5]]


BAD_VECTORS = {
    "no JSON": ("[1, 2", "valid JSON"),
    "nothing": ("", "standard input must hold something"),
    "no list": ('{"vector": [1]}', "vector must be a JSON list of numbers, but got {'vector'"),
    "empty": ("[]", "vector must be a JSON list of numbers, but got []"),
    "text": ('[0, "1"]', "vector[1] must be a finite number"),
    "truth": ("[true]", "vector[0] must be a finite number"),
    "gap": ("[0, null]", "vector[1] must be a finite number"),
    "not a number": ("[0, NaN]", "standard input: [1] must be a finite number, but got NaN"),
    "infinite": ("[-Infinity]", "standard input: [0] must be a finite number, but got -Infinity"),
    "too large": ("[1e39]", "at most 1e+15 from zero"),
    "far too large": (f"[1{'0' * 400}]", "standard input: [0] must be an integer of at most 64 bits"),
    "nested": ("[[1, 2]]", "vector[0] must be a finite number"),
    "too short": ("[1, 2, 3]", "vector must have shape [16] as the space's vectors, but got [3]"),
}


@pytest.mark.parametrize("case", BAD_VECTORS)
def test_bad_vectors_say_what_would_be_good(archex, monkeypatch, case):
    text, told = BAD_VECTORS[case]
    monkeypatch.setattr("sys.stdin", typed(text))
    with pytest.raises((InputError, StoreInputError), match=re.escape(told)):
        archex("neighbors", "--vector", "-", "--space", SPACE)


def test_a_space_without_vectors_says_so(tmp_path, archex):
    url = f"sqlite:///{tmp_path / 'bare.db'}"
    archex("space", "build", _tiny(tmp_path), "--store", url)
    with open_store(url) as store:
        ids = store.embeddings("tiny").ids
        store.put_space(SpaceRecord("bare", store.space("tiny").info))
        store.add_architectures("bare", [store.architecture(id) for id in ids])
    with pytest.raises(InputError, match="space must have vectors, but got 'bare'"):
        archex("neighbors", "--vector", "point.json", "--space", "bare", "--store", url)


def test_trials_of_a_study(archex, catalogue):
    told = document(archex("studies", "STUDY", "--json"))
    assert (told["study"], told["complete"], told["failed"]) == ("STUDY", 1, 1)
    shown = [(t["trial"], t["state"], t["attempt"], t["value"], t["architecture"]) for t in told["trials"]]
    states = [("complete", 1, 0.75), ("failed", 1, None), ("stale", 1, None)]
    assert shown == [(n, *state, id) for n, (state, id) in enumerate(zip(states, catalogue[1], strict=True))]
    assert [trial["seconds"] for trial in told["trials"]][:2] == [4.0, 1.0]
    table = archex("studies", "STUDY")
    assert "stale" in table
    assert "out of memory" in table


def test_lineage_goes_back_to_the_donors(archex, catalogue):
    told = document(archex("lineage", catalogue[1][1][:8], "--json"))
    (record,) = told["lineage"]
    assert (record["donor"], record["share"]) == (catalogue[1][0], 0.5)
    assert document(archex("lineage", "BERT-Base", "--json"))["lineage"] == []


BAD = {
    "unknown space": (["find", "--space", "nowhere"], "nowhere"),
    "unknown task": (["find", "--space", SPACE, "--score", "SST-9"], "sst"),
    "unknown order": (["find", "--sort", "size"], "parameters"),
    "unknown kind": (["find", "--score", "sst", "--recipe", "mine"], "nas-bench-bert"),
    "unknown measurement": (["find", "--measurement", "latency@gpu"], "one device of the store: raspberry, but"),
    "no range": (["find", "--parameters", "small"], "<=10M"),
    "no layer rule": (["find", "--layer", "last colour=red"], "last family=c"),
    "no op rule": (["find", "--op", "c_*_5"], "c_* >=3"),
    "unknown objective": (["pareto", "--objective", "speed"], "sst"),
    "unknown study": (["studies", "nothing"], "nothing"),
    "unknown architecture": (["explain", "BERT-Mini", "BERT-Huge"], "BERT-Tiny"),
    "no start": (["neighbors", "--space", SPACE], "a model or --vector"),
    "two starts": (["neighbors", "BERT-Mini", "--vector", "point.json"], "a model or --vector"),
    "vector by kernel": (["neighbors", "--vector", "point.json", "--by", "kernel"], "--by must be vector"),
    "no such file": (["neighbors", "--vector", "none.json"], "none.json"),
    "vector of no space": (["neighbors", "--vector", "point.json", "--space", "nowhere"], "nowhere"),
    "no store": (["best", "--store", "sqlite:///none.db"], "none.db"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_questions_say_what_would_be_good(archex, case):
    arguments, told = BAD[case]
    with pytest.raises((InputError, StoreInputError), match=re.escape(told)):
        archex(*arguments)


def test_scores_that_do_not_compare_are_refused_with_their_kinds(tmp_path, archex):
    url = f"sqlite:///{tmp_path / 'two.db'}"
    archex("space", "build", _tiny(tmp_path), "--store", url)
    with open_store(url) as store:
        ids = [summary.id for summary in store.summaries("tiny")]
        store.add_scores(
            [ScoreRecord(ids[0], "sst", "acc", 0.5, "d", kind, "r", 0, "here") for kind in ("half", "full")]
        )
    with pytest.raises(InputError, match=r"acc / d / full / r / here; acc / d / half / r / here") as refused:
        archex("find", "--sort", "-sst", "--store", url)
    assert by_options(refused.value) == "Add --fidelity full; or --fidelity half"
    one = document(archex("find", "--sort", "-sst", "--fidelity", "full", "--store", url, "--limit", "1", "--json"))
    assert one["rows"][0]["id"] == ids[0]
    best = document(archex("best", "--store", url, "--json"))["best"]
    assert [kind["fidelity"] for kind in best] == ["full", "half"]


def test_recipes_are_named_as_when_training(tmp_path, archex):
    """Scores of two of the package's recipes, of a change of one, and of an import that has a recipe of such a name."""
    url = f"sqlite:///{tmp_path / 'named.db'}"
    archex("space", "build", _tiny(tmp_path), "--store", url)
    nano, quick = RECIPES["nano"], RECIPES["quick"]
    longer = dataclasses.replace(nano, pretrain_steps=700)
    assert longer.digest == nano.digest

    def score(id, recipe, value, task="mean"):
        return ScoreRecord(id, task, "accuracy", value, "text", recipe.fidelity, recipe.digest, 0, "here")

    with open_store(url) as store:
        one, other = [summary.id for summary in store.summaries("tiny")][:2]
        store.add_scores([score(one, nano, 0.5), score(other, quick, 0.6), score(one, longer, 0.4, "longer")])

    def values(*words):
        rows = document(archex(*words, "--store", url, "--json"))["rows"]
        return {row["id"]: value for row in rows for value in row["values"].values() if value is not None}

    front = ("pareto", "--objective", "parameters", "--objective", "-mean")
    for words in (("find", "--sort", "-mean"), front):
        with pytest.raises(InputError, match=r"/ quick / here; .* / nano / here, but got 'mean'") as refused:
            archex(*words, "--store", url)
        ways = by_options(refused.value).removeprefix("Add ").split("; or ")
        assert ways == ["--recipe quick", "--recipe nano"]
        assert [values(*words, *shlex.split(way)) for way in ways] == [{other: 0.6}, {one: 0.5}]
        assert values(*words, "--recipe", quick.digest) == {other: 0.6}
    # Only by a change of nano: its settings are meant, and the message has no name for it.
    assert values("find", "--sort", "-longer", "--recipe", "nano") == {one: 0.4}
    with pytest.raises(InputError, match=f"/ {nano.digest} / here, but got"):
        archex("find", "--sort", "-longer", "--recipe", "quick", "--store", url)

    with open_store(url) as store:
        store.add_scores([score(one, longer, 0.7)])
    # The name means its amount of training as well.
    assert values("find", "--sort", "-mean", "--recipe", "nano") == {one: 0.5}
    with pytest.raises(InputError, match="to be compared") as refused:
        archex("find", "--sort", "-mean", "--recipe", nano.digest, "--store", url)
    ways = by_options(refused.value).removeprefix("Add ").split("; or ")
    found = [values("find", "--sort", "-mean", *shlex.split(way)) for way in ways]
    assert sorted(found, key=str) == [{one: 0.5}, {one: 0.7}]

    with open_store(url) as store:
        store.add_scores([ScoreRecord(other, "mean", "accuracy", 0.9, "text", "published", "nano", 0, "import")])
    assert values("find", "--sort", "-mean", "--recipe", "nano") == {other: 0.9}
    assert values("find", "--sort", "-mean", "--recipe", nano.digest, "--fidelity", nano.fidelity) == {one: 0.5}


def _tiny(folder):
    path = folder / "tiny.yaml"
    path.write_text(
        "name: tiny\nhidden: [32]\nheads: [2]\nlayers: [2]\noperations: {sa: [sdp], c: [5]}\n"
        "feed_forward: {depth: [1], width: [64]}\nlayers_per_stack: 1\n"
    )
    return str(path)
