"""What a study believes about architectures it has not trained: mean, noise and ignorance, from vectors."""

from explorer.surrogate.gobi import Climb, climb
from explorer.surrogate.surrogate import BoshnasSurrogate, SurrogateSettings

__all__ = ["BoshnasSurrogate", "Climb", "SurrogateSettings", "climb"]
