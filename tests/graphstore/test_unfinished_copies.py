"""A copy that was begun and not finished is told from a store, by a check and by a copy of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.copying import copy_store, digests
from graphstore.errors import StoreError, StoreInputError
from graphstore.maintenance import check
from graphstore.reports import UNFINISHED
from graphstore.testing import samples


def test_an_unfinished_copy_is_not_copied_on(tmp_path: Path):
    with (
        open_store(f"sqlite:///{tmp_path}/one.db") as one,
        open_store(f"sqlite:///{tmp_path}/two.db") as two,
        open_store(f"sqlite:///{tmp_path}/three.db") as three,
    ):
        samples.fill(one)

        def interrupted(section: str, done: int, total: int) -> None:
            if section == "scores":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy_store(one, two, interrupted)
        assert check(two.url).problems == (UNFINISHED,)
        with pytest.raises(StoreError, match="run the same copy again"):
            copy_store(two, three)
        assert three.spaces() == []
        copy_store(one, two)
        copy_store(two, three)
        assert digests(three) == digests(one)


def test_a_refused_copy_marks_nothing(tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path}/one.db") as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        samples.fill(one)
        two.put_space(samples.space("other"))
        with pytest.raises(StoreInputError, match="nothing was written"):
            copy_store(one, two)
        assert two.problems() == []
