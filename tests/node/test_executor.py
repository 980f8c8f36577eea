"""Duties under way: one of a name at a time, again after a pause, never because of another's failure."""

from __future__ import annotations

import asyncio

import pytest

from hansa.node.executor import FIRST_PAUSE, LAST_PAUSE, Executor
from hansa.rounds.duties import Close, Duty, Settle


class Bench:
    """An executor whose time and duties the test holds in its hand."""

    def __init__(self) -> None:
        self.time, self.begun, self.settled = 0.0, list[str](), 0
        self.failures: list[tuple[str, int]] = []
        self.gates: dict[str, asyncio.Future[None]] = {}
        self.executor = Executor(
            self.perform, self.count, lambda duty, error, tries: self.failures.append((duty.name, tries)), lambda: self.time
        )

    def count(self) -> None:
        self.settled += 1

    async def perform(self, duty: Duty) -> None:
        self.begun.append(duty.name)
        self.gates[duty.name] = asyncio.get_running_loop().create_future()
        await self.gates[duty.name]

    async def carry_out(self, *due: Duty) -> None:
        self.executor.carry_out(due)
        await asyncio.sleep(0)

    async def end(self, duty: Duty, error: Exception | None = None) -> None:
        gate = self.gates[duty.name]
        gate.set_exception(error) if error else gate.set_result(None)
        for _ in range(3):
            await asyncio.sleep(0)


A, B = Settle(1, 0), Close(1)


def test_a_duty_runs_once_at_a_time_beside_others() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.carry_out(A, B)
        await bench.carry_out(A, B)
        assert bench.begun == [A.name, B.name] and bench.executor.busy == 2
        await bench.end(A)
        assert bench.settled == 1 and bench.executor.busy == 1
        await bench.executor.close()
        assert bench.executor.busy == 0

    asyncio.run(main())


def test_a_duty_that_succeeded_is_not_repeated_at_once_while_it_is_still_named() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.carry_out(A)
        await bench.end(A)
        await bench.carry_out(A)
        assert bench.begun == [A.name]
        bench.time = LAST_PAUSE
        await bench.carry_out(A)
        assert bench.begun == [A.name] * 2
        await bench.executor.close()

    asyncio.run(main())


def test_a_duty_that_fails_is_tried_again_ever_later_and_for_ever() -> None:
    async def main() -> None:
        bench, pauses = Bench(), list[float]()
        await bench.carry_out(A)
        for _ in range(8):
            await bench.end(A, ValueError("no"))
            failed = bench.time
            while len(bench.begun) == len(pauses) + 1:
                bench.time += 0.05
                await bench.carry_out(A)
            pauses.append(bench.time - failed)
        assert pauses == pytest.approx([FIRST_PAUSE, 0.4, 0.8, 1.6, *[LAST_PAUSE] * 4], abs=0.06)
        for _ in range(1_100):  # two to that power is no number any more
            await bench.end(A, ValueError("no"))
            bench.time += LAST_PAUSE
            await bench.carry_out(A)
        assert bench.failures[-1] == (A.name, 1_108) and bench.executor.busy == 1
        await bench.executor.close()

    asyncio.run(main())


def test_a_failure_is_forgotten_with_the_duty_and_harms_no_other() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.carry_out(A, B)
        await bench.end(A, ValueError("no"))
        assert bench.executor.busy == 1
        await bench.carry_out(B)
        await bench.carry_out(A, B)
        assert bench.begun == [A.name, B.name, A.name] and bench.failures == [(A.name, 1)]
        await bench.end(A, ValueError("no"))
        assert bench.failures == [(A.name, 1), (A.name, 1)]
        await bench.executor.close()

    asyncio.run(main())
