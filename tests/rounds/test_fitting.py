"""What does not work together is refused with the reason and what to use instead."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import BlobRef
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.randomk import RandomK
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.learning.pace import Pace
from hansa.learning.robust.krum import Krum, MultiKrum
from hansa.learning.robust.mean import Mean
from hansa.learning.robust.median import Median
from hansa.learning.robust.preaggregation import NearestNeighbourMixing
from hansa.learning.robust.trimmed_mean import TrimmedMean
from hansa.learning.strategies import Boosting, PartialWidth
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.scaffold import Scaffold
from hansa.learning.strategy import LocalTraining
from hansa.learning.topology.declaration import Gossip, Ring, Tree
from hansa.model.architectures import Lora, Mlp, Trees
from hansa.rounds.fitting import check_seats, check_time
from tests.rounds.logistic import SPEC

LOCAL = LocalTraining(rate=0.1, batch=8, epochs=1)
MLP = Mlp(3, (4,), 1)
TREES = Trees(3, steps=2, depth=3, bins=8)
FOREST = {"architecture": TREES, "strategy": Boosting(TREES, rows=1_000), "bits": 32, "max_weight": 1}
WIDTHS = {"architecture": MLP, "strategy": PartialWidth(LOCAL, MLP, (1.0, 0.5)), "max_weight": 1}
ADAPTER = Lora(MLP, BlobRef(bytes(32), 1), rank=1, alpha=1)


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
        ({"architecture": TREES}, "grown by the strategy 'boosting', and by no other"),
        ({"strategy": Boosting(TREES, rows=1_000), "max_weight": 1}, "grows nothing but trees"),
        (FOREST | {"architecture": replace(TREES, depth=2)}, "other trees than the job's architecture"),
        (FOREST | {"max_weight": 2}, "set max_weight to 1"),
        (FOREST | {"bits": 16}, "in 16 bits; set bits to 32"),
        (FOREST | {"strategy": Boosting(TREES, rows=1 << 30)}, "in 32 bits; let a site have at most 33554431 rows"),
        (FOREST | {"clip": 1.0}, "which clipping and compression would falsify"),
        (FOREST | {"compression": Quantised()}, "with fewer bins or less depth"),
        (FOREST | {"rule": Median()}, "while trees need their total; leave the rule out"),
        (FOREST | {"rule": NearestNeighbourMixing(1, rule=Mean())}, "while trees need their total"),
        (FOREST | {"pace": Pace(1.0)}, "leave the pace out"),
        (WIDTHS | {"architecture": replace(MLP, hidden=(5,))}, "another architecture than the job"),
        (WIDTHS | {"architecture": ADAPTER, "strategy": PartialWidth(LOCAL, ADAPTER, (1.0,))}, "use it whole with fedavg"),
        (WIDTHS | {"rule": TrimmedMean(1)}, "a narrow site's zeros"),
        (WIDTHS | {"compression": TopK()}, "which width it is of"),
        (WIDTHS | {"clip": 1.0}, "would blur"),
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
        FOREST,
        FOREST | {"rule": Mean()},
        FOREST | {"bits": 16, "strategy": Boosting(TREES, rows=511)},
        WIDTHS | {"rule": Mean(), "pace": Pace(1.0)},
        WIDTHS | {"max_weight": 9},
        {"architecture": ADAPTER, "pace": Pace(1.0)},
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


def test_rounds_and_patience_must_suit_the_strategy_and_the_pace() -> None:
    boosting = Boosting(TREES, rows=9)
    check_time(boosting, None, 6, 60)
    check_time(FedAvg(LOCAL), Pace(59.0), 5, 60)
    for rounds in (5, 9):
        with pytest.raises(ProtocolError, match="use a multiple of 3 up to 6"):
            check_time(boosting, None, rounds, 60)
    with pytest.raises(ProtocolError, match="leave time to send"):
        check_time(FedAvg(LOCAL), Pace(60.0), 5, 60)
