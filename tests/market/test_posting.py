"""Posting: all of it or nothing, once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from hansa.chain.bindings import structs
from hansa.chain.memory import MemoryLedger
from hansa.core.encoding import decode
from hansa.core.errors import ConfigError, Reverted
from hansa.core.ports import Call, Receipt, Signer
from hansa.core.types import BlobRef
from hansa.market.posting import LONGEST_DISPUTE, Posting, nets, post
from tests.market.world import CLIENT, NODE, NOW, World, terms, world

SPEC = BlobRef(terms().spec, 321)


async def place(
    town: World, budgets: Sequence[int], asked: structs.Terms | None = None, *, intent: str = "job", resumed: bool = False
) -> int:
    return await post(
        town.ledger, town.contracts, CLIENT, SPEC, [CLIENT.address, NODE.address], asked or terms(), budgets, intent=intent, resumed=resumed
    )


def test_a_job_is_funded_one_kernel_job_for_each_milestone_and_opened() -> None:
    async def main() -> None:
        town = await world()
        job = await place(town, [600, 400])
        market, rounds = town.contracts.market, town.contracts.rounds.address
        for milestone, budget in enumerate((600, 400)):
            kernel = await market.get_job(job + milestone).read(town.ledger)
            assert (kernel.client, kernel.provider, kernel.evaluator, kernel.budget) == (CLIENT.address, rounds, rounds, budget)
            assert kernel.expired_at == terms().deadline + LONGEST_DISPUTE * terms().window
            posting = decode(kernel.description.encode(), Posting)
            assert posting == Posting(SPEC.digest.hex(), 321, milestone, (CLIENT.address, NODE.address))
        assert await town.contracts.cohort.terms_of(job).read(town.ledger) == terms()
        assert await town.contracts.token.balance_of(CLIENT.address).read(town.ledger) == 99_000
        assert await nets(town.ledger, town.contracts, job, 2) == (582, 388), "three in a hundred are the market's"

    asyncio.run(main())


def test_the_same_intent_posts_once_and_another_one_again() -> None:
    async def main() -> None:
        town = await world()
        first = await place(town, [600, 400])
        assert await place(town, [600, 400]) == first
        assert await town.contracts.token.balance_of(CLIENT.address).read(town.ledger) == 99_000
        second = await place(town, [600, 400], intent="another")
        assert second == first + 2
        assert await town.contracts.token.balance_of(CLIENT.address).read(town.ledger) == 98_000

    asyncio.run(main())


@pytest.mark.parametrize(
    ("budgets", "asked", "sentence"),
    [
        ([60_000, 40_001], terms(), "the budget of 100001 is above the balance of 100000"),
        ([600], terms(), "1 budgets for 2 milestones"),
        ([600, 0], terms(), "give one positive amount for each"),
        ([600, 400], replace(terms(), deadline=NOW - 1, enrol_by=NOW - 5), "is 5 s in the past"),
        ([600, 400], replace(terms(), enrol_by=NOW), "is 0 s in the past"),
        ([600, 400], replace(terms(), rounds=5), "do not divide"),
        ([600, 400], replace(terms(), quorum=5), "the quorum cannot be 5"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(budgets: list[int], asked: structs.Terms, sentence: str) -> None:
    async def main() -> None:
        town = await world()
        before = await town.ledger.head()
        with pytest.raises(ConfigError, match=sentence):
            await place(town, budgets, asked)
        assert await town.ledger.head() == before

    asyncio.run(main())


class Crash(Exception):
    pass


class Mortal:
    """A ledger whose process dies before one kind of call."""

    def __init__(self, ledger: MemoryLedger, label: str) -> None:
        self._ledger, self._label = ledger, label

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        if call.label == self._label:
            raise Crash
        return await self._ledger.send(call, signer, intent=intent)


@pytest.mark.parametrize("label", ["approve", "createFunded", "open"])
def test_a_posting_that_a_crash_broke_off_is_taken_up_though_its_money_may_be_gone(label: str) -> None:
    async def main() -> None:
        town = await world()
        await town.ledger.send(town.contracts.token.transfer(NODE.address, 99_000), CLIENT, intent="all but a thousand")
        with pytest.raises(Crash):
            await place(town._replace(ledger=Mortal(town.ledger, label)), [600, 400])  # type: ignore[arg-type]
        job = await place(town, [600, 400], resumed=True)
        assert await town.contracts.token.balance_of(CLIENT.address).read(town.ledger) == 0
        assert await town.contracts.cohort.terms_of(job).read(town.ledger) == terms()
        with pytest.raises(ConfigError, match="above the balance of 0"):
            await place(town, [600, 400], intent="another")

    asyncio.run(main())


def test_a_job_is_opened_by_the_client_of_its_money_alone() -> None:
    async def main() -> None:
        town = await world(funded=1)
        with pytest.raises(Reverted):
            await town.ledger.send(town.contracts.rounds.open(1, replace(terms(), milestones=1)), NODE, intent="not mine")

    asyncio.run(main())
