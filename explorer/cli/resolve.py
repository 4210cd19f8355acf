"""The architecture that a command's argument names."""

from __future__ import annotations

from explorer.analysis.architectures import find_architecture
from explorer.cli.console import opened, say
from explorer.space.spec import ArchitectureSpec
from graphstore.errors import Code, NotFoundError, StoreInputError
from graphstore.records import ArchitectureRecord


def resolve_spec(text: str, store_url: str) -> ArchitectureSpec:
    """Return the architecture that a user names; the store is opened only if it is needed.

    Raises:
        InputError: see ``find_architecture``.
    """

    def record(id: str) -> ArchitectureRecord:
        try:
            with opened(store_url, create=False) as store:
                return store.architecture(id)
        except StoreInputError as error:
            if error.code is Code.NO_STORE:  # A store that does not exist has no architectures.
                raise NotFoundError(str(error), error.code) from None
            raise

    def names() -> dict[str, str]:
        try:
            with opened(store_url, create=False) as store:
                return {summary.id: summary.name for summary in store.summaries()}
        except StoreInputError as error:
            if error.code is Code.NO_STORE:
                return {}
            raise

    found = find_architecture(text, record, names, files=True)
    if found.read_as:
        say(f"{text} is read as {found.read_as}")
    return found.spec
