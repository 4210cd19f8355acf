"""Libraries of layout 2, which kept no kernels: they place architectures as the version that built them did."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.library.beginning import check_kernel
from explorer.library.library import Library
from explorer.library.spaces import build_space, is_ready
from explorer.progress import SilentReporter
from explorer.similarity.registry import kernel_named
from explorer.space.formats import from_json
from explorer.space.grammar import load_space
from graphstore import open_store
from graphstore.maintenance import migrate
from graphstore.records import SpaceRecord

DATA = Path(__file__).parent / "data"


def tiny():
    """The 96 two-layer architectures of the nano grammar."""
    return dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))


@pytest.fixture
def old(tmp_path):
    """A store with libraries of layout 2 and an architecture that its version had adopted."""
    path = tmp_path / "layout2.db"
    path.write_bytes(gzip.decompress((DATA / "layout2.db.gz").read_bytes()))
    migrate(f"sqlite:///{path}", lambda line: None)
    with open_store(f"sqlite:///{path}") as opened:
        yield opened


@pytest.mark.parametrize("space", ["tiny", "s.level2"])
def test_libraries_of_layout_2_place_as_before(old, space):
    expected = json.loads((DATA / "layout2.json").read_text())
    specs = [from_json(json.dumps(spec)) for spec in expected["specs"]]
    before = old.embeddings(space)
    tables = {kernel: old.neighbor_table(space, kernel) for kernel in old.kernels(space)}
    opened = Library.open(old, space)
    vectors = np.array([[float.fromhex(x) for x in row] for row in expected[space]["vectors"]], dtype=np.float32)
    placed = opened.place(specs)
    # Another machine finds axes of equal variance turned; they are turned back.
    np.testing.assert_allclose(placed, vectors, atol=1e-5)
    for spec, near in zip(specs, expected[space]["neighbors"], strict=True):
        found = opened.nearest(spec, 10)
        assert [n.target for n in found] == [target for target, _, _ in near]
        np.testing.assert_allclose([n.dissimilarity for n in found], [value for _, _, value in near], atol=1e-12)
    assert opened.append(specs) == len(specs)
    after = old.embeddings(space)
    np.testing.assert_array_equal(after.vectors[: len(before.ids)], before.vectors)
    np.testing.assert_array_equal(after.vectors[len(before.ids) :], placed)
    for kernel, table in tables.items():
        assert [n for n in old.neighbor_table(space, kernel) if n.source in set(before.ids)] == table
    # From now on the stored kernels are used.
    again = Library.open(old, space)
    np.testing.assert_array_equal(again.place(specs), placed)
    assert set(old.fitted_kernels(space)) == {"views", "weisfeiler_lehman"}
    with pytest.raises(InputError, match="begun with"):
        check_kernel(old.space(space), kernel_named("views"))


def test_an_unfinished_library_of_layout_2_is_built_again(old):
    info = old.space("tiny").info
    old.put_space(SpaceRecord("tiny", {"title": info["title"], "source": info["source"], "ready": False}))
    assert not is_ready(old, "tiny")
    opened = build_space(old, tiny(), SilentReporter())
    assert old.kernels("tiny") == ["views"]
    assert opened.embeddings.ids == tuple(old.architecture_ids("tiny"))
    kernel = kernel_named("views").fit(opened.graphs(opened.embeddings.ids))
    np.testing.assert_array_equal(opened.embeddings.vectors, kernel.vectors)
