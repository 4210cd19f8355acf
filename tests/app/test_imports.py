"""The app starts quickly, because it imports nothing that trains."""

from __future__ import annotations

import subprocess
import sys


def test_no_page_imports_torch():
    code = (
        "import sys; from importlib import import_module; from explorer.app.navigation import PAGES\n"
        "for name in PAGES: import_module(f'explorer.app.{name}.page')\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
