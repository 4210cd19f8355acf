"""The kernel of docs/extending.md is added as the page says: one file, one registration, the suite."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from explorer.similarity import registry
from explorer.testing.kernels import GraphKernelSuite, architectures

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module", autouse=True)
def _added(tmp_path_factory):
    """Write the file and register the kernel."""
    section = PAGE.read_text(encoding="utf-8").split("## Add a kernel")[1].split("## Add a policy")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    folder = tmp_path_factory.mktemp("documented")
    (folder / "documented_kernel.py").write_text(code, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        patch.setitem(registry._CLASSES, "shared_edges", ("documented_kernel", "SharedEdges"))
        yield
    sys.modules.pop("documented_kernel", None)


class TestDocumentedKernel(GraphKernelSuite):
    def make_kernel(self):
        return registry.kernel_named("shared_edges")


def test_value_by_hand():
    first, second = architectures(2, 3)
    kernel = registry.kernel_named("shared_edges").fit([first])
    ours, theirs = kernel._items(first), kernel._items(second)
    common = sum(min(ours[item], theirs[item]) for item in ours)
    expected = 1 - common / (sum(ours.values()) + sum(theirs.values()) - common)
    assert kernel.dissimilarities([second])[0, 0] == pytest.approx(expected, abs=1e-12)
