"""Sources of scores: the text that says which training a score came from."""

from __future__ import annotations


def trial_source(study: str, number: int) -> str:
    """What the scores of a study's trial name as their source."""
    return f"trained:{study}/{number}"
