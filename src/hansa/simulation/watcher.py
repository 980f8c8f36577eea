"""Looking on: every event of one job in order, each with the state it led to; nothing is skipped however fast the network is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from hansa.chain.cursor import Cursor
from hansa.chain.deployment import Contracts, Deployment
from hansa.chain.events import Event
from hansa.core.errors import ProtocolError
from hansa.core.ports import Ledger
from hansa.market.posting import nets
from hansa.node.follower import Follower
from hansa.rounds.job import JobState

News = tuple[Event, JobState]


class Watcher(Follower):
    """A follower that also keeps what it saw, for whoever tells the story."""

    def __init__(self, ledger: Ledger, deployment: Deployment) -> None:
        contracts = Contracts.of(deployment)

        async def read_nets(first: int, milestones: int) -> tuple[int, ...]:
            return await nets(ledger, contracts, first, milestones)

        super().__init__(Cursor(ledger, deployment.events(), first_block=deployment.block), read_nets)
        self._seen: asyncio.Queue[News] = asyncio.Queue()

    def _fold_job(self, event: Event, nets: Mapping[int, tuple[int, ...]]) -> None:
        super()._fold_job(event, nets)
        if "job" in event.args:  # the cohort also says, once, which ledger it obeys
            self._seen.put_nowait((event, self.jobs[int(str(event.args["job"]))]))

    async def next(self, timeout: float) -> News:
        """The next event; ProtocolError when the ledger is silent for `timeout` seconds."""
        try:
            return await asyncio.wait_for(self._seen.get(), timeout)
        except TimeoutError as error:
            raise ProtocolError(f"nothing happened on the ledger for {timeout:g} s; look at the nodes' logs") from error


@asynccontextmanager
async def watching(ledger: Ledger, deployment: Deployment) -> AsyncIterator[Watcher]:
    """A watcher that follows from here on; what came before is folded and not told."""
    watcher = Watcher(ledger, deployment)
    await watcher.catch_up()
    while not watcher._seen.empty():
        watcher._seen.get_nowait()
    async with watcher.running():
        yield watcher
