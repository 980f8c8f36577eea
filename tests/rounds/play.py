"""Playing a whole job under the eyes of `Watch`, and asking what became of it."""

from __future__ import annotations

from hansa.core.errors import ProtocolError
from hansa.core.types import Role
from hansa.rounds import events as facts
from hansa.rounds.anchor import Anchor
from hansa.rounds.job import Phase
from hansa.simulation.company import WEALTH, account
from hansa.simulation.world import World
from tests.rounds.watch import Watch

PRIMARY, STANDBY = account(Role.COORDINATOR, 0), account(Role.COORDINATOR, 1)
TRAINERS = [account(Role.TRAINER, number) for number in range(4)]


def play(world: World, seconds: int = 1000, *, until: Phase = Phase.CLOSED, watch: Watch | None = None) -> Watch:
    watch = watch or Watch(world)
    for _ in range(seconds):
        world.step()
        watch.check()
        if world.job().phase is until:
            break
    if until is Phase.CLOSED:
        watch.finish()
    return watch


def count(world: World, kind: type[facts.LedgerEvent]) -> int:
    return sum(isinstance(fact, kind) for fact in world.referee.log)


def not_now(account: str, anchor: Anchor, ballots: object) -> None:
    raise ProtocolError("not now")


def lost(world: World, name: str) -> int:
    """What a member's stake has lost."""
    return WEALTH // 10 - world.purse.staked[name]


def models(world: World) -> list[bytes]:
    return [final.anchor.model for final in world.job().final]
