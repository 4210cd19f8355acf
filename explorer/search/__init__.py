"""Search policies: ``ask`` for architectures to evaluate, ``tell`` their scores."""

from explorer.search.candidates import Candidates, encode_choices
from explorer.search.policy import Capability, Policy
from explorer.search.registry import POLICIES, make_policy, policies_with, policy_class

__all__ = [
    "POLICIES",
    "Candidates",
    "Capability",
    "Policy",
    "encode_choices",
    "make_policy",
    "policies_with",
    "policy_class",
]
