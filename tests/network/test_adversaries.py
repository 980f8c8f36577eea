"""Parties that break the rules, as processes among honest ones: what they do never becomes final, and the job goes on without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from hansa.chain.events import Event
from hansa.market.order import amount
from hansa.rounds.job import JobState
from hansa.simulation.adversary_process import command
from hansa.simulation.network import Network
from hansa.simulation.plan import NetworkPlan, hospital_plan
from tests.network.crew import Crew, Run, Trouble, order
from tests.network.pay import owed

BREAK_AT = 2
STAKE = amount(order().seats.coordinator_stake)
BOND = amount(order().seats.challenge_bond)


def network(home: Path, adversaries: Mapping[str, tuple[str, ...]], *, verifiers: int = 3, bonds: int = 20 * BOND) -> Crew:
    """The hospitals' network in which some members run another program; nobody who dies is started again.

    `bonds` is how much each member lets the ledger take for challenges.
    """
    plan: NetworkPlan = hospital_plan(home, verifiers=verifiers)
    members = tuple(replace(each, command=adversaries.get(each.name, each.command)) for each in plan.members)
    return Crew(replace(plan, members=members, bonds=bonds), restart=False)


def kill_at(name: str, round: int, victims: Sequence[str]) -> Trouble:
    """`kill -9` of members at the first event of that name in that round, for good."""
    pending = list(victims)

    async def trouble(network: Network, event: Event, state: JobState) -> None:
        if event.name == name and state.round == round:
            while pending:
                await network.kill(pending.pop())

    return trouble


def check(crew: Crew, run: Run, *, gone: Iterable[str] = ()) -> None:
    """Complete, recomputable from its blobs, every settled unit paid or owed to somebody who is gone, and the books balance."""
    state, account = run.state, crew.network.account
    assert (state.closed, len(state.final)) == (1, state.terms.rounds)
    report = crew.run(crew.client.audit(state.id))
    assert report.sound, [finding for finding in report.findings if not finding.holds]
    missing = {account(name) for name in gone}
    due = owed(state)
    assert {who: paid for who, paid in run.paid.items() if who not in missing} == {
        who: pay for who, pay in due.items() if who not in missing and pay
    }
    assert run.after.conserved
    assert run.after.escrow == sum(due[who] - run.paid[who] for who in missing)
    assert all(purse.locked == 0 for name, purse in run.after.purses.items() if name not in gone)


def lost(crew: Crew, run: Run) -> int:
    """What the first coordinator paid."""
    return owed(run.state)[crew.network.account("coordinator")] - run.change("coordinator")


def slashed(crew: Crew, run: Run) -> int:
    """What being condemned costs the first coordinator: its whole stake, a fifth of it for who challenged, burnt when nobody did."""
    gained = {name: run.change(name) - owed(run.state)[crew.network.account(name)] for name in crew.network.members if name != "client"}
    challengers = {crew.network.name_of(str(event.args["challenger"])) for _, event in run.events if event.name == "Challenged"}
    assert {name: more for name, more in gained.items() if more > 0} == dict.fromkeys(challengers, STAKE // 5)
    return STAKE


def final_by(crew: Crew, run: Run, round: int) -> str:
    return crew.network.name_of(run.state.final[round - 1].coordinator)


@pytest.mark.slow
def test_a_coordinator_that_lies_loses_its_stake_and_its_round(tmp_path: Path) -> None:
    with network(tmp_path, {"coordinator": command("liar", BREAK_AT)}) as crew:
        run = crew.run_job(order())
        check(crew, run)
        assert "Condemned" in run.names
        assert [final_by(crew, run, each) for each in (1, 2, 3)] == ["coordinator", "standby", "standby"]
        assert lost(crew, run) == slashed(crew, run)


@pytest.mark.slow
def test_colluding_verifiers_without_a_third_carry_no_false_anchor(tmp_path: Path) -> None:
    """Seven seats: two sign anything, three honest ones die, two honest ones are left."""
    dead = ("verifier-5", "verifier-6", "verifier-7")
    liars = {"coordinator": command("liar", BREAK_AT), "verifier-1": command("colluder"), "verifier-2": command("colluder")}
    with network(tmp_path, liars, verifiers=7) as crew:
        run = crew.run_job(order(verifiers=7, window=6), trouble=kill_at("JobStarted", 0, dead), gone=dead)
        check(crew, run, gone=dead)
        assert "Voided" in run.names
        assert [final_by(crew, run, each) for each in (1, 2, 3)] == ["coordinator", "standby", "standby"]
        assert all(final.by_time for final in run.state.final)


@pytest.mark.slow
def test_withheld_blobs_never_win_even_with_a_third_of_the_seats(tmp_path: Path) -> None:
    """R5: the seats that cannot fetch bond a challenge, so that the one that pretends to have fetched ends nothing by time."""
    with network(tmp_path, {"coordinator": command("withholder", BREAK_AT), "verifier-1": command("colluder")}) as crew:
        run = crew.run_job(order(window=6))
        check(crew, run)
        assert {"Challenged", "BondReturned", "Voided"} <= set(run.names) and "Lapsed" not in run.names
        assert [final_by(crew, run, each) for each in (1, 2, 3)] == ["coordinator", "standby", "standby"]
        assert lost(crew, run) == 0


@pytest.mark.slow
def test_withheld_blobs_cost_half_the_stake_where_nobody_can_bond(tmp_path: Path) -> None:
    """R5: without a challenge the anchor lapses, and its coordinator pays."""
    with network(tmp_path, {"coordinator": command("withholder", BREAK_AT)}, bonds=0) as crew:
        run = crew.run_job(order(window=6))
        check(crew, run)
        assert "Lapsed" in run.names and "Challenged" not in run.names
        assert [final_by(crew, run, each) for each in (1, 2, 3)] == ["coordinator", "standby", "standby"]
        assert lost(crew, run) == STAKE // 2


def test_a_coordinator_that_dies_for_good_is_replaced(tmp_path: Path) -> None:
    with network(tmp_path, {}) as crew:
        run = crew.run_job(order(patience=12), trouble=kill_at("RoundOpened", 2, ["coordinator"]), gone=["coordinator"])
        check(crew, run, gone=["coordinator"])
        at = {event.name: seconds for seconds, event in reversed(run.events) if event.name in ("CoordinatorReplaced", "RoundFinalised")}
        assert at["CoordinatorReplaced"] < at["RoundFinalised"] + 12 + 5
        assert [final_by(crew, run, each) for each in (1, 2, 3)] == ["coordinator", "standby", "standby"]
        assert run.change("coordinator") == -STAKE // 10


@pytest.mark.slow
def test_a_verifier_that_never_speaks_stops_nobody(tmp_path: Path) -> None:
    with network(tmp_path, {"verifier-2": command("mute")}) as crew:
        run = crew.run_job(order(), gone=["verifier-2"])
        check(crew, run, gone=["verifier-2"])
        mute = run.state.verifiers.index(crew.network.account("verifier-2"))
        assert not any(final.by_time or final.seats >> mute & 1 for final in run.state.final)
        assert run.change("verifier-2") == 0


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "condemned", "anchors"), [("deaf", False, "coordinator"), ("omitter", True, "standby")])
def test_a_trainer_that_the_coordinator_ignores_is_heard_all_the_same(tmp_path: Path, kind: str, condemned: bool, anchors: str) -> None:
    """R5: its update goes through ledger and verifiers into the sum, or the sum without it costs the coordinator its stake."""
    with network(tmp_path, {"coordinator": command(kind, BREAK_AT)}) as crew:
        run = crew.run_job(order(patience=24, quorum=3))
        check(crew, run)
        assert "UpdateRegistered" in run.names and ("Condemned" in run.names) == condemned
        assert [final.anchor.accepted for final in run.state.final] == [4, 4, 4]
        assert final_by(crew, run, BREAK_AT) == anchors
        assert lost(crew, run) == (slashed(crew, run) if condemned else 0)
