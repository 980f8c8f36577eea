"""Whole jobs whose trainers come and go: from when each works, what each is paid, and that nobody else pays for it."""

from __future__ import annotations

import pytest

from hansa.core.errors import ProtocolError
from hansa.core.types import Role
from hansa.rounds import duties
from hansa.rounds import events as facts
from hansa.rounds.job import Phase
from hansa.rounds.trainer import TrainerFacts, trainer_duties
from hansa.rounds.upkeep import GRACE, upkeep
from hansa.simulation import adversary as bad
from hansa.simulation.company import CLIENT, WEALTH, account, company
from hansa.simulation.worker import Coordinator, Trainer
from hansa.simulation.world import World
from tests.rounds.play import PRIMARY, STANDBY, TRAINERS, count, lost, play
from tests.rounds.states import JOB, OUTSIDER, TERMS, T, after, finalised, names, round_opened, running
from tests.rounds.watch import Watch

LATE = [account(Role.TRAINER, number) for number in range(4, 7)]


def until(world: World, watch: Watch, round: int, phase: Phase = Phase.OPEN) -> None:
    """Step to the first moment in which that round is in that phase."""
    while (world.job().round, world.job().phase) != (round, phase):
        assert world.job().phase is not Phase.CLOSED, "the job ended before"
        world.step()
        watch.check()


def come(world: World, *accounts: str) -> None:
    for each in accounts:
        world.referee.enrol(each, Role.TRAINER)


def earned(world: World, name: str) -> int:
    return world.purse.wallets[name] - (WEALTH - WEALTH // 10)


def test_a_newcomer_works_from_its_first_round_on_and_is_paid_for_it() -> None:
    world = company(late=(Trainer,), room=1, rounds=3, quorum=3)
    watch = Watch(world)
    until(world, watch, 1)
    come(world, LATE[0])
    play(world, watch=watch)
    assert [final.anchor.accepted for final in world.job().final] == [4, 5, 5]
    assert 0 < earned(world, LATE[0]) < earned(world, TRAINERS[0]) and world.purse.locks == {}
    made = [entry[1].statement.round for entry in world.parties[LATE[0]].journal if entry[0] == "made"]
    assert made == [2, 3]


def test_a_leaver_is_paid_for_what_it_left_in_and_nobody_waits_for_it_later() -> None:
    world = company(rounds=3, quorum=3)
    watch = Watch(world)
    until(world, watch, 1)
    world.parties[TRAINERS[0]].note("leaving")
    until(world, watch, 2)
    assert TRAINERS[0] not in world.purse.locks and len(world.purse.locks) == 8  # the others are bound as before
    began = world.clock.now()
    until(world, watch, 3)
    # Three of three are there long before a round stops waiting.
    assert world.clock.now() - began < world.job().terms.patience / 2
    play(world, watch=watch)
    assert [final.anchor.accepted for final in world.job().final] == [4, 3, 3] and count(world, facts.Left) == 1
    assert 0 < earned(world, TRAINERS[0]) < earned(world, TRAINERS[1])


def test_who_leaves_before_its_update_is_made_still_makes_and_brings_it() -> None:
    world = company(rounds=2, quorum=3)
    watch = Watch(world)
    until(world, watch, 1)
    world.referee.leave(TRAINERS[0])
    assert not any(entry[0] == "made" for entry in world.parties[TRAINERS[0]].journal)
    play(world, watch=watch)
    assert [final.anchor.accepted for final in world.job().final] == [4, 3] and earned(world, TRAINERS[0]) > 0


def test_who_leaves_without_an_update_is_waited_for_once() -> None:
    world = company(rounds=2, quorum=3)
    watch = Watch(world)
    until(world, watch, 1)
    world.kill(TRAINERS[0])
    world.referee.leave(TRAINERS[0])
    until(world, watch, 2)
    assert world.clock.now() >= world.job().final[0].anchored_at >= 24 * 3 / 4
    play(world, watch=watch)
    assert [final.anchor.accepted for final in world.job().final] == [3, 3] and not lost(world, PRIMARY)


@pytest.mark.parametrize("liar", [bad.LyingCoordinator, bad.WithholdingCoordinator])
def test_another_attempt_goes_on_without_the_leavers_update(liar: type[Coordinator]) -> None:
    world = company(coordinators=(liar, Coordinator), rounds=2, quorum=3)
    watch = Watch(world)
    until(world, watch, 1, Phase.ANCHORED)
    world.referee.leave(TRAINERS[0])
    play(world, watch=watch)
    # The standby had never been brought it; whoever had it must not use it either.
    assert [final.anchor.accepted for final in world.job().final] == [3, 3] and not lost(world, STANDBY)


def test_the_same_coordinator_does_not_sum_what_a_leaver_brought_for_an_attempt_that_is_void() -> None:
    world = company(coordinators=(Coordinator,), rounds=1, quorum=3)
    watch = Watch(world)
    until(world, watch, 1, Phase.ANCHORED)
    anchor = world.job().anchor
    assert anchor is not None
    world.referee.leave(TRAINERS[0])
    world.referee.challenge(CLIENT, anchor)
    for name, party in world.parties.items():
        if party.role is Role.VERIFIER:
            world.kill(name)
    while world.job().attempt == 0:
        world.step()
        watch.check()
    for name in world.parties:
        world.restart(name)
    play(world, watch=watch)
    final = world.job().final[0]
    assert (final.anchor.attempt, final.anchor.accepted, final.coordinator) == (1, 3, PRIMARY) and not lost(world, PRIMARY)


def test_a_seat_that_a_leaver_gave_up_is_taken_by_another() -> None:
    world = company(late=(Trainer, Trainer), rounds=3)
    watch = Watch(world)
    until(world, watch, 1)
    with pytest.raises(ProtocolError, match="every place"):
        come(world, LATE[0])
    world.referee.leave(TRAINERS[3])
    come(world, LATE[0])
    with pytest.raises(ProtocolError, match="every place"):
        come(world, LATE[1])
    play(world, watch=watch)
    assert [final.trainers for final in world.job().final] == [tuple(TRAINERS), *[(*TRAINERS[:3], LATE[0])] * 2]
    assert world.job().closed == 1


def test_a_deserted_job_goes_on_with_newcomers() -> None:
    world = company(late=(Trainer, Trainer), rounds=3, quorum=3)
    watch = Watch(world)
    until(world, watch, 1, Phase.ANCHORED)
    for name in TRAINERS[:2]:
        world.referee.leave(name)
    until(world, watch, 2)
    assert world.job().deserted
    for _ in range(60):  # more than two patiences: nobody is late, nobody pays
        world.step()
        watch.check()
    come(world, LATE[0])
    play(world, watch=watch)
    assert world.job().closed == 1 and [final.anchor.accepted for final in world.job().final] == [4, 3, 3]
    assert not lost(world, PRIMARY) and not lost(world, STANDBY)


def test_a_round_that_was_left_while_it_was_open_is_regrouped_after_its_patience() -> None:
    world = company(trainers=(Trainer, Trainer, bad.SilentTrainer, bad.SilentTrainer), late=(Trainer, Trainer), rounds=2, quorum=3)
    watch = Watch(world)
    until(world, watch, 1)
    for name in TRAINERS[2:]:
        world.referee.leave(name)
    come(world, *LATE[:2])
    play(world, watch=watch)
    assert world.job().closed == 1 and [final.anchor.attempt for final in world.job().final] == [1, 0]
    assert [final.anchor.accepted for final in world.job().final] == [4, 4] and not lost(world, PRIMARY)


def test_a_job_that_all_trainers_left_expires_and_costs_nobody_a_stake() -> None:
    world = company(rounds=2)
    watch = Watch(world)
    until(world, watch, 1, Phase.ANCHORED)
    for name in TRAINERS:
        world.parties[name].note("leaving")
    play(world, watch=watch)
    assert world.job().closed == 2 and len(world.job().final) == 1
    assert not lost(world, PRIMARY) and not lost(world, STANDBY) and not any(lost(world, name) for name in TRAINERS)


def test_a_newcomer_that_never_had_a_round_gets_its_stake_back() -> None:
    world = company(late=(Trainer,), room=1, rounds=1)
    watch = Watch(world)
    until(world, watch, 1, Phase.ANCHORED)
    come(world, LATE[0])
    play(world, watch=watch)
    assert world.job().closed == 1 and LATE[0] in world.job().released and not earned(world, LATE[0])


def joined(at: int = 110) -> facts.Enrolled:
    return facts.Enrolled(job=JOB, at=at, account=OUTSIDER, role=1)


def left(*accounts: str) -> list[facts.Left]:
    return [facts.Left(job=JOB, at=110, account=each) for each in accounts]


def test_a_newcomer_waits_for_its_first_round() -> None:
    state = after(running(max_trainers=5), joined())
    assert trainer_duties(state, OUTSIDER, TrainerFacts(), 120) == []
    assert names(trainer_duties(finalised(1, state), OUTSIDER, TrainerFacts(), 131)) == ["Train"]


def test_who_is_to_leave_does_so_and_still_brings_its_update() -> None:
    state, made = running(), TrainerFacts(updates=frozenset({(1, running().base)}), leaving=True)
    assert names(trainer_duties(state, T[0], made, 101)) == ["Leave", "Submit"]
    gone = after(state, *left(T[0]))
    assert names(trainer_duties(gone, T[0], made, 101)) == ["Submit"]
    assert names(trainer_duties(gone, T[0], made, 141)) == ["Submit", "RegisterUpdate"]
    assert trainer_duties(finalised(1, gone), T[0], made, 131) == []
    assert duties.Leave(JOB).name == f"leave/{JOB}"


def test_nobody_leaves_what_has_not_begun_or_has_ended() -> None:
    closed = after(running(), facts.JobClosed(job=JOB, reason=2))
    assert "Leave" not in names(trainer_duties(closed, T[0], TrainerFacts(leaving=True), 300))


def test_a_leaver_gets_its_money_at_the_end() -> None:
    released = facts.MemberReleased(job=JOB, account=T[0])
    settled = [facts.MilestoneSettled(job=JOB, milestone=each, net=1, credits=b"", model=b"") for each in (0, 1)]
    state = after(finalised(4, after(running(), *left(T[0]), released)), *settled, facts.JobClosed(job=JOB, reason=1))
    assert trainer_duties(state, T[0], TrainerFacts(), 900) == [duties.Claim(JOB, 1)]


def test_regrouping_is_due_of_everyone_one_after_another() -> None:
    deserted = finalised(1, after(running(), *left(T[0], T[1])))
    assert upkeep(deserted, {}, 300, 0) == []
    enough = after(deserted, joined(500))
    assert upkeep(enough, {}, 500, 0) == [duties.Regroup(JOB, 2, 0)] and upkeep(enough, {}, 500, 1) == []
    assert upkeep(enough, {}, 500 + GRACE, 1) == [duties.Regroup(JOB, 2, 0)]
    assert upkeep(after(enough, round_opened(enough, 2, 1, 510)), {}, 511, 0) == []
    assert names(upkeep(enough, {}, TERMS.deadline, 0)) == ["Expire"]
