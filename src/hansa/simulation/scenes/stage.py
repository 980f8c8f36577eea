"""What every scene of the demo stands on: the running network, the client's node, the patients, and who tells what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hansa.chain.bindings import structs
from hansa.core.clock import SystemClock
from hansa.core.errors import ProtocolError
from hansa.core.types import BlobRef
from hansa.market.acceptance import seal
from hansa.market.posting import post
from hansa.model import codec
from hansa.node.client import ClientNode
from hansa.node.compose import compose
from hansa.node.config import load_node
from hansa.rounds.job import JobState
from hansa.rounds.spec import JobSpec, write_spec
from hansa.simulation.balances import Books, read_books
from hansa.simulation.hospitals import Patients
from hansa.simulation.network import Network
from hansa.simulation.plan import TOKEN
from hansa.simulation.study import Comparison, Held, first_model, specification
from hansa.simulation.telling import Telling

PATIENCE, WINDOW = 40, 8


@dataclass
class Stage:
    """One network at work; `memory` is the most it was seen to need, in bytes."""

    network: Network
    client: ClientNode
    patients: Patients
    tell: Telling
    memory: int = 0

    @property
    def majority(self) -> float:
        """Share of the commoner diagnosis among the client's patients."""
        ill = float(self.patients.client.labels.mean())
        return max(ill, 1 - ill)

    def weigh(self) -> None:
        self.memory = max(self.memory, self.network.memory())

    async def books(self) -> Books:
        network = self.network
        accounts = {name: network.account(name) for name in network.members} | {"treasury": network.founder.address}
        return await read_books(network.ledger, network.contracts, accounts, int(network.deployment.parameters.supply))

    async def post(
        self, held: Held, budget: int, *, rounds: int, milestones: int, change: Callable[[JobSpec], JobSpec] = lambda spec: spec
    ) -> int:
        """The study as a job: blobs first, then the money, then the terms. `change` makes another specification of it."""
        network, client = self.network, self.client
        contracts, columns = network.contracts, self.patients.columns
        genesis = await client.offer(codec.encode(first_model(columns)))
        progress = await client.offer(held.progress)
        sealed = seal(
            network.plan.chain_id, contracts.acceptance.address, client.account, [await client.offer(each) for each in held.sealed]
        )
        spec = await client.offer(write_spec(change(specification(columns, genesis, progress, self.majority))))
        now = await contracts.clock.time().read(network.ledger)
        terms = structs.Terms(
            spec=spec.digest, genesis=genesis.digest, acceptance=sealed.root(), rounds=rounds, milestones=milestones, quorum=3,
            verifiers=3, coordinator_bps=1_000, verifier_bps=1_500, enrol_by=now + 60, patience=PATIENCE, window=WINDOW,
            deadline=now + 600, trainer_stake=100 * TOKEN, coordinator_stake=3_000 * TOKEN, verifier_stake=1_000 * TOKEN,
            challenge_bond=50 * TOKEN, max_trainers=len(self.patients.hospitals),
        )  # fmt: skip
        ledger, signer = client.parts.ledger, client.parts.signer
        budgets, intent = [budget // milestones] * milestones, f"demo/{spec.digest.hex()}"
        job = await post(ledger, contracts, signer, spec, [client.account], terms, budgets, intent=intent)
        client.sealed[job] = sealed
        return job

    async def until(self, job: int, done: Callable[[JobState], bool], timeout: float = 120.0) -> JobState:
        """The job once `done` holds of it; ProtocolError when it does not come to that in `timeout` seconds."""
        follower, end = self.client.follower, time.monotonic() + timeout
        while job not in follower.jobs or not done(follower.jobs[job]):
            if time.monotonic() > end:
                raise ProtocolError(f"job {job} does not come to its end; see the logs in {self.network.home / 'logs'}")
            await follower.change(1.0)
        return follower.jobs[job]

    async def model_after(self, state: JobState, number: int) -> bytes:
        """The blob of the model after a final round."""
        anchor = state.final[number - 1].anchor
        return await self.client.blobs.get(BlobRef(anchor.model, anchor.model_size), self.client.holders(state))

    def comparison(self, held: Held, rounds: int) -> Comparison:
        workers = self.client.parts.workers
        if workers is None:
            raise ProtocolError("the client was composed without workers")
        return Comparison(workers, self.patients, held, rounds)


@asynccontextmanager
async def client_of(network: Network) -> AsyncIterator[ClientNode]:
    """The client's node, in this process, while the scenes run."""
    config = network.config_path("client")
    client = ClientNode(await compose(load_node(config), config.parent, SystemClock()))
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(client.run(stop, ready.set_result))
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield client
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
