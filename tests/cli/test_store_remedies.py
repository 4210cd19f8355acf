"""Every code of the store's errors has a remedy that names a command."""

from __future__ import annotations

import pytest

from explorer.remedies import with_remedy
from graphstore.errors import Code, NotFoundError, StoreError


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_remedy(code: Code):
    told = with_remedy(StoreError("it is wrong.", code, "sqlite:///mine.db"))
    assert told.startswith("it is wrong. ")
    assert "archex" in told or "app" in told
    assert "{" not in told


def test_errors_without_a_code_stay_as_they_are():
    assert with_remedy(NotFoundError("gone")) == "gone"


def test_commands_name_the_remedy(archex):
    code, _, told = archex("space", "count", "nano")
    assert code == 0, told
    code, _, told = archex("find", "--store", "sqlite:///none.db")
    assert code == 2
    assert "store file must exist" in told
    assert "archex space build nano" in told
