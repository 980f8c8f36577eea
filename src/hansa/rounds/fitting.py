"""Which rule works with what else a job declares, and with how many updates: asked when a job is posted and by everyone who joins it."""

from __future__ import annotations

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.learning.robust import AnyRule
from hansa.learning.robust.median import Median
from hansa.learning.robust.trimmed_mean import TrimmedMean
from hansa.learning.strategies import AnyStrategy
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.scaffold import Scaffold


def check_weights(strategy: AnyStrategy, max_weight: int) -> None:
    """FormatError when the strategy needs sites to count alike and the job lets them weigh."""
    if isinstance(strategy, FedBuff) and max_weight != 1:
        raise FormatError("in an asynchronous job an update's weight is its age's alone; set max_weight to 1")


def check_rule(rule: AnyRule, strategy: AnyStrategy, compression: AnyCompression | None, max_weight: int) -> None:
    """FormatError, with what to use instead, when a rule does not work with the job's strategy, compression or weights."""
    name = rule.__struct_config__.tag
    if max_weight != 1:
        raise FormatError(f"the rule '{name}' counts every site once; set max_weight to 1, or leave the rule out for the weighted mean")
    if isinstance(strategy, FedBuff):
        raise FormatError(f"the rule '{name}' counts every update once, but fedbuff weighs them by age; use a strategy that waits for all")
    # Where each site chooses its own few coordinates, most of a coordinate's values are zero, and so is their middle.
    if isinstance(compression, (TopK, SparseLoco)) and isinstance(innermost(rule), (Median, TrimmedMean)):
        raise FormatError(
            f"the rule '{name}' takes each coordinate's middle, which is zero where every site sends other coordinates; use a rule of "
            "distances (multi-krum, nearest-neighbour mixing before the mean), or random-k, whose coordinates are the same for all"
        )


def check_seats(strategy: AnyStrategy, rule: AnyRule | None, quorum: int, trainers: int) -> None:
    """ProtocolError, with what to use instead, unless strategy and rule work with every number of updates that can make a round."""
    if isinstance(strategy, FedBuff) and strategy.buffer != quorum:
        raise ProtocolError(f"fedbuff steps after {strategy.buffer} updates, but the quorum is {quorum}; make them the same")
    if isinstance(strategy, Scaffold) and strategy.clients < trainers:
        raise ProtocolError(f"scaffold is declared for {strategy.clients} clients, but {trainers} may be seated; declare as many")
    if rule is not None:
        _check_count(rule, quorum)


def _check_count(rule: AnyRule, quorum: int) -> None:
    try:
        rule.check(quorum)
    except ProtocolError as error:
        raise ProtocolError(f"a round may end with {quorum} updates, its quorum: {error}") from error


def innermost(rule: AnyRule) -> AnyRule:
    """The rule behind what is put in front of it."""
    inner: AnyRule | None = getattr(rule, "rule", None)
    return rule if inner is None else innermost(inner)
