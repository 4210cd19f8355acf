"""The store does not know the programs that use it: no command, kernel or page of theirs is in its texts."""

from __future__ import annotations

from pathlib import Path

import pytest

import graphstore

FILES = sorted(Path(graphstore.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("word", ["`archex ", "explorer", "weisfeiler", "--store"])
def test_no_file_of_the_store_names_a_program_that_uses_it(word: str):
    assert [file.name for file in FILES if word in file.read_text(encoding="utf-8")] == []
