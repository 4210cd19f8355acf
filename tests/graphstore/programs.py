"""Programs that the tests of the managed server find instead of Java, Maven and Docker."""

from __future__ import annotations

from pathlib import Path

FAKE = Path(__file__).with_name("fake_server.py")
"""Answers as a Neo4j that was started by Java."""


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
