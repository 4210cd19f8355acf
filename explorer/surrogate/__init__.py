"""What a study believes about architectures it has not trained: mean, noise and ignorance, from vectors."""

from explorer.surrogate.contract import Region, Surrogate
from explorer.surrogate.gobi import Climb, climb
from explorer.surrogate.process_surrogate import ProcessSettings, ProcessSurrogate
from explorer.surrogate.surrogate import BoshnasSurrogate, SurrogateSettings

__all__ = [
    "BoshnasSurrogate",
    "Climb",
    "ProcessSettings",
    "ProcessSurrogate",
    "Region",
    "Surrogate",
    "SurrogateSettings",
    "climb",
]
