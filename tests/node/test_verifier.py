"""Verdicts: what a verifier says of a lie, of what it cannot check, and what becomes of a verifier that says two things."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from hansa.core.encoding import encode, sha256
from hansa.core.errors import PeerRefused
from hansa.core.types import Judgement
from hansa.identity.keys import AccountKey
from hansa.identity.statements import Attestation
from hansa.node.ballots import SignedEvaluation, SignedVerdict, contract_domain
from hansa.node.coordinator import CoordinatorNode
from hansa.node.verifier import VerifierNode
from hansa.rounds.duties import Duty
from hansa.rounds.job import JobState, Phase
from hansa.simulation.liar import LyingCoordinator
from tests.node.conftest import Hall
from tests.node.test_blobs import peer
from tests.node.test_coordinator import Puppet, opened, submit, update
from tests.node.test_node import reference
from tests.node.world import SharedPool, U, World, populate, trainer


class Idle(VerifierNode):
    """A verifier that takes its seat and then does only what the test says."""

    def owed(self, job: JobState) -> list[Duty]:
        return []


async def anchored(world: World, pool: SharedPool, *, window: int = 16) -> int:
    """A job whose first round is anchored, and whose three verifiers are idle."""
    await populate(world, pool, trainers=0, verifiers=0)
    for number in range(3):
        await world.add(f"v{number}", Idle, pool)
    for number in range(3):
        await world.add(f"t{number}", trainer(number, kind=Puppet), pool)
    job = await world.post(window=window)
    await world.until(lambda: world.state(job).phase is Phase.OPEN, "the first round is open")
    for name in ("t0", "t1", "t2"):
        await submit(world, job, name, *await update(world, job, name))
    await world.until(lambda: world.state(job).phase is Phase.ANCHORED, "the round is anchored")
    await world.until(lambda: all(world.state(job, name).anchor is not None for name in world.parties), "everyone knows")
    return job


def verdict(
    world: World, job: int, name: str, judgement: Judgement, finding: bytes, *, key: AccountKey | None = None, **said: object
) -> bytes:
    """A signed verdict of `name` on the anchor under judgement."""
    state = world.state(job)
    assert state.anchor is not None
    seat, digest = state.verifiers.index(world[name].account), state.anchor.digest()
    attestation = replace(Attestation(job, state.round, state.attempt, digest, int(judgement), finding), **said)
    domain = contract_domain(world.domain, world.contracts.cohort.address)
    return encode(SignedVerdict(attestation, seat, attestation.sign(domain, key or world.parties[name].key)))


async def tell(world: World, job: int, name: str, body: bytes, *, to: str = "coordinator", kind: str = "verdict") -> None:
    await world[name].parts.transport.request(peer(world[to]), kind, body, job=job, round=world.state(job).round)


def test_a_lie_in_one_coordinate_is_condemned_and_the_round_made_again(hall: Hall) -> None:
    expected = reference(hall)

    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool, coordinators=(), verifiers=0, trainers=0)
        await world.add("coordinator", lambda parts: LyingCoordinator(parts, 2), pool)
        await world.add("standby", CoordinatorNode, pool)
        for number in range(3):
            await world.add(f"t{number}", trainer(number), pool)
            await world.add(f"v{number}", VerifierNode, pool)
        job = await world.post()
        liar = world["coordinator"].account
        await world.step_until(lambda: liar in world.state(job).removed, "the liar is condemned")
        await world.step_until(lambda: len(world.state(job).final) == 4, "the standby finishes")
        assert [final.coordinator for final in world.state(job).final] == [liar, *[world["standby"].account] * 3]
        assert world.state(job).final[-1].anchor.model == expected
        assert await world.contracts.vault.staked(liar).read(world.ledger) == 4_000 * U, "the whole lock is gone"

    hall.play(scenario)


def test_verdicts_are_checked_at_the_door(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await anchored(world, pool)
        anchor = world.state(job).anchor
        assert anchor is not None
        digest = anchor.digest()

        async def refused(sentence: str, body: bytes) -> None:
            with pytest.raises(PeerRefused, match=sentence):
                await tell(world, job, "v0", body)

        await refused("not under judgement", verdict(world, job, "v0", Judgement.VALID, digest, round=2))
        await refused("not under judgement", verdict(world, job, "v0", Judgement.VALID, digest, attempt=1))
        await refused("names another anchor", verdict(world, job, "v0", Judgement.VALID, digest, anchor=bytes(32)))
        await refused("no known judgement", verdict(world, job, "v0", Judgement.VALID, digest, verdict=4))
        await refused(
            "not signed by the verifier of that seat", verdict(world, job, "v0", Judgement.VALID, digest, key=AccountKey.generate())
        )
        await refused(
            "not signed by the verifier of that seat", verdict(world, job, "v0", Judgement.VALID, digest, key=world.parties["v1"].key)
        )
        await refused("not a valid", b"junk")
        assert not world["coordinator"].book.boxes[job][(1, 0)]
        # Whoever brings it: what counts is the signature.
        await tell(world, job, "t0", verdict(world, job, "v0", Judgement.VALID, digest))
        assert set(world["coordinator"].book.boxes[job][(1, 0)]) == {world.state(job).verifiers.index(world["v0"].account)}

    hall.play(scenario, workers=False)


def test_the_same_verdict_is_journalled_once_and_one_that_contradicts_it_never_counts(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await anchored(world, pool)
        book, party = world["standby"].book, world.parties["standby"]
        state = world.state(job)
        assert state.anchor is not None
        valid = verdict(world, job, "v0", Judgement.VALID, state.anchor.digest())
        wrong = verdict(world, job, "v0", Judgement.WRONG, sha256(b"another"))
        await tell(world, job, "v0", valid, to="standby")
        entries = len(party.entries)
        for _ in range(3):
            await tell(world, job, "v0", valid, to="standby")
        assert len(party.entries) == entries
        await tell(world, job, "v0", wrong, to="standby")
        await tell(world, job, "v0", verdict(world, job, "v0", Judgement.WRONG, sha256(b"a third")), to="standby")
        seat = state.verifiers.index(world["v0"].account)
        assert book.boxes[job][(1, 0)][seat].judgement is Judgement.VALID
        assert book.contradicted[job][(1, 0, seat)].ballot.digest == sha256(b"another")
        assert len(party.entries) == entries + 1, "one contradiction is evidence enough"

    hall.play(scenario, workers=False)


def test_who_signs_two_verdicts_loses_its_seat_and_its_stake(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await anchored(world, pool)
        state, double = world.state(job), world["v0"].account
        assert state.anchor is not None
        await tell(world, job, "v0", verdict(world, job, "v0", Judgement.WRONG, sha256(b"one")))
        await tell(world, job, "v0", verdict(world, job, "v0", Judgement.FETCHED, bytes(32)))  # contradicts nothing
        await world.rest()
        assert not world.state(job).removed
        await tell(world, job, "v0", verdict(world, job, "v0", Judgement.VALID, state.anchor.digest()))
        await world.until(lambda: double in world.state(job).removed, "it is shown and removed")
        assert await world.contracts.vault.staked(double).read(world.ledger) == 4_700 * U
        finder = world["coordinator"].account
        assert await world.contracts.vault.credit(finder).read(world.ledger) == 60 * U, "a fifth is the finder's"
        # The two that are left decide.
        for name in ("v1", "v2"):
            await tell(world, job, name, verdict(world, job, name, Judgement.VALID, state.anchor.digest()))
        await world.until(lambda: len(world.state(job).final) == 1, "the round is final")

    hall.play(scenario, workers=False)


def test_a_verifier_that_cannot_have_the_blobs_signs_nothing_and_bonds_a_challenge(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await anchored(world, pool, window=40)
        for name in ("coordinator", "standby"):
            await world.kill(name)
        await world.kill("v0")
        world.parties["v0"].make = VerifierNode
        verifier = await world.start("v0")
        await world.pass_time(6)
        await world.rest()
        assert not verifier.book.own[job]
        bonds = await world.contracts.token.balance_of(verifier.account).read(world.ledger)
        await world.step_until(lambda: world.state(job).phase is Phase.CHALLENGED, "it challenges")
        assert world.state(job).challenger == verifier.account
        assert bonds - await world.contracts.token.balance_of(verifier.account).read(world.ledger) == 50 * U
        assert not verifier.book.own[job]
        await world.step_until(lambda: world.state(job).phase is Phase.OPEN, "the round is void", most=300)
        credit = await world.contracts.rounds.credit(verifier.account).read(world.ledger)
        assert credit == 50 * U, "the bond comes back"

    hall.play(scenario, workers=False)


def test_verdicts_and_evaluations_reach_whoever_was_away(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(rounds=1, milestones=1, patience=400)
        await world.until(lambda: world.state(job).phase is not Phase.ENROLLING, "started")
        await world.kill("standby")
        await world.until(lambda: len(world.state(job).final) == 1, "the round is final without it")
        await world.step_until(lambda: bool(world.state(job).shards), "the shard is open")
        await world.step_until(lambda: bool(world.state(job).accepted), "the model is accepted")
        told = world["v0"].book
        assert 0 not in told.shared[job], "one of them has not heard the evaluation"
        measured = told.measured[job][0]
        assert len(measured) >= 2 and len({each.evaluation for each in measured.values()}) == 1

    hall.play(scenario)


def test_evaluations_are_checked_at_the_door(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        await populate(world, pool)
        job = await world.post(rounds=1, milestones=1)
        await world.step_until(lambda: bool(world.state(job).accepted), "the model is accepted")
        measured = next(iter(world["v0"].book.measured[job][0].values()))
        domain = contract_domain(world.domain, world.contracts.acceptance.address)
        state = world.state(job)

        async def refused(sentence: str, *, seat: int | None = None, key: AccountKey | None = None, **said: object) -> None:
            evaluation = replace(measured.evaluation, **said)
            signer = key or next(party.key for party in world.parties.values() if party.account == state.verifiers[measured.seat])
            signed = SignedEvaluation(evaluation, measured.seat if seat is None else seat, evaluation.sign(domain, signer))
            with pytest.raises(PeerRefused, match=sentence):
                await tell(world, job, "v0", encode(signed), kind="evaluation")

        await refused("shard that is not open", milestone=1)
        await refused("shard that is not open", shard=bytes(32))
        await refused("another model", model=bytes(32))
        await refused("not signed by the verifier of that seat", key=AccountKey.generate())
        await refused("not signed by the verifier of that seat", seat=9)
        before = len(world.parties["coordinator"].entries)
        signed = SignedEvaluation(measured.evaluation, measured.seat, measured.signature)
        await tell(world, job, "v0", encode(signed), kind="evaluation")
        assert len(world.parties["coordinator"].entries) == before, "a seat's first one counts, once"

    hall.play(scenario)


def test_a_round_is_opened_and_judged_by_real_updates(hall: Hall) -> None:
    async def scenario(world: World, pool: SharedPool) -> None:
        job = await opened(world, pool, rounds=1, milestones=1)
        for name in ("t0", "t1", "t2"):
            await submit(world, job, name, *await update(world, job, name))
        await world.until(lambda: len(world.state(job).final) == 1, "the round is final")
        await world.rest()
        boxes = world["coordinator"].book.boxes[job][(1, 0)]
        assert {ballot.judgement for ballot in boxes.values()} == {Judgement.VALID} and len(boxes) >= 2

    hall.play(scenario, workers=False)
