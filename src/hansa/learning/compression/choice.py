"""What a job's spec may name as its compression."""

from __future__ import annotations

from hansa.learning.compression.power_sgd import PowerSgd
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.randomk import RandomK
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK

AnyCompression = TopK | RandomK | Quantised | PowerSgd | SparseLoco
