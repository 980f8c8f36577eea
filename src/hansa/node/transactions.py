"""From a duty to the contract call that discharges it; what a duty needs beyond the ledger (proofs, shards) is passed in."""

from __future__ import annotations

from collections.abc import Sequence

from hansa.chain.bindings import structs
from hansa.chain.deployment import Contracts
from hansa.core.errors import ProtocolError
from hansa.core.ports import Call
from hansa.core.types import Address
from hansa.rounds import duties
from hansa.rounds.anchor import Anchor
from hansa.rounds.duties import Ballot, Duty


def chain_anchor(anchor: Anchor) -> structs.Anchor:
    """The contract's struct of an anchor: the same fields in the same order."""
    return structs.Anchor(**{field: getattr(anchor, field) for field in anchor.__struct_fields__})


def _columns(ballots: Sequence[Ballot]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[bytes, ...]]:
    return tuple(each.seat for each in ballots), tuple(int(each.judgement) for each in ballots), tuple(each.signature for each in ballots)


def upkeep_call(contracts: Contracts, duty: Duty) -> Call:
    """The call for a duty that needs nothing but the duty itself; ProtocolError for any other."""
    rounds = contracts.rounds
    match duty:
        case duties.Start(job):
            return rounds.start(job)
        case duties.Cancel(job):
            return rounds.cancel(job)
        case duties.SendAnchor(anchor=anchor):
            return rounds.anchor(chain_anchor(anchor))
        case duties.Takeover(job):
            return rounds.takeover(job)
        case duties.Regroup(job):
            return rounds.regroup(job)
        case duties.Leave(job):
            return contracts.cohort.leave_job(job)
        case duties.Challenge(anchor=anchor):
            return rounds.challenge(chain_anchor(anchor))
        case duties.Finalise(anchor=anchor, ballots=ballots, by_time=by_time):
            end = rounds.finalise_by_time if by_time else rounds.finalise
            return end(chain_anchor(anchor), *_columns(ballots))
        case duties.Condemn(anchor=anchor, digest=digest, ballots=ballots):
            seats, _, signatures = _columns(ballots)
            return rounds.condemn(chain_anchor(anchor), digest, seats, signatures)
        case duties.Lapse(anchor=anchor):
            return rounds.lapse(chain_anchor(anchor))
        case duties.VoidRound(anchor=anchor):
            return rounds.void_round(chain_anchor(anchor))
        case duties.Settle(job, milestone):
            return rounds.settle(job, milestone)
        case duties.Expire(job):
            return rounds.expire(job)
        case duties.Close(job):
            return rounds.close(job)
        case _:
            raise ProtocolError(f"{duty.name} is not discharged by a call of its own")


def claim_call(contracts: Contracts, job: int, account: Address, cumulative: int, proof: Sequence[bytes]) -> Call:
    return contracts.rounds.claim(job, account, cumulative, tuple(proof))
