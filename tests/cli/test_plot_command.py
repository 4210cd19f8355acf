"""``archex plot`` on a small store: real files, and one line for what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import struct

import numpy as np
import pytest

from explorer.cli import plot as command
from explorer.cli.main import build
from explorer.errors import InputError
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.testing.searches import known_search
from graphstore import open_store
from graphstore.records import ScoreRecord

SPACE = "small"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Three studies by chance and one of BOSHNAS on made-up scores that grow with size, and one that has not begun."""
    url = f"sqlite:///{tmp_path_factory.mktemp('plots') / 'explorer.db'}"
    specs = load_space("nano").sample(30, np.random.default_rng(0))
    with open_store(url) as store:
        Library.build(store, SPACE, specs, SilentReporter(), source="sampled")
        summaries = store.summaries(SPACE)
        scores = [
            ScoreRecord(s.id, "known", "accuracy", s.parameters / 1e7, "data", "full", "r", 0, f"table:{n}")
            for n, s in enumerate(summaries)
        ]
        store.add_scores(scores)
        for policy, seed in (("random", 0), ("random", 1), ("random", 2), ("boshnas", 0)):
            spec = known_search(f"{policy}-{seed}", SPACE, policy, 14, seed=seed, batch=5)
            run_known(store, open_study(store, spec), SilentReporter(), lambda: False)
        store.create_study(known_search("new", SPACE).record(created=0.0))
    return url


@pytest.fixture
def archex(url, capsys):
    def run(*arguments):
        build("plot")(["plot", *arguments, "--store", url], standalone_mode=False)
        return capsys.readouterr().out

    return run


def needs_browser() -> None:
    if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
        if os.environ.get("CI"):
            pytest.fail("CI is set, so a Chromium must be installed, but none is on the PATH. Install chromium.")
        pytest.skip("needs chromium, chromium-browser or google-chrome on the PATH")


@pytest.mark.parametrize("figure", command.Figure)
def test_every_figure_becomes_a_page(archex, tmp_path, figure):
    studies = ["boshnas-0"] if figure == "acquisition" else ["boshnas-0", "random-*"]
    told = json.loads(archex(figure, *studies, "--save", str(tmp_path / "figure.html"), "--json"))
    page = (tmp_path / "figure.html").read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert told["bytes"] == len(page)
    assert told["figure"] == figure
    assert len(told["studies"]) == (1 if figure == "acquisition" else 4)
    expected = {"history": {"evaluations": 56}, "acquisition": {"candidates": 30, "trials": 14}}
    expected |= {"timeline": {"trials": 56}}
    assert told | expected.get(figure, {}) == told


@pytest.mark.slow
@pytest.mark.browser
def test_a_picture_is_a_png_of_the_right_size(archex, tmp_path):
    needs_browser()
    path = tmp_path / "figure.png"
    archex("acquisition", "boshnas-0", "--show", "uncertainty", "--save", str(path))
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (2000, 1200)
    assert len(data) > 20_000  # A blank one of this size has about 10 kB.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["history", "nothing", "--save", "x.html"], "study must be one of"),
        (["history", "new", "--save", "x.html"], "finished trial with a value"),
        (["timeline", "new", "--save", "x.html"], "trial that was started"),
        (["history", "random-0", "--save", "x.bmp"], "end with"),
        (["history", "random-0", "--save", "none/x.html"], "existing folder"),
        (["history", "random-0", "--show", "mean", "--save", "x.html"], "--show must come with acquisition"),
        (["pareto", "random-0", "--regret", "--save", "x.html"], "--regret must come with history"),
        (["history", "random-0", "--against", "flops", "--save", "x.html"], "--against must come with pareto"),
        (["pareto", "random-0", "--against", "latency@pi", "--save", "x.html"], "device must name one device"),
        (["acquisition", "random-0", "--save", "x.html"], "have a posterior"),
        (["acquisition", "random-*", "--save", "x.html"], "each has its own posterior"),
    ],
)
def test_what_is_wrong_is_said(archex, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        archex(*words)
    assert not list(tmp_path.iterdir())
