"""Posteriors over vectors: the mean of a score, its aleatoric noise and its epistemic uncertainty at any point.

The names below need no torch. ``process_surrogate`` and ``surrogate`` hold the two surrogates, ``gobi`` the ascent.
"""

from explorer.surrogate.contract import Region, Surrogate
from explorer.surrogate.settings import ProcessSettings, SurrogateSettings

__all__ = ["ProcessSettings", "Region", "Surrogate", "SurrogateSettings"]
