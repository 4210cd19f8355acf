"""Whole visits in a real Chromium: from a space that is built to a model that is taken away.

The visit to a server does only what the store changes: Cypher, and jobs that find the store by its address.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from explorer.library.workplace import data_cache
from explorer.studies.jobs import ACTIVE
from graphstore import open_store
from graphstore.cypher import CypherStore
from graphstore.records import ArchitectureSummary, ScoreRecord

from ..chromium import choose, fill, new_tab, offered, press, serving, settle, shoot, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SPACE = (
    "name: mine\nhidden: [32, 64]\nheads: [2]\nlayers: [2]\noperations: {sa: [sdp], l: [dft]}\n"
    "feed_forward: {depth: [1], width: [64]}\nlayers_per_stack: 1\n"
)
TRAINED = "mine-mean-random-seed0-1"
LONG_MS = 240_000
"""A training of a few steps has to wait for a busy machine."""
LOAD = """
import json, sys
import explorer.models, explorer.space.formats, torch
from transformers import AutoModel, AutoTokenizer
model, tokenizer = (one.from_pretrained(sys.argv[1]) for one in (AutoModel, AutoTokenizer))
states = model.eval()(**tokenizer("a model of one's own", return_tensors="pt")).last_hidden_state
hiddens = [layer.hidden for layer in explorer.space.formats.from_json(json.dumps(json.load(open(sys.argv[2])))).layers]
print(json.dumps([type(model).__name__, states.shape[-1], bool(torch.isfinite(states).all()), hiddens]))
"""


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def store_url(request: pytest.FixtureRequest, quick_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty store of each kind in turn; what its jobs write lies in the test's folder too."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if request.param == "embedded":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        request.getfixturevalue("server")
        url = request.getfixturevalue("neo4j_url")
    cache = data_cache(url)
    cache.parent.mkdir(parents=True)
    cache.symlink_to(quick_data)
    return url


@pytest.fixture
def summaries(archex, store_url: str, tmp_path: Path) -> list[ArchitectureSummary]:
    """A space of sixteen built by command, smallest first; all but the smallest have a known score."""
    (tmp_path / "mine.yaml").write_text(SPACE)
    code, _, told = archex("space", "build", "mine.yaml", "--store", store_url)
    assert code == 0, told
    with open_store(store_url) as store:
        found = sorted(store.summaries("mine"), key=lambda one: (one.parameters, one.id))
        scores = [
            ScoreRecord(one.id, "known", "accuracy", 0.5 + one.parameters / 1e6, "d", "full", "r", 0, "import:1")
            for one in found[1:]
        ]
        store.add_scores(scores)
    assert len(found) == 16
    assert found[0].parameters < found[1].parameters
    return found


def test_from_a_space_to_a_model(browser, store_url, summaries, tmp_path, request):
    """The app is started anew while a training runs, and finds it."""
    is_server = request.node.callspec.params["store_url"] == "neo4j"
    with serving(store_url, tmp_path) as app, new_tab(browser) as tab:
        ask_for_neighbours(tab, app.url, store_url, summaries[-1].id)
        ask_by_layers(tab, app.url, store_url, summaries[-1].id)
        launch_a_batch(tab, app.url, store_url)
        if is_server:
            return
        launch_a_training(tab, summaries[0])
        worker = worker_of(store_url)
        # On a quick machine the few steps would end before the app is there again.
        worker.suspend()
    with serving(store_url, tmp_path) as app, new_tab(browser) as tab, new_tab(browser) as other:
        stop_the_training(tab, other, app.url, store_url, worker)
        resume_it(tab, other, app.url, store_url, summaries[0])
        shoot(other, "journey-scored")
        compare(tab, app.url, summaries)
        shoot(tab, "journey-compared")
        export_and_load(tab, app.url, summaries[0].id, tmp_path)


def ask_for_neighbours(tab, url: str, store_url: str, id: str) -> None:
    """The list of neighbours is the store's; one of them is explained, and the address brings that back."""
    with open_store(store_url) as store:
        nearest = store.neighbors("mine", id, "views")
    visit(tab, f"{url}/architecture?space=mine&id={id}", "Architecture", 3)
    told = offered(tab, "Why is it similar to")
    assert told
    assert told == [f"{one.rank}. {one.target[:8]} ({one.dissimilarity:.4f})" for one in nearest[: len(told)]]
    tab.get_by_text("Layer by layer").wait_for()
    tab.wait_for_url(f"**with={nearest[0].target}*")
    tab.reload()
    tab.get_by_text(f"this one and {nearest[0].target[:8]}").wait_for()
    settle(tab)


def ask_by_layers(tab, url: str, store_url: str, id: str) -> None:
    """By the form, and on a server by a saved query in Cypher too."""
    visit(tab, f"{url}/query?space=mine", "Query")
    tab.get_by_text("16 architectures fit").wait_for()
    choose(tab, "Operation", "sa")
    press(tab, "Find")
    tab.wait_for_url("**layer1=*sa*")
    # The form's first rule looks at the first layer unless it is told otherwise: half of them have attention there.
    tab.get_by_text("8 architectures fit").wait_for()
    with open_store(store_url) as store:
        is_server = isinstance(store, CypherStore)
    visit(tab, f"{url}/query?space=mine&tab=Cypher&saved=untrained-nearby&id={id}", "Query")
    if is_server:
        press(tab, "Run")
        tab.get_by_text(re.compile(r"rows? in [\d.]+ s")).wait_for()
        settle(tab)
    else:
        tab.get_by_text("Cypher needs a Neo4j server").wait_for()


def ask_for(tab, objective: str, trials: int) -> None:
    """Choose in the form of a search what both searches here state."""
    choose(tab, "Objective", objective)
    choose(tab, "Policy", "Random search")
    fill(tab, "Trials", str(trials))


def launch_a_batch(tab, url: str, store_url: str) -> None:
    """On known scores: it is launched, ends, and is still there after a reload."""
    visit(tab, f"{url}/search?space=mine", "Search")
    ask_for(tab, "Known scores: known", 6)
    name = "mine-known-random-seed0-1"
    press(tab, "Launch")
    tab.wait_for_url(f"**study={name}*")
    tab.get_by_text("6 of 6 done").wait_for(timeout=LONG_MS)
    with open_store(store_url) as store:
        best = max(trial.value for trial in store.trials(name) if trial.value is not None)
    tab.get_by_text(f"{best:.4f} is the best known so far").wait_for()
    tab.reload()
    tab.get_by_text("6 of 6 done").wait_for()
    settle(tab)
    shoot(tab, "journey-searched")


def launch_a_training(tab, smallest: ArchitectureSummary) -> None:
    """A real one, of the only architecture that keeps a constraint."""
    ask_for(tab, "Train: mean of the tasks", 1)
    tab.get_by_text("Costs, constraints").click()
    choose(tab, "Recipe", "quick")
    # The second of the usual two would find nothing left to train.
    fill(tab, "Parallel trainings", "1")
    area = tab.get_by_role("textbox", name="Constraints, one a line")
    area.fill(f"parameters<={smallest.parameters}")
    area.press("Control+Enter")
    settle(tab)
    press(tab, "Launch")
    tab.wait_for_url(f"**study={TRAINED}*")


def worker_of(store_url: str) -> psutil.Process:
    """The process that trains, as soon as it is there."""
    deadline = time.monotonic() + LONG_MS / 1000
    while time.monotonic() < deadline:
        with open_store(store_url) as store:
            pids = [job.pid for job in store.jobs() if job.state in ACTIVE and job.pid]
        for pid in pids:
            for child in psutil.Process(pid).children(recursive=True):
                if "explorer.studies.worker" in child.cmdline():
                    return child
        time.sleep(0.2)
    pytest.fail("no worker started")


def stop_the_training(tab, other, url: str, store_url: str, worker: psutil.Process) -> None:
    """One visitor stops what was launched before the app was started; another one sees that."""
    visit(other, f"{url}/jobs", "Jobs and store")
    # The study is there once its job has begun; only then is there something to stop.
    other.get_by_role("link", name=f"Study {TRAINED}").first.wait_for(timeout=LONG_MS)
    press(other, "Stop")
    settle(other)
    worker.resume()
    visit(tab, f"{url}/search?space=mine&study={TRAINED}", "Search")
    tab.get_by_role("button", name="Resume this study").wait_for(timeout=LONG_MS)
    with open_store(store_url) as store:
        assert not [job for job in store.jobs() if job.state in ACTIVE]
        assert all(trial.value is None for trial in store.trials(TRAINED))


def resume_it(tab, other, url: str, store_url: str, smallest: ArchitectureSummary) -> None:
    """The stopped job goes on; its score arrives in the tab of somebody who looks at something else."""
    visit(other, f"{url}/?space=mine", "Space", 1)
    other.get_by_text("15 of them scored").wait_for()
    press(tab, "Resume")
    tab.get_by_role("button", name="Stop this study's job").wait_for()
    tab.get_by_text("1 of 1 done").wait_for(timeout=LONG_MS)
    with open_store(store_url) as store:
        (trial,) = store.trials(TRAINED)
    assert trial.architecture == smallest.id
    assert trial.value is not None
    tab.get_by_text(f"{trial.value:.4f} is the best mean so far").wait_for()
    settle(tab)
    other.get_by_text("16 of them scored").wait_for()


def compare(tab, url: str, summaries: list[ArchitectureSummary]) -> None:
    """The trained one and the largest, side by side, with a third that is added by its name."""
    ids = (summaries[0].id, summaries[-1].id)
    visit(tab, f"{url}/compare?space=mine&ids={','.join(ids)}", "Compare", 3)
    words = tab.inner_text("[data-testid=stMain]")
    assert all(id[:8] in words for id in ids)
    assert "≠" in words
    fill(tab, "Add another by its id, an id prefix, or a known name", "BERT-Tiny")
    tab.get_by_text("Not in the store.").wait_for()
    tab.wait_for_url("**BERT-Tiny*")
    settle(tab, 3)


def export_and_load(tab, url: str, id: str, folder: Path) -> None:
    """What is downloaded is a folder that ``transformers`` loads in a process of its own."""
    visit(tab, f"{url}/architecture?space=mine&id={id}", "Architecture")
    press(tab, "Pack the model directory as a ZIP")
    button = tab.get_by_role("button", name="Download the folder")
    button.wait_for(timeout=LONG_MS)
    with tab.expect_download() as download:
        button.click()
    archive = folder / download.value.suggested_filename
    download.value.save_as(archive)
    assert archive.name == f"{id[:8]}.zip"
    with zipfile.ZipFile(archive) as packed:
        assert all(name.startswith(f"{id[:8]}/") and ".." not in name for name in packed.namelist())
        packed.extractall(folder / "taken")
    model = folder / "taken" / id[:8]
    command = [sys.executable, "-c", LOAD, str(model), str(model / "per_layer.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    kind, width, is_finite, hiddens = json.loads(done.stdout)
    assert kind == "FlexiBertModel"
    assert is_finite
    assert hiddens == [32, 32]
    assert width == hiddens[-1]
