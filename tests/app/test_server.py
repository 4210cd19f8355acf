"""The app as a child process: its base path, and where its errors are seen."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.app.server import LONGEST_BASE_PATH, AppServer, checked_base_path
from explorer.errors import ExplorerError, InputError

BROKEN_PAGE = """
import sys


class Broken:
    def find_spec(self, name, path, target=None):
        if name == "explorer.app.pareto.page":
            raise RuntimeError("this page is broken")


sys.meta_path.insert(0, Broken())
"""


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", ""),
        ("/", ""),
        ("explorer", "/explorer"),
        ("/explorer/", "/explorer"),
        (" /team/my-explorer_2.0~x ", "/team/my-explorer_2.0~x"),
        ("a" * LONGEST_BASE_PATH, "/" + "a" * LONGEST_BASE_PATH),
    ],
)
def test_a_base_path_has_one_form(given, path):
    assert checked_base_path(given) == path


@pytest.mark.parametrize(
    "given",
    [
        *(
            "a b",
            "a//b",
            "..",
            "a/../b",
            ".hidden",
            "_stcore",
            "a?b",
            "a#b",
            "a%20b",
            "é",
            "http://host/a",
            "a\\b",
            "a\n/b",
        ),
        "a" * (LONGEST_BASE_PATH + 1),
    ],
)
def test_a_base_path_needs_no_escapes(given):
    with pytest.raises(InputError, match=r"Write for example /explorer\."):
        checked_base_path(given)


def test_a_wrong_base_path_is_refused_before_the_store_is_opened(archex):
    for command in ("app", "demo"):
        code, _, told = archex(command, "--base-path", "/a b", "--store", "sqlite:///missing.db")
        assert code == 2
        assert "base path must" in told
    assert not Path("missing.db").exists()


@pytest.mark.slow
def test_tracebacks_of_pages_reach_who_started_the_app(filled, tmp_path):
    """Under the base path that Streamlit's own variable names."""
    (tmp_path / "sitecustomize.py").write_text(BROKEN_PAGE)
    variables = {"STREAMLIT_SERVER_BASE_URL_PATH": "explorer/", "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
    command = [sys.executable, "-m", "explorer.cli.main", "app", "--store", filled.url, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | variables) as app:
        assert app.stderr is not None
        try:
            told = app.stderr.readline()
            assert told.startswith("The app is at http://127.0.0.1:")
            url = told.split()[4]
            assert url.endswith("/explorer")
            view = importlib.import_module("app_memory").view
            assert view(url, "jobs") == []
            assert view(url, "pareto", "space=nano") == ["this page is broken"]
        finally:
            app.send_signal(signal.SIGINT)
            told = app.stderr.read()
    assert app.returncode == 0
    assert "Traceback (most recent call last)" in told
    assert "RuntimeError: this page is broken" in told


def test_an_app_that_does_not_start_says_why(filled, tmp_path, monkeypatch, capfd):
    (tmp_path / "streamlit.py").write_text("raise SystemExit('no app today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ExplorerError, match=r"did not start \(exit code 1\)"), AppServer(filled.url, 0):
        pass
    assert "no app today" in capfd.readouterr().err
