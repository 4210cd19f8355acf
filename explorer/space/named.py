"""Named architectures of the literature, from ``data/named_models.yaml``."""

from __future__ import annotations

from functools import lru_cache

from explorer.documents.yaml_text import read_yaml
from explorer.errors import SpecError
from explorer.space.formats import from_model_dict
from explorer.space.resources import data_folder
from explorer.space.spec import ArchitectureSpec

_IGNORED = str.maketrans("", "", " -_")


@lru_cache(maxsize=1)
def named_models() -> dict[str, ArchitectureSpec]:
    """Return all named architectures, by name."""
    document = read_yaml(data_folder() / "named_models.yaml")
    return {name: from_model_dict(model) for name, model in document.items()}


def find_named(name: str) -> ArchitectureSpec | None:
    """Return the architecture of this name, ignoring case, blanks, hyphens and underscores, or ``None``."""
    wanted = _letters(name)
    return next((spec for known, spec in named_models().items() if _letters(known) == wanted), None)


def _letters(name: str) -> str:
    return name.casefold().translate(_IGNORED)


def named_model(name: str) -> ArchitectureSpec:
    """Return the architecture of this name; see ``find_named``.

    Raises:
        SpecError: the name is unknown.
    """
    spec = find_named(name)
    if spec is None:
        raise SpecError("model name", f"be one of {', '.join(sorted(named_models()))}", name, "Check the name.")
    return spec
