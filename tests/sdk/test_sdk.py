"""A script against a real chain: an order is posted once whatever dies on the way, and a job that nobody wants gives its money back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from hansa.core.errors import ConfigError, ProtocolError
from hansa.core.ports import Call, Ledger, Receipt, Signer
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.market.order import Held, Order, Seats, Times, amount
from hansa.model.architectures import Linear, Objective
from hansa.node.registration import Premises
from hansa.rounds.job import Phase
from hansa.sdk import open_client, open_network
from hansa.simulation.network import Network
from hansa.simulation.plan import TOKEN, Member, NetworkPlan

ORDER = Order(
    title="a small study", budget="60", rounds=2, milestones=2, seats=Seats(trainers=2, quorum=1, verifiers=1),
    times=Times(enrol=600, patience=20, window=10, deadline=3_600), data_schema=Schema((Numeric("age"),), "ill", {"no": 0, "yes": 1}),
    architecture=Linear(1), objective=Objective.BINARY, strategy=FedAvg(LocalTraining(rate=0.1, batch=8, epochs=1)),
    held=Held("held.csv"), seed=7,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "held.csv").write_text("age,ill\n" + "".join(f"{30 + n},{'yes' if n % 3 else 'no'}\n" for n in range(60)))
    return tmp_path


def alone(home: Path) -> Network:
    """A chain and a client, no other node."""
    return Network(NetworkPlan(home / "home", (Member("client", "client", tokens=1_000 * TOKEN),)))


class Killed(BaseException):
    """The process ends here."""


class Mortal:
    """A ledger whose process dies at its n-th sending, with the transaction mined or not even sent."""

    def __init__(self, inner: Ledger, at: int, *, mined: bool) -> None:
        self._inner, self._left, self._mined = inner, at, mined
        self.sent = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def send(self, call: Call, signer: Signer, *, intent: str) -> Receipt:
        self._left -= 1
        if self._left < 0 and not self._mined:
            raise Killed
        receipt = await self._inner.send(call, signer, intent=intent)
        self.sent += 1
        if self._left < 0:
            raise Killed
        return receipt


def test_an_order_is_posted_once_whatever_dies_on_the_way(folder: Path) -> None:
    async def story() -> None:
        async with alone(folder) as network:
            posted, owned = [], network.standings["client"].balance
            for place, (at, mined) in enumerate([(at, mined) for at in range(3) for mined in (False, True)]):
                order = replace(ORDER, seed=place)
                async with open_client(network.config_path("client")) as client:
                    client.ledger = Mortal(client.ledger, at, mined=mined)  # type: ignore[assignment]
                    with pytest.raises(Killed):
                        await client.post(order, folder)
                async with open_client(network.config_path("client")) as client:
                    number = await client.post(order, folder)
                    assert (await client.balances()).balance == owned - (place + 1) * amount(ORDER.budget)
                    assert client.job(number).terms.acceptance == client.node.sealed[number].root()
                    counting = Mortal(client.ledger, 99, mined=True)
                    client.ledger = counting  # type: ignore[assignment]
                    assert await client.post(order, folder) == number and counting.sent == 0
                posted.append(number)
            assert posted == sorted(set(posted))
            async with open_client(network.config_path("client")) as client:
                assert set(client.jobs) == set(posted) == set(client.node.sealed)
                assert await client.post(replace(ORDER, seed=0), folder, again="once more") not in posted

    asyncio.run(story())


def test_a_job_that_nobody_joins_is_cancelled_and_refunded(folder: Path) -> None:
    async def story() -> None:
        async with alone(folder) as network:
            order = replace(ORDER, times=Times(enrol=2, patience=20, window=2, deadline=3_600))
            async with open_client(network.config_path("client")) as client:
                number = await client.post(order, folder)
                seen = [state async for state in client.watch(number)]
                assert (seen[0].phase, seen[-1].phase, seen[-1].closed) == (Phase.ENROLLING, Phase.CLOSED, 3)
                found = await client.balances()
                assert found.market_credit == amount(ORDER.budget)
                assert await Premises(network.config_path("client").parent).collect() == found.market_credit
                assert (await client.balances()).balance == network.standings["client"].balance
                with pytest.raises(ProtocolError, match="has 0 of 2 final rounds"):
                    await client.publish(number, "nothing")
                with pytest.raises(ProtocolError, match="no final round yet"):
                    await client.audit(number)
            async with open_network([network.chain_url], network.deployment_file) as observer:
                assert observer.job(number) == seen[-1] and observer.name(client.account) == "client"
                assert await observer.models() == []
                with pytest.raises(ProtocolError, match="there is no job 99"):
                    observer.job(99)

    asyncio.run(story())


def test_what_does_not_work_leaves_no_trace(folder: Path) -> None:
    async def story() -> None:
        async with alone(folder) as network:
            async with open_client(network.config_path("client")) as client:
                before = await client.balances()
                with pytest.raises(ConfigError, match="above the balance"):
                    await client.post(replace(ORDER, budget="5000"), folder)
                with pytest.raises(ConfigError, match="seats of verifiers cannot be 99"):
                    await client.post(replace(ORDER, seats=Seats(trainers=2, quorum=1, verifiers=99)), folder)
                assert await client.balances() == before
                assert not list((network.config_path("client").parent / "orders").glob("*.json"))

    asyncio.run(story())
