"""The strategies, one a file: each declares how sites train and how the server steps, and stands as it is in a job's specification."""

from __future__ import annotations

from hansa.learning.strategies.boosting import Boosting
from hansa.learning.strategies.diloco import DiLoCo
from hansa.learning.strategies.fedadagrad import FedAdagrad
from hansa.learning.strategies.fedadam import FedAdam
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategies.fedavgm import FedAvgM
from hansa.learning.strategies.fedbn import FedBN
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.fednova import FedNova
from hansa.learning.strategies.fedprox import FedProx
from hansa.learning.strategies.fedyogi import FedYogi
from hansa.learning.strategies.scaffold import Scaffold
from hansa.learning.strategies.widths import PartialWidth

__all__ = [
    "AnyStrategy",
    "Boosting",
    "DiLoCo",
    "FedAdagrad",
    "FedAdam",
    "FedAvg",
    "FedAvgM",
    "FedBN",
    "FedBuff",
    "FedNova",
    "FedProx",
    "FedYogi",
    "PartialWidth",
    "Scaffold",
]

AnyStrategy = (
    FedAvg | FedAvgM | FedProx | Scaffold | FedNova | FedAdam | FedAdagrad | FedYogi | FedBN | FedBuff | DiLoCo | Boosting | PartialWidth
)
"""What a job may name, by the tag `type`."""
