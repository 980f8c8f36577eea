"""A whole network of processes that is kept for many jobs, and the running of one job on it, with processes killed at chosen moments."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace

from hansa.chain.events import Event
from hansa.core.errors import LedgerUnreachable, ProtocolError
from hansa.market.order import Order, amount
from hansa.rounds.job import JobState, Phase
from hansa.sdk import Client, open_client
from hansa.simulation.balances import Books, read_books
from hansa.simulation.hospitals import patients
from hansa.simulation.network import CHAIN, Network
from hansa.simulation.plan import NetworkPlan, hospital_order
from hansa.simulation.watcher import Watcher, watching

T = TypeVar("T")

BUDGET = "600"
TRAINERS = 4
START_SECONDS = 120.0
CLAIM_SECONDS = 60.0
ABSENT_SECONDS = 3.0
QUIET_SECONDS = 0.7
READY = re.compile(r"^(ready |\{\"url\")", re.MULTILINE)
PAID = ("Claimed", "FeeClaimed")


@dataclass(frozen=True)
class Kill:
    """`kill -9` of a process, `delay` seconds after the job's event number `after` (from 0) was seen."""

    name: str
    after: int
    delay: float


@dataclass(frozen=True)
class Run:
    """What one job came to. `events` are its own, each with the seconds since the first; `paid` is what accounts claimed, by account."""

    state: JobState
    events: tuple[tuple[float, Event], ...]
    before: Books
    after: Books
    paid: Counter[str] = field(default_factory=Counter)

    @property
    def model(self) -> str:
        return self.state.final[-1].anchor.model.hex()

    @property
    def seconds(self) -> float:
        return self.events[-1][0]

    @property
    def names(self) -> list[str]:
        return [event.name for _, event in self.events]

    def change(self, name: str) -> int:
        """What an account owns in all, after less before."""
        return self.after.purses[name].total - self.before.purses[name].total


Trouble = Callable[[Network, Event, JobState], Awaitable[None]]
"""Told of every event of the job, to cause trouble at the right one."""


def order(*, rounds: int = 3, milestones: int = 1, window: int = 8, patience: int = 40, quorum: int = TRAINERS, verifiers: int = 3,
          deadline: int = 400) -> Order:  # fmt: skip
    """The hospitals' order with other numbers; its seed is fixed, so that the same accounts always come to the same model."""
    paper = hospital_order(patients().columns)
    seats = replace(paper.seats, quorum=quorum, verifiers=verifiers)
    times = replace(paper.times, enrol=90, patience=patience, window=window, deadline=deadline)
    return replace(paper, budget=BUDGET, rounds=rounds, milestones=milestones, seats=seats, times=times)


class Crew:
    """A running network, its client and an onlooker, in an event loop that lives on from one test to the next."""

    def __init__(self, plan: NetworkPlan, *, restart: bool) -> None:
        self.network = Network(plan, restart=restart)
        self.client: Client
        self.watcher: Watcher
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self._jobs = 0

    def __enter__(self) -> Self:
        try:
            self.run(self._start())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _start(self) -> None:
        await self._open.enter_async_context(self.network)
        self.watcher = await self._open.enter_async_context(watching(self.network.ledger, self.network.deployment))
        self.client = await self._open.enter_async_context(open_client(self.network.config_path("client")))

    def _stop(self) -> None:
        try:
            self.run(self._open.aclose())
        finally:
            self._runner.close()

    async def books(self) -> Books:
        """All money as the chain has it, once it answers."""
        network, end = self.network, time.monotonic() + START_SECONDS
        accounts = {name: network.account(name) for name in network.members} | {"treasury": network.founder.address}
        while True:
            try:
                return await read_books(network.ledger, network.contracts, accounts, int(network.deployment.parameters.supply))
            except LedgerUnreachable:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.2)

    def run_job(
        self, paper: Order, *, kills: Sequence[Kill] = (), trouble: Trouble | None = None, gone: Sequence[str] = (),
        accept: bool = False, timeout: float = 180.0,
    ) -> Run:  # fmt: skip
        """Post, look on until the job is over and everybody has taken its own; TimeoutError otherwise.

        `gone` names members that will not be there at the end to collect; with `accept` the client opens its acceptance shards.
        """
        return self.run(self._job(paper, kills, trouble, gone, accept, timeout))

    async def _job(
        self, paper: Order, kills: Sequence[Kill], trouble: Trouble | None, gone: Sequence[str], accept: bool, timeout: float
    ) -> Run:
        before = await self.books()
        self._jobs += 1
        job = await self.client.post(paper, self.network.config_path("client").parent, again=str(self._jobs))
        if not accept:
            del self.client.node.sealed[job]
        story = _Story(self, job, kills, trouble)
        absent: set[str] = {self.network.account(name) for name in gone}
        try:
            async with asyncio.timeout(timeout):
                while not self._over(await story.next(timeout), absent, accept):
                    pass
                after = await self._collected(story, absent)
        finally:
            await asyncio.gather(*story.strikes)
        if len(story.strikes) != len(kills):
            raise AssertionError(f"only {len(story.strikes)} of {len(kills)} kills happened; the job had {len(story.events)} events")
        await self._all_serve(set(gone))
        return story.run(before, after)

    def _over(self, state: JobState, absent: set[str], accept: bool) -> bool:
        if state.phase is not Phase.CLOSED:
            return False
        members = {*state.trainers, *state.coordinators, *state.candidates} - absent
        measured = not accept or state.closed != 1 or len(state.accepted) == state.terms.milestones
        return members <= set(state.released) and measured

    async def _collected(self, story: _Story, absent: set[str]) -> Books:
        """The books once nothing is left in escrow, or nothing changes any more because who would claim is gone."""
        end = time.monotonic() + (ABSENT_SECONDS if absent else CLAIM_SECONDS)
        while (books := await self.books()).escrow and time.monotonic() < end:
            await asyncio.sleep(0.2)
        with contextlib.suppress(ProtocolError):  # the onlooker's silence: it has told everything
            while True:
                await story.next(QUIET_SECONDS)
        return books

    async def _all_serve(self, gone: set[str]) -> None:
        """Wait until every process that was killed is back."""
        names = [name for name, member in self.network.members.items() if member.role != "client" and name not in gone]
        async with asyncio.timeout(START_SECONDS):
            for name in [CHAIN, *names]:
                child = self.network.children[name]
                while not (child.alive and READY.search(child.output())):
                    await asyncio.sleep(0.05)


class _Story:
    """One job's events as they come, and the kills that wait for them."""

    def __init__(self, crew: Crew, job: int, kills: Sequence[Kill], trouble: Trouble | None) -> None:
        self._crew, self._job, self._kills, self._trouble = crew, job, kills, trouble
        self._state: JobState | None = None
        self.events: list[tuple[float, Event]] = []
        self.strikes: list[asyncio.Task[None]] = []

    async def next(self, timeout: float) -> JobState:
        """The job after its next event; ProtocolError when there is none for `timeout` seconds."""
        event, state = await self._crew.watcher.next(timeout)
        while state.id != self._job:
            event, state = await self._crew.watcher.next(timeout)
        self.strikes += [asyncio.create_task(self._strike(kill)) for kill in self._kills if kill.after == len(self.events)]
        self.events.append((time.monotonic(), event))
        self._state = state
        if self._trouble is not None:
            await self._trouble(self._crew.network, event, state)
        return state

    async def _strike(self, kill: Kill) -> None:
        await asyncio.sleep(kill.delay)
        await self._crew.network.kill(kill.name)

    def run(self, before: Books, after: Books) -> Run:
        if self._state is None:
            raise AssertionError("the job had no event")
        first, paid = self.events[0][0], Counter[str]()
        for _, event in self.events:
            if event.name in PAID:
                paid[str(event.args["account"])] += int(str(event.args["amount"]))
        return Run(self._state, tuple((at - first, event) for at, event in self.events), before, after, paid)


def budget(paper: Order) -> int:
    return amount(paper.budget)
