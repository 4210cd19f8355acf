"""``archex store``: copies, backups and checks from the command line."""

from __future__ import annotations

import datetime
import errno
import json
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from explorer.cli.main import main
from explorer.cli.store import default_path
from explorer.library.workplace import run_folder, work_folder
from graphstore import maintenance, open_store
from graphstore.contract import SCHEMA_VERSION
from graphstore.copying import digests
from graphstore.embedded import migrations, schema
from graphstore.errors import StoreError
from graphstore.neo4j.managed import ManagedNeo4j
from graphstore.testing import samples


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def archex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``archex store`` in an empty folder, within this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("EXPLORER_STORE", raising=False)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["archex", "store", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def document(done: Done) -> dict:
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def refused(done: Done) -> str:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a library, a study and a trained trial's files."""
    url = f"sqlite:///{tmp_path}/explorer.db"
    with open_store(url) as store:
        records = samples.architectures(20)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        store.add_scores([samples.score(record.id) for record in records])
        store.create_study(samples.study())
        store.add_trials("first", [(record.id, {}) for record in records[:3]])
    run = run_folder(url, "first", "0-abc")
    for name in ("pretrained/config.json", "pretrained/deep/model.bin", "scores.json", ".scores.json.tmp"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    (work_folder(url) / "logs").mkdir()
    (work_folder(url) / "logs" / "job.log").write_text("said")
    (work_folder(url) / "data" / "text-1").mkdir(parents=True)
    (work_folder(url) / "data" / "text-1" / "tokens.npy").write_bytes(bytes(10))
    return url


def files(store_url: str) -> dict[str, bytes]:
    root = work_folder(store_url)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_copy_takes_the_catalogue_and_the_files_along(archex, url: str, tmp_path: Path):
    target = f"sqlite:///{tmp_path}/other/copy.db"
    (tmp_path / "other").mkdir()
    said = archex("copy", url, target, "--json")
    first = document(said)
    assert "members of nano: 20 of 20" in said.stderr
    assert (first["sections"]["scores"]["count"], first["moving"], first["files"]) == (20, [], None)
    assert not work_folder(target).exists()
    taken = document(archex("copy", url, target, "--with-files", "--json"))
    assert taken["files"] == {"copied": 4, "size_bytes": 72, "kept": 0}
    expected = {name: raw for name, raw in files(url).items() if "/." not in name}
    assert len(expected) == 5
    assert files(target) == expected
    with open_store(url) as one, open_store(target) as two:
        assert digests(one) == digests(two)
        assert {name: digest.hexadecimal for name, digest in digests(two).items()} == {
            name: section["digest"] for name, section in taken["sections"].items()
        }
    # What is there stays; what is missing is copied, whole folders at once.
    (run_folder(target, "first", "0-abc") / "scores.json").write_text("newer")
    (work_folder(target) / "logs" / "job.log").unlink()
    again = archex("copy", url, target, "--with-files")
    assert again.returncode == 0
    assert "1 copied" in again.stdout
    assert "all digests are equal" in again.stdout
    assert files(target) == {**expected, "runs/first/0-abc/scores.json": b"newer"}


def test_copy_is_refused_with_one_line(archex, url: str, tmp_path: Path):
    other = f"sqlite:///{tmp_path}/other.db"
    with open_store(other) as store:
        store.put_space(samples.space("mine"))
    assert "'mine'" in refused(archex("copy", url, other))
    assert "must exist" in refused(archex("copy", f"sqlite:///{tmp_path}/none.db", other))
    assert not (tmp_path / "none.db").exists()
    wrong = archex("copy", url, "bolt://me:hush-hush@127.0.0.1:1")
    assert wrong.returncode == 1
    assert "127.0.0.1:1" in wrong.stderr
    assert "hush" not in wrong.stderr + wrong.stdout
    assert "hush" not in refused(archex("copy", url, "http://me:hush-hush@127.0.0.1:1"))


@pytest.mark.neo4j
def test_copy_to_neo4j_and_back(archex, url: str, tmp_path: Path, server, neo4j_url: str):
    there = document(archex("copy", url, neo4j_url, "--json"))
    saved = document(archex("backup", "saved.db", "--store", neo4j_url, "--json"))
    assert (saved["path"], saved["moving"]) == ("saved.db", [])
    back = document(archex("copy", "sqlite:///saved.db", "sqlite:///back.db", "--json"))
    assert there["sections"] == back["sections"]
    named = archex("backup", "--store", neo4j_url)
    assert named.returncode == 0
    assert list(tmp_path.glob("archex-*-*.db"))


def test_backup_has_a_name_of_its_own_or_the_one_given(archex, url: str, tmp_path: Path):
    report = document(archex("backup", "--store", url, "--json"))
    path = Path(report["path"])
    assert path.parent == tmp_path
    assert path.match("explorer-*-*.db")
    assert report["bytes"] == path.stat().st_size
    models = run_folder(url, "first", "0-abc").parents[1]
    saved = sum(file.stat().st_size for file in models.rglob("*") if file.is_file())
    assert report["not_saved"] == {"path": str(models), "bytes": saved}
    assert "free" in refused(archex("backup", path, "--store", url))
    replaced = archex("backup", path, "--store", url, "--overwrite")
    assert replaced.returncode == 0
    assert path.name in replaced.stdout.replace("\n", "")
    assert f"not in it: trained models, 0.0 MiB in {models}; `archex store copy --with-files`" in replaced.stdout
    shutil.rmtree(models)
    assert "trained models" not in archex("backup", path, "--store", url, "--overwrite").stdout
    with open_store(f"sqlite:///{path}", create=False) as saved, open_store(url) as store:
        assert digests(saved) == digests(store)
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5)
    assert default_path("sqlite:////data/a.db", moment) == Path("/data/a-20260102-030405.db")
    assert default_path("bolt://host:1", moment) == Path("archex-20260102-030405.db")


def test_passwords_are_not_echoed(archex, monkeypatch):
    for url in ("neo4j://neo4j:s3/cretpw@localhost:7687", "neo4j://neo4j:123/cretpw@h", "neo4j:/neo4j:cretpw@h"):
        assert "cretpw" not in refused(archex("check", "--store", url))
    for words in (
        ("check", "neo4j://neo4j:cretpw@h"),
        ("check", "neo4j://neo4j:my cretpw@h"),
        ("migrate", "neo4j:cretpw@h"),
        ("backup", "a.db", "neo4j://neo4j:'cret\\pw@h"),
    ):
        said = refused(archex(*words))
        assert "cret" not in said
        assert ("--store" in said) == ("://" in words[-1])
    monkeypatch.setenv("EXPLORER_STORE", "neo4j+me:my cretpw@h")
    assert "cretpw" not in refused(archex("check"))


@pytest.mark.parametrize("name", ["", "/", ".", "x" * 300, "x" * 250])
def test_a_store_that_no_file_can_be_is_one_line(archex, tmp_path: Path, name: str):
    for command in ("check", "migrate", "backup"):
        assert "store URL must" in refused(archex(command, "--store", f"sqlite:///{name}"))
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_no_file_can_be_is_one_line(archex, url: str, tmp_path: Path):
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere.db")
    for name in ("", ".", "x" * 300, "x" * 250, "link.db"):
        assert "backup must" in refused(archex("backup", name, "--store", url))
    assert archex("backup", "link.db", "--store", url, "--overwrite").returncode == 0
    assert not (tmp_path / "link.db").is_symlink()
    assert not (tmp_path / "nowhere.db").exists()


def test_an_error_of_the_system_is_one_line(archex, url: str, monkeypatch):
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/full/file")

    monkeypatch.setattr(maintenance, "check", fail)
    done = archex("check", "--store", url)
    assert (done.returncode, done.stderr) == (1, "error: No space left on device: /full/file\n")


def test_what_starts_the_managed_server_tells_so(archex, monkeypatch, tmp_path: Path):
    def start(self: ManagedNeo4j, say: Callable[[str], None]) -> None:
        say("Starting the badger")
        raise StoreError("it slept on")

    monkeypatch.setattr(ManagedNeo4j, "start", start)
    for command in ("check", "backup", "migrate"):
        done = archex(command, "--store", "neo4j")
        assert (done.returncode, done.stderr) == (1, "Starting the badger\nerror: it slept on\n")


def test_check_finds_what_is_wrong(archex, url: str, tmp_path: Path):
    report = document(archex("check", "--store", url, "--json"))
    assert (report["ok"], report["problems"], report["version"]) == (True, [], report["newest"])
    shown = archex("check", "--store", url)
    assert shown.returncode == 0
    assert "no problems" in shown.stdout
    with sqlite3.connect(tmp_path / "explorer.db") as file:
        file.execute("DELETE FROM layer WHERE architecture = 1")
    file.close()
    broken = archex("check", "--store", url, "--json")
    assert (broken.returncode, json.loads(broken.stdout)["ok"]) == (1, False)
    assert "problem: " in broken.stderr
    assert "must exist" in refused(archex("check", "--store", f"sqlite:///{tmp_path}/none.db"))


def test_migrate_brings_an_old_store_up(archex, tmp_path: Path):
    file = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    migrations.apply(file, 1)
    file.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    file.close()
    old = "sqlite:///old.db"
    assert "archex store migrate" in refused(archex("copy", old, "sqlite:///new.db"))
    report = document(archex("migrate", "--store", old, "--json"))
    assert (report["before"], report["after"]) == (1, SCHEMA_VERSION)
    assert Path(report["backup"]).is_file()
    again = archex("migrate", "--store", old)
    assert again.returncode == 0
    assert f"version {SCHEMA_VERSION} -> {SCHEMA_VERSION}" in again.stdout
    assert document(archex("copy", old, "sqlite:///new.db", "--json"))["sections"]["spaces"]["count"] == 0
