"""Which parts of a job work together, and with how many updates and rounds: asked when a job is posted and by everyone who joins it."""

from __future__ import annotations

from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.learning.pace import Pace
from hansa.learning.robust import AnyRule
from hansa.learning.robust.mean import Mean
from hansa.learning.robust.median import Median
from hansa.learning.robust.trimmed_mean import TrimmedMean
from hansa.learning.strategies import AnyStrategy, Boosting, PartialWidth
from hansa.learning.strategies.fedbuff import FedBuff
from hansa.learning.strategies.scaffold import Scaffold
from hansa.model.architectures import Architecture, Lora, Trees
from hansa.model.update import largest

ROW = 64
"""Steps of the grid that one row must at least be worth in a boosting job's sums."""


def check_architecture(strategy: AnyStrategy, architecture: Architecture) -> None:
    """FormatError unless the strategy trains this architecture."""
    if isinstance(strategy, Boosting) != isinstance(architecture, Trees):
        raise FormatError("trees are grown by the strategy 'boosting', and by no other; boosting grows nothing but trees")
    if isinstance(strategy, Boosting) and strategy.trees != architecture:
        raise FormatError("the boosting strategy declares other trees than the job's architecture; give both the same")
    if isinstance(strategy, PartialWidth):
        if isinstance(architecture, Lora):
            raise FormatError("an adapter has no hidden layers to cut; use it whole with fedavg, or lower its rank for weak devices")
        if strategy.architecture != architecture:
            raise FormatError("the strategy of partial widths declares another architecture than the job; give both the same")


def check_sums(strategy: AnyStrategy, bits: int, clip: float, compression: AnyCompression | None) -> None:
    """FormatError where something stands between a site's vector and the sum that the strategy cannot do with."""
    if isinstance(strategy, Boosting):
        if clip or compression is not None:
            raise FormatError(
                "boosting adds up sites' sums of rows, which clipping and compression would falsify; leave both out, "
                "or send less with fewer bins or less depth"
            )
        if strategy.rows * ROW > largest(bits):
            wider = "set bits to 32" if strategy.rows * ROW <= largest(32) else f"let a site have at most {largest(32) // ROW} rows"
            raise FormatError(f"sums over {strategy.rows} rows of a site cannot tell single rows in {bits} bits; {wider}")
    if isinstance(strategy, PartialWidth) and (clip or compression is not None):
        raise FormatError(
            "under partial widths an update says exactly which width it is of, which clipping and compression would blur; leave both out, "
            "or use fedavg, to which they belong"
        )


def check_pace(strategy: AnyStrategy, pace: Pace | None) -> None:
    """FormatError when there is a pace for a strategy whose sites cannot train less."""
    if pace is not None and isinstance(strategy, Boosting):
        raise FormatError("a site's part in boosting is one count of its rows, which cannot be cut; leave the pace out")


def check_time(strategy: AnyStrategy, pace: Pace | None, rounds: int, patience: float) -> None:
    """ProtocolError, with what to use instead, unless the job's rounds suit its strategy, and its pace leaves a round time for the rest."""
    if isinstance(strategy, Boosting):
        levels, depth = strategy.trees.levels, strategy.trees.depth
        if rounds > levels or rounds % depth:
            raise ProtocolError(
                f"a round grows one level, {depth} a boosting step and {levels} in all, but the job has {rounds}; "
                f"use a multiple of {depth} up to {levels}"
            )
    if pace is not None and pace.seconds >= patience:
        raise ProtocolError(
            f"a site may train {pace.seconds:g} s of a round of {patience:g} s; leave time to send: lower the pace's seconds"
        )


def check_weights(strategy: AnyStrategy, max_weight: int) -> None:
    """FormatError when the strategy needs sites to count alike and the job lets them weigh."""
    if isinstance(strategy, Boosting) and max_weight != 1:
        raise FormatError("under boosting a site counts by its rows' sums already; set max_weight to 1")
    if isinstance(strategy, FedBuff) and max_weight != 1:
        raise FormatError("in an asynchronous job an update's weight is its age's alone; set max_weight to 1")


def check_rule(rule: AnyRule, strategy: AnyStrategy, compression: AnyCompression | None, max_weight: int) -> None:
    """FormatError, with what to use instead, when a rule does not work with the job's strategy, compression or weights."""
    name = rule.__struct_config__.tag
    if max_weight != 1:
        raise FormatError(f"the rule '{name}' counts every site once; set max_weight to 1, or leave the rule out for the weighted mean")
    if isinstance(strategy, FedBuff):
        raise FormatError(f"the rule '{name}' counts every update once, but fedbuff weighs them by age; use a strategy that waits for all")
    if isinstance(strategy, Boosting) and not isinstance(rule, Mean):
        raise FormatError(
            f"the rule '{name}' compares sites' sums, which differ as much as their numbers of rows, while trees need their total; leave "
            "the rule out, or train an mlp by fedavg where sites are not trusted"
        )
    if isinstance(strategy, PartialWidth) and not isinstance(rule, Mean):
        raise FormatError(
            f"the rule '{name}' would compare a narrow site's zeros with what wide sites trained; leave the rule out, or use fedavg, under "
            "which every site trains the whole model"
        )
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
