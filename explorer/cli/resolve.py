"""The architecture that a command's argument stands for."""

from __future__ import annotations

from explorer.analysis.architectures import find_architecture
from explorer.cli.console import opened
from explorer.space.spec import ArchitectureSpec
from graphstore.records import ArchitectureRecord


def resolve_spec(text: str, store_url: str) -> ArchitectureSpec:
    """Return the architecture that a user names; the store is opened only if it is needed.

    Raises:
        InputError: see ``find_architecture``.
    """

    def record(id: str) -> ArchitectureRecord:
        with opened(store_url, create=False) as store:
            return store.architecture(id)

    def names() -> dict[str, str]:
        with opened(store_url, create=False) as store:
            return {summary.id: summary.name for summary in store.summaries()}

    return find_architecture(text, record, names, files=True).spec
