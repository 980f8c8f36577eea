"""Joining brings the ledger to what is wanted, once, also after crashes and after the wanted was undone."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from hansa.core.encoding import sha256
from hansa.core.errors import ConfigError
from hansa.core.ports import Call, Receipt, Signer
from hansa.core.types import Role
from hansa.identity.keys import AccountKey
from hansa.market.membership import Entry, collect, join, leave, standing
from tests.market.world import BUDGET, CLIENT, FOUNDER, NODE, NOW, World, start_job, world

ENTRY = Entry("site", "https://127.0.0.1:7000", sha256(b"certificate"), sha256(b"key"), 2)


class Killed(BaseException):
    """The process ends here."""


class Counting:
    """The chain in memory; says what was sent, and may refuse to go on at the n-th sending, before or after it."""

    def __init__(self, inner: World, *, die_before: int = 99, die_after: int = 99) -> None:
        self.inner, self.sent = inner.ledger, []  # type: ignore[var-annotated]
        self._before, self._after = die_before, die_after

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        if len(self.sent) >= self._before:
            raise Killed
        receipt = await self.inner.send(call, signer, intent=intent)
        self.sent.append(call.label)
        if len(self.sent) >= self._after:
            raise Killed
        return receipt


def test_a_newcomer_stakes_consents_and_registers() -> None:
    async def story() -> None:
        town = await world()
        found = await join(town.ledger, town.contracts, NODE, ENTRY, stake=700, bonds=50)
        assert (found.entry, found.staked, found.free, found.balance, found.allowed, found.bond_allowance) == (
            ENTRY, 700, 700, 99_300, True, 50,
        )  # fmt: skip
        assert await standing(town.ledger, town.contracts, NODE.address) == found

    asyncio.run(story())


def test_what_is_there_already_is_not_sent_again() -> None:
    async def story() -> None:
        town = await world()
        await join(town.ledger, town.contracts, NODE, ENTRY, stake=700, bonds=50)
        again = Counting(town)
        await join(again, town.contracts, NODE, ENTRY, stake=700, bonds=50)  # type: ignore[arg-type]
        assert again.sent == []
        await join(again, town.contracts, NODE, ENTRY, stake=500, bonds=20)  # type: ignore[arg-type]
        assert again.sent == []

    asyncio.run(story())


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("where", ["die_before", "die_after"])
def test_a_crash_at_any_step_costs_nothing_twice(step: int, where: str) -> None:
    async def story() -> None:
        town = await world()
        at = step if where == "die_before" else step + 1
        with pytest.raises(Killed):
            await join(Counting(town, **{where: at}), town.contracts, NODE, ENTRY, stake=700, bonds=50)  # type: ignore[arg-type]
        found = await join(town.ledger, town.contracts, NODE, ENTRY, stake=700, bonds=50)
        assert (found.entry, found.staked, found.balance) == (ENTRY, 700, 99_300)

    asyncio.run(story())


def test_stake_that_was_withdrawn_is_staked_again() -> None:
    async def story() -> None:
        town = await world()
        vault = town.contracts.vault
        for occasion in range(3):
            found = await join(town.ledger, town.contracts, NODE, ENTRY, stake=700, bonds=0)
            assert (found.staked, found.balance) == (700, 99_300)
            await town.ledger.send(vault.thaw(700), NODE, intent=f"thaw/{occasion}")
            town.clock.advance(90_000)
            town.ledger.mine()
            # Protocol time stands still for a gap beyond its bound, so the thaw takes a second wait.
            for part, call in enumerate((town.contracts.clock.tick(), town.contracts.clock.tick())):
                await town.ledger.send(call, NODE, intent=f"tick/{occasion}/{part}")
            for part in range(200):
                town.clock.advance(599)
                await town.ledger.send(town.contracts.clock.tick(), NODE, intent=f"step/{occasion}/{part}")
            await town.ledger.send(vault.withdraw(), NODE, intent=f"withdraw/{occasion}")
            await town.ledger.send(vault.collect(), NODE, intent=f"collect/{occasion}")
            assert (await standing(town.ledger, town.contracts, NODE.address)).staked == 0

    asyncio.run(story())


def test_a_node_that_moved_is_updated_there_and_back() -> None:
    async def story() -> None:
        town = await world()
        moved = msgspec.structs.replace(ENTRY, endpoint="https://127.0.0.1:7001", certificate=sha256(b"new"))
        for entry in (ENTRY, moved, ENTRY, moved):
            assert (await join(town.ledger, town.contracts, NODE, entry, stake=0, bonds=0)).entry == entry

    asyncio.run(story())


def test_other_roles_are_asked_for() -> None:
    async def story() -> None:
        town = await world()
        await join(town.ledger, town.contracts, NODE, ENTRY, stake=0, bonds=0)
        found = await join(town.ledger, town.contracts, NODE, msgspec.structs.replace(ENTRY, roles=6), stake=0, bonds=0)
        assert found.entry is not None and found.entry.roles == 6

    asyncio.run(story())


def test_more_stake_than_one_owns_is_refused_before_anything_is_sent() -> None:
    async def story() -> None:
        town = await world()
        counting = Counting(town)
        with pytest.raises(ConfigError, match="owns 100000, less than the 100001"):
            await join(counting, town.contracts, NODE, ENTRY, stake=100_001, bonds=0)  # type: ignore[arg-type]
        assert counting.sent == []

    asyncio.run(story())


def test_a_node_keeps_its_name() -> None:
    async def story() -> None:
        town = await world()
        await join(town.ledger, town.contracts, NODE, ENTRY, stake=0, bonds=0)
        with pytest.raises(ConfigError, match="registered as 'site', not 'other'"):
            await join(town.ledger, town.contracts, NODE, msgspec.structs.replace(ENTRY, name="other"), stake=0, bonds=0)

    asyncio.run(story())


def test_what_is_owed_is_collected_once() -> None:
    async def story() -> None:
        town = await world(funded=2)
        market = town.contracts.market
        for number in (1, 2):
            call = market.create_funded(NODE.address, CLIENT.address, NOW + 4_000, ("work",), (BUDGET,))
            await town.ledger.send(town.contracts.token.approve(market.address, BUDGET), CLIENT, intent=f"allow/{number}")
            await town.ledger.send(call, CLIENT, intent=f"offer/{number}")
            await town.ledger.send(market.reject(2 + number, bytes(32), b""), CLIENT, intent=f"reject/{number}")
            before = await standing(town.ledger, town.contracts, CLIENT.address)
            assert before.market_credit == BUDGET
            assert await collect(town.ledger, town.contracts, CLIENT) == BUDGET
            after = await standing(town.ledger, town.contracts, CLIENT.address)
            assert (after.market_credit, after.balance) == (0, before.balance + BUDGET)
            assert await collect(town.ledger, town.contracts, CLIENT) == 0

    asyncio.run(story())


async def running(town: World) -> tuple[int, AccountKey]:
    """A job in which NODE is the trainer, with 700 staked and 100 of it bound; its coordinator, too."""
    people = [(NODE, Role.TRAINER), *((AccountKey(bytes([60 + role]) * 32), role) for role in (Role.COORDINATOR, Role.VERIFIER))]
    for key, role in people:
        if key is not NODE:
            await town.ledger.send(town.contracts.token.transfer(key.address, 1_000), FOUNDER, intent=f"grant/{role}")
        entry = msgspec.structs.replace(ENTRY, name=f"the {role.name.lower()}", roles=1 << role)
        await join(town.ledger, town.contracts, key, entry, stake=700, bonds=0)
    return await start_job(town.ledger, town.contracts, CLIENT, people, stakes=100), people[1][0]


def test_a_trainer_leaves_once_and_has_its_stake_free_at_once() -> None:
    async def story() -> None:
        town = await world()
        job, _ = await running(town)
        assert (await standing(town.ledger, town.contracts, NODE.address)).free == 600
        assert await leave(town.ledger, town.contracts, NODE, job) == 100
        assert (await standing(town.ledger, town.contracts, NODE.address)).free == 700
        assert await town.contracts.cohort.attendance(job).read(town.ledger) == (0, 1)
        again = Counting(town)
        with pytest.raises(ConfigError, match="has left job 1 already"):
            await leave(again, town.contracts, NODE, job)  # type: ignore[arg-type]
        assert not again.sent

    asyncio.run(story())


def test_only_a_trainer_of_a_job_that_runs_leaves() -> None:
    async def story() -> None:
        town = await world()
        job, coordinator = await running(town)
        for signer, number in ((coordinator, job), (CLIENT, job), (NODE, job + 1)):
            with pytest.raises(ConfigError, match=f"is no trainer of job {number}"):
                await leave(town.ledger, town.contracts, signer, number)
        for step in range(15):
            town.clock.advance(500)
            await town.ledger.send(town.contracts.clock.tick(), NODE, intent=f"tick/{step}")
        await town.ledger.send(town.contracts.rounds.expire(job), NODE, intent="expire")
        with pytest.raises(ConfigError, match="does not run"):
            await leave(town.ledger, town.contracts, NODE, job)

    asyncio.run(story())
