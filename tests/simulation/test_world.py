"""The world itself: what is lost, what survives, and that the same seed tells the same story."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hansa.core.errors import ProtocolError
from hansa.core.types import Role
from hansa.rounds import events as facts
from hansa.rounds.job import Phase
from hansa.simulation.company import account, company
from hansa.simulation.party import Party
from hansa.simulation.world import World

ONE, TWO, THREE = (account(Role.TRAINER, number) for number in range(3))


def heard(world: World, sender: str, recipient: str, after: Callable[[], None] = lambda: None) -> bool:
    got: list[Party] = []
    world.send(world.parties[sender], recipient, got.append)
    after()
    world.step()
    return bool(got)


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    def story(seed: int) -> list[facts.LedgerEvent]:
        world = company(seed=seed, loss=0.3, delay=2.0, quorum=3)
        world.run(100)
        return world.referee.log

    assert story(1) == story(1) and any(story(1) != story(seed) for seed in (2, 3, 4))


def test_messages_reach_who_is_up_and_on_the_same_island() -> None:
    world = company()
    assert heard(world, ONE, TWO)
    assert not heard(world, ONE, TWO, lambda: world.part([TWO]))
    assert heard(world, ONE, THREE)
    world.heal()
    assert not heard(world, ONE, TWO, lambda: world.kill(TWO))
    world.restart(TWO)
    assert heard(world, ONE, TWO) and not heard(world, ONE, TWO, lambda: world.kill(ONE))


def test_all_is_lost_when_everything_is_lost() -> None:
    assert not heard(company(loss=1.0), ONE, TWO)


def test_a_crash_takes_the_work_and_leaves_journal_and_blobs() -> None:
    world = company()
    done: list[int] = []
    trainer = world.parties[ONE]
    world.step()
    world.step()
    journal, blobs = list(trainer.journal), dict(trainer.blobs)
    assert journal and len(blobs) > 1
    world.later(0.5, trainer, lambda: done.append(1))
    world.kill(ONE)
    world.restart(ONE)
    world.step()
    assert not done and trainer.journal[: len(journal)] == journal and trainer.blobs.items() >= blobs.items()
    assert trainer.steady_since == world.clock.now() - 1


def test_a_transaction_is_mined_once_though_its_sender_crashes_or_repeats_it() -> None:
    world = company(delay=1.0)
    mined: list[int] = []
    answers: list[bool] = []
    for _ in range(2):
        world.transact(world.parties[ONE], "intent", lambda: mined.append(1), answers.append)
    world.kill(ONE)
    world.step()
    assert mined == [1] and answers == []
    world.restart(ONE)
    world.transact(world.parties[ONE], "intent", lambda: mined.append(1), answers.append)
    world.step()
    assert mined == [1] and answers == [True]


def test_a_refusal_is_told_and_may_be_tried_again() -> None:
    world, answers = company(), list[bool]()

    def refuse() -> None:
        raise ProtocolError("no")

    world.transact(world.parties[ONE], "intent", refuse, answers.append)
    world.step()
    world.transact(world.parties[ONE], "intent", lambda: None, answers.append)
    world.step()
    assert answers == [False, True] and (ONE, "intent", "no") in world.refused


def test_who_does_not_reach_the_ledger_acts_on_what_it_knew() -> None:
    world = company()
    world.step()
    world.cut_off(ONE)
    before = world.parties[ONE].view
    answers: list[bool] = []
    world.transact(world.parties[ONE], "intent", lambda: None, answers.append)
    world.run(10)
    assert answers == [False] and world.parties[ONE].view == before != world.job()
    world.heal()
    world.step()
    assert world.parties[ONE].view == world.job()


def test_a_job_that_was_never_opened_has_no_state() -> None:
    world = World({})
    world.referee.log.append(facts.JobClosed(job=1, reason=1))
    with pytest.raises(ProtocolError, match="first fact"):
        world.job()


def test_hundreds_of_jobs_differ_only_in_what_happened_to_them() -> None:
    ends = {(world.job().closed, len(world.job().final)) for world in map(_played, range(40))}
    assert ends == {(1, 2)}


def _played(seed: int) -> World:
    world = company(seed=seed, loss=0.2, delay=1.5)
    world.run(400, until=lambda: world.job().phase is Phase.CLOSED)
    return world
