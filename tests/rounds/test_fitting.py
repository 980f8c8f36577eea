"""What does not work together is refused with the reason and what to use instead."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.randomk import RandomK
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.learning.robust.krum import Krum, MultiKrum
from hansa.learning.robust.median import Median
from hansa.learning.robust.trimmed_mean import TrimmedMean
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.scaffold import Scaffold
from hansa.learning.strategy import LocalTraining
from hansa.learning.topology.declaration import Gossip, Ring, Tree
from hansa.rounds.fitting import check_seats
from tests.rounds.logistic import SPEC

LOCAL = LocalTraining(rate=0.1, batch=8, epochs=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rule": Median()}, "counts every site once; set max_weight to 1"),
        ({"rule": Median(), "max_weight": 1, "compression": TopK()}, "use a rule of distances"),
        ({"rule": TrimmedMean(1), "max_weight": 1, "compression": SparseLoco()}, "random-k, whose coordinates are the same"),
        ({"rule": Krum(1), "max_weight": 1, "strategy": FedBuff(LOCAL, buffer=3)}, "use a strategy that waits for all"),
        ({"strategy": FedBuff(LOCAL, buffer=3)}, "set max_weight to 1"),
        ({"topology": Tree(4)}, "jobs run over the star"),
        ({"topology": Ring()}, "hansa simulate"),
        ({"topology": Gossip()}, "jobs run over the star"),
        ({"clip": -1.0}, "not to -1"),
        ({"clip": float("inf")}, "positive, finite norm"),
    ],
)
def test_a_spec_whose_parts_do_not_fit_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence) as caught:
        replace(SPEC, **change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"rule": Median(), "max_weight": 1},
        {"rule": Median(), "max_weight": 1, "compression": RandomK()},
        {"rule": MultiKrum(1), "max_weight": 1, "compression": TopK()},
        {"strategy": FedBuff(LOCAL, buffer=3), "max_weight": 1},
        {"compression": SparseLoco(), "clip": 1.0},
    ],
)
def test_what_fits_is_taken(change: dict[str, Any]) -> None:
    replace(SPEC, **change)


def test_seats_must_suffice_for_rule_and_strategy_at_every_number_of_updates() -> None:
    check_seats(FedAvg(LOCAL), TrimmedMean(1), 3, 9)
    with pytest.raises(ProtocolError, match="may end with 2 updates, its quorum: the trimmed mean with f=1 needs at least 3"):
        check_seats(FedAvg(LOCAL), TrimmedMean(1), 2, 9)
    with pytest.raises(ProtocolError, match="use the trimmed mean"):
        check_seats(FedAvg(LOCAL), Krum(1), 4, 9)
    with pytest.raises(ProtocolError, match="steps after 3 updates, but the quorum is 4"):
        check_seats(FedBuff(LOCAL, buffer=3), None, 4, 9)
    with pytest.raises(ProtocolError, match="declare as many"):
        check_seats(Scaffold(LOCAL, clients=8), None, 4, 9)
