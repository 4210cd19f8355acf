"""Folders appear whole or not at all, whoever else makes them at the same time."""

from __future__ import annotations

import pytest

from explorer.training.files import new_folder


@pytest.mark.parametrize("shared", [True, False])
def test_of_two_who_make_a_folder_at_once_the_second_is_told_unless_both_make_the_same(tmp_path, shared):
    target = tmp_path / "made"

    def make():
        with new_folder(target, shared) as mine:
            (mine / "file").write_text("mine")
            with new_folder(target) as theirs:
                (theirs / "file").write_text("theirs")

    if shared:
        make()
    else:
        with pytest.raises(OSError, match="not empty"):
            make()
    assert (target / "file").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["made"], "nothing temporary is left"
