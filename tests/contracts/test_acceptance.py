"""Acceptance shards (R11), and what a model registry makes of them."""

from __future__ import annotations

import pytest

from tests.contracts import merkle
from tests.contracts.abi import refused
from tests.contracts.world import EVALUATION_TYPE, Account, Job, Terms, World, digest

SHARDS = [(digest("shard", k), digest("salt", k)) for k in range(2)]
METRIC, BASELINE = 870, 850


def leaves(world: World) -> list[bytes]:
    client = Account("client").address
    return [merkle.shard_leaf(world.evm.chain_id, world.acceptance.address, client, k, *shard) for k, shard in enumerate(SHARDS)]


@pytest.fixture
def judged(world: World) -> Job:
    """Running, with shards committed, and its first milestone firm."""
    job = Job(world, Terms(acceptance=merkle.root(leaves(world)))).running()
    job.play(2)
    world.go_to(world.ledger.firmFrom(job.id, 0))
    return job


def open_shard(job: Job, k: int = 0, sender: Account | None = None, shard: int | None = None) -> None:
    proof = merkle.proof(leaves(job.world), k)
    who = (sender or job.client).address
    job.world.acceptance.openShard(job.id, k, *SHARDS[k if shard is None else shard], proof, sender=who)


def model(job: Job, milestone: int = 0) -> bytes:
    return bytes(job.world.ledger.milestoneOf(job.id, milestone).model)


def evaluations(job: Job, seats: list[int], passed: bool = True, metric: int = METRIC) -> list[bytes]:
    domain = job.world.domain(job.world.acceptance, "hansa Acceptance")
    types = "bytes32 uint256 uint8 bytes32 bytes32 int64 int64 bool"
    hash_ = job.world.typed(domain, types, EVALUATION_TYPE, job.id, 0, model(job), SHARDS[0][0], metric, BASELINE, passed)
    return [job.verifiers[seat].sign(hash_) for seat in seats]


def accept(job: Job, seats: list[int], signatures: list[bytes] | None = None, of: bytes | None = None) -> None:
    signatures = evaluations(job, seats) if signatures is None else signatures
    job.world.acceptance.accept(job.id, 0, of or model(job), SHARDS[0][0], METRIC, BASELINE, seats, signatures)


def test_two_thirds_that_say_passed_accept_the_model(world: World, judged: Job) -> None:
    open_shard(judged)
    assert not world.acceptance.isAccepted(model(judged))
    accept(judged, [0, 2])
    assert world.acceptance.isAccepted(model(judged))


def test_r11_a_shard_opens_once_its_milestone_is_firm_and_never_again(world: World) -> None:
    job = Job(world, Terms(acceptance=merkle.root(leaves(world)))).running()
    with refused("MilestoneNotFinal"):
        open_shard(job)
    job.play(2)
    with refused("TooEarly"):
        open_shard(job)
    world.go_to(world.ledger.firmFrom(job.id, 0))
    open_shard(job)
    with refused("ShardAlreadyOpen", job.id, 0):
        open_shard(job)


def test_r11_only_the_committed_shard_opens(world: World, judged: Job) -> None:
    with refused("BadShard"):
        open_shard(judged, 0, shard=1)
    with refused("BadShard"):
        world.acceptance.openShard(judged.id, 0, SHARDS[0][0], digest("salt"), merkle.proof(leaves(world), 0), sender=judged.client.address)
    with refused("NotClient", judged.trainers[0].address):
        open_shard(judged, sender=judged.trainers[0])


def test_r11_an_unopened_shard_changes_nothing_about_payment(world: World, judged: Job) -> None:
    assert world.ledger.settle(judged.id, 0).one("MilestoneSettled").net > 0


def test_without_an_opened_shard_nothing_is_accepted(judged: Job) -> None:
    with refused("BadShard"):
        accept(judged, [0, 1, 2])


def test_acceptance_needs_two_thirds_of_the_seats(judged: Job) -> None:
    open_shard(judged)
    with refused("TooFewSignatures", 1, 3):
        accept(judged, [0])
    with refused("SeatsNotAscending", 0):
        accept(judged, [0, 0])


def test_an_evaluation_that_failed_or_says_otherwise_does_not_count(judged: Job) -> None:
    open_shard(judged)
    with refused("BadSignature"):
        accept(judged, [0, 1], evaluations(judged, [0, 1], passed=False))
    with refused("BadSignature"):
        accept(judged, [0, 1], evaluations(judged, [0, 1], metric=999))


def test_only_the_milestone_s_own_model_is_accepted(judged: Job) -> None:
    open_shard(judged)
    with refused("WrongModel"):
        accept(judged, [0, 1], of=digest("other"))


def test_acceptance_may_follow_the_end_of_the_job(world: World, judged: Job) -> None:
    judged.play(2)
    judged.settle(0)
    judged.settle(1)
    world.ledger.close(judged.id)
    open_shard(judged)
    accept(judged, [1, 2])
    assert world.acceptance.isAccepted(model(judged))


def test_a_job_without_acceptance_opens_no_shard(world: World, job: Job) -> None:
    job.play(2)
    world.go_to(world.ledger.firmFrom(job.id, 0))
    with refused("BadShard"):
        open_shard(job)


def test_an_accepted_model_is_approved_by_anyone(world: World, judged: Job) -> None:
    who = {"sender": judged.client.address}
    artifact = model(judged)
    number = world.models.registerModel(bytes(32), "ipfs://card", **who).value
    world.models.setApprover(number, world.acceptance, **who)
    world.models.publishVersion(number, artifact, [judged.terms.genesis], digest("record"), digest("eval"), "", **who)
    world.models.propose(number, artifact, **who)
    with refused("NotAccepted"):
        world.models.approveVersion(number, artifact)
    open_shard(judged)
    accept(judged, [0, 1])
    world.models.approveVersion(number, artifact)
    assert world.models.isApproved(number, artifact)
