"""Multicall: many reads of one block, no writes."""

from __future__ import annotations

from eth_utils import keccak

from tests.contracts.world import World


def test_reads_are_answered_in_order_and_a_failing_one_fails_alone(world: World) -> None:
    time, nonsense, supply = (keccak(text=name)[:4] for name in ("time()", "nonsense()", "totalSupply()"))
    calls = [[world.clock.address, time], [world.clock.address, nonsense], [world.token.address, supply]]
    number, timestamp, results = world.multicall.aggregate(calls)
    assert (number, timestamp) == (world.evm.number, world.evm.now)
    assert [result.success for result in results] == [True, False, True]
    assert int.from_bytes(results[0].data, "big") == world.clock.time()
    assert int.from_bytes(results[2].data, "big") == world.token.totalSupply()


def test_nothing_can_be_written_through_it(world: World) -> None:
    world.evm.pass_time(5)
    _, _, results = world.multicall.aggregate([[world.clock.address, keccak(text="tick()")[:4]]])
    assert not results[0].success
