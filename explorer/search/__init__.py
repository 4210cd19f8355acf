"""Search policies: ask for architectures to train, tell their scores."""

from explorer.search.policy import Candidates, Policy
from explorer.search.registry import POLICIES, make_policy

__all__ = ["POLICIES", "Candidates", "Policy", "make_policy"]
