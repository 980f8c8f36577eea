"""Opening, enrolment, the draw of seats, start, cancellation and the release of locks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.contracts.abi import refused
from tests.contracts.evm import DAY
from tests.contracts.world import COORDINATOR, TRAINER, UNIT, VERIFIER, Account, Job, Terms, World, digest

MAX = 2**256 - 1


def post(world: World, client: Account, terms: Terms, until: int | None = None, provider: Any = None) -> int:
    """Funded kernel jobs for terms; the id of the first."""
    count = terms.milestones
    until = terms.deadline + 4 * terms.window if until is None else until
    parties = (provider or world.ledger, world.ledger)
    return int(world.market.createFunded(*parties, until, ["m"] * count, [100] * count, sender=client.address).value)


@pytest.fixture
def client(world: World) -> Account:
    account = Account("client")
    world.fund(account, 10**6)
    return account


@pytest.fixture
def terms(world: World) -> Terms:
    return Terms().starting(world.time())


def test_opening_fixes_the_terms(world: World, client: Account, terms: Terms) -> None:
    first = post(world, client, terms)
    event = world.ledger.open(first, terms, sender=client.address).one("JobOpened")
    assert (event.job, event.client) == (first, client.address)
    assert vars(event.terms) == vars(world.cohort.termsOf(first)) == dict(zip(vars(event.terms), terms.row(), strict=True))
    assert [world.ledger.jobOf(first + i) for i in range(2)] == [first, first]
    assert world.ledger.jobState(first).model == terms.genesis


def test_only_the_client_of_the_kernel_jobs_opens(world: World, client: Account, terms: Terms) -> None:
    first = post(world, client, terms)
    with refused("KernelMismatch"):
        world.ledger.open(first, terms, sender=Account("stranger").address)


def test_r6_a_kernel_job_lasts_past_every_dispute(world: World, client: Account, terms: Terms) -> None:
    early = post(world, client, terms, until=terms.deadline + 4 * terms.window - 1)
    with refused("KernelMismatch"):
        world.ledger.open(early, terms, sender=client.address)


def test_r6_the_ledger_is_provider_and_every_milestone_is_funded(world: World, client: Account, terms: Terms) -> None:
    with refused("KernelMismatch"):
        world.ledger.open(post(world, client, terms, provider=client.address), terms, sender=client.address)
    single = post(world, client, replace(terms, milestones=1), until=terms.deadline + 4 * terms.window)
    with refused("UnknownJob", single + 1):
        world.ledger.open(single, terms, sender=client.address)


def test_a_kernel_job_serves_one_job(world: World, client: Account, terms: Terms) -> None:
    first = post(world, client, terms)
    world.ledger.open(first, terms, sender=client.address)
    with refused("WrongPhase"):
        world.ledger.open(first, terms, sender=client.address)
    with refused("KernelTaken", first + 1, first):
        world.ledger.open(first + 1, replace(terms, milestones=1), sender=client.address)


BAD_TERMS = [
    ("spec", {"spec": bytes(32)}),
    ("genesis", {"genesis": bytes(32)}),
    ("milestones", {"milestones": 0}),
    ("milestones", {"milestones": 17, "rounds": 17}),
    ("rounds", {"rounds": 1}),
    ("rounds", {"rounds": 130}),
    ("rounds % milestones", {"rounds": 5}),
    ("maxTrainers", {"maxTrainers": 0}),
    ("maxTrainers", {"maxTrainers": 1025}),
    ("quorum", {"quorum": 0}),
    ("quorum", {"quorum": 65}),
    ("verifiers", {"verifiers": 0}),
    ("verifiers", {"verifiers": 33}),
    ("coordinatorBps", {"coordinatorBps": 3001}),
    ("verifierBps", {"verifierBps": 3001}),
    ("patience", {"patience": 0}),
    ("patience", {"patience": 30 * DAY + 1}),
    ("window", {"window": 0}),
    ("window", {"window": 30 * DAY + 1}),
    ("enrolBy", {"enrolBy": 1}),
    ("deadline", {"deadline": 1}),
    ("coordinatorStake", {"coordinatorStake": 0}),
    ("verifierStake", {"verifierStake": 0}),
    ("challengeBond", {"challengeBond": 0}),
]


@pytest.mark.parametrize(("name", "change"), BAD_TERMS)
def test_every_term_is_bounded(world: World, client: Account, terms: Terms, name: str, change: dict[str, Any]) -> None:
    first = post(world, client, terms)
    try:
        with refused("TermOutOfBounds"):
            world.ledger.open(first, replace(terms, **change), sender=client.address)
    except AssertionError as other:
        raise AssertionError(name) from other


def test_enrolment_locks_the_stake_of_the_role(world: World) -> None:
    job = Job(world).enrol()
    for people, stake in ((job.trainers, 10), (job.coordinators, 100), (job.candidates, 50)):
        assert all(world.vault.locked(one.address) == stake * UNIT for one in people)
    lock = world.vault.locks(world.cohort, world.cohort.claimOf(job.id, job.trainers[0].address))
    assert lock[:2] == (job.trainers[0].address, job.terms.deadline + 4 * job.terms.window)
    assert world.cohort.coordinatorsOf(job.id) == [one.address for one in job.coordinators]


def test_a_role_without_stake_locks_nothing(world: World) -> None:
    job = Job(world, Terms(trainerStake=0)).enrol()
    assert all(world.vault.locked(one.address) == 0 for one in job.trainers)
    job.start()


def test_one_role_per_account_and_job(world: World) -> None:
    job = Job(world).enrol()
    with refused("AlreadyEnrolled", job.trainers[0].address, TRAINER):
        job.enrol_one(job.trainers[0], COORDINATOR)


def test_enrolment_needs_registration_for_the_role(world: World) -> None:
    job = Job(world)
    helper = world.join("helper", roles=2)
    with refused("RoleRefused", helper.address, COORDINATOR):
        job.enrol_one(helper, COORDINATOR)
    with refused("UnknownRole", 4):
        world.cohort.enrol(job.id, 4, bytes(32), sender=helper.address)


def test_enrolment_needs_consent_and_free_stake(world: World) -> None:
    job = Job(world)
    world.vault.setService(world.cohort, False, sender=job.trainers[0].address)
    with refused("ServiceNotAllowed"):
        job.enrol_one(job.trainers[0], TRAINER)
    poor = world.join("poor", stake=9 * UNIT)
    with refused("InsufficientFree"):
        job.enrol_one(poor, TRAINER)


def test_enrolment_ends_at_enrol_by(world: World) -> None:
    job = Job(world)
    world.go_to(job.terms.enrolBy - 1)
    job.enrol_one(job.trainers[0], TRAINER)
    world.wait(1)
    with refused("TooLate"):
        job.enrol_one(job.trainers[1], TRAINER)


def test_only_verifiers_commit(world: World) -> None:
    job = Job(world)
    with refused("CommitmentMismatch"):
        world.cohort.enrol(job.id, TRAINER, digest("x"), sender=job.trainers[0].address)
    with refused("CommitmentMismatch"):
        world.cohort.enrol(job.id, VERIFIER, bytes(32), sender=job.candidates[0].address)


def test_roles_have_room_for_so_many(world: World) -> None:
    job = Job(world, Terms(maxTrainers=2, quorum=1), coordinators=17)
    for trainer in job.trainers[:2]:
        job.enrol_one(trainer, TRAINER)
    with refused("RoleFull", TRAINER, 2):
        job.enrol_one(job.trainers[2], TRAINER)
    for coordinator in job.coordinators[:16]:
        job.enrol_one(coordinator, COORDINATOR)
    with refused("RoleFull", COORDINATOR, 16):
        job.enrol_one(job.coordinators[16], COORDINATOR)


def test_the_client_starts_early_when_all_are_there(world: World) -> None:
    job = Job(world).enrol()
    with refused("TooEarly"):
        world.ledger.start(job.id, sender=job.trainers[0].address)
    receipt = world.ledger.start(job.id, sender=job.client.address)
    assert receipt.one("Seated").verifiers == [one.address for one in job.candidates]
    opened = receipt.one("RoundOpened")
    assert (opened.round, opened.attempt, opened.coordinator) == (1, 0, job.coordinators[0].address)


def test_anyone_starts_from_enrol_by_on(world: World) -> None:
    job = Job(world).enrol()
    world.go_to(job.terms.enrolBy)
    world.ledger.start(job.id)
    assert job.state.phase == 2
    with refused("WrongPhase"):
        world.ledger.start(job.id)


@pytest.mark.parametrize(("people", "role"), [({"trainers": 1}, TRAINER), ({"coordinators": 0}, COORDINATOR), ({"verifiers": 2}, VERIFIER)])
def test_too_few_means_cancellation_by_anyone(world: World, people: dict[str, int], role: int) -> None:
    job = Job(world, **people).enrol()  # type: ignore[arg-type]
    with refused("TooEarly"):
        world.ledger.cancel(job.id)
    world.go_to(job.terms.enrolBy)
    with refused("TooFew"):
        world.ledger.start(job.id)
    assert world.ledger.cancel(job.id).one("JobClosed").reason == 3
    assert world.market.credit(job.client.address) == 2 * job.budget
    everyone = [one.address for one in (*job.trainers, *job.coordinators, *job.candidates)]
    world.cohort.release(job.id, everyone)
    assert all(world.vault.locked(one) == 0 for one in everyone)
    assert all(world.vault.staked(one) == 1_000 * UNIT for one in everyone)


def test_a_full_enrolment_is_not_cancelled(world: World) -> None:
    job = Job(world).enrol()
    world.go_to(job.terms.enrolBy)
    with refused("EnoughEnrolled", job.id):
        world.ledger.cancel(job.id)


def test_a_job_that_nobody_started_expires(world: World) -> None:
    job = Job(world).enrol()
    world.go_to(job.terms.deadline)
    with refused("TooLate"):
        world.ledger.start(job.id)
    world.ledger.expire(job.id)
    assert world.market.credit(job.client.address) == 2 * job.budget


def drawn(job: Job) -> list[str]:
    """The seats as the specification computes them."""
    mix = 0
    for one in job.candidates:
        mix ^= int.from_bytes(keccak(encode(["address", "bytes32"], [one.address, job.secret(one)[0]])), "big")
    seats = [one.address for one in job.candidates]
    for i in range(job.terms.verifiers):
        k = i + int.from_bytes(keccak(encode(["uint256", "uint256"], [mix, i])), "big") % (len(seats) - i)
        seats[i], seats[k] = seats[k], seats[i]
    return seats[: job.terms.verifiers]


def test_r8_seats_are_drawn_from_values_committed_before(world: World) -> None:
    job = Job(world, verifiers=6).enrol()
    with refused("TooEarly"):
        job.reveal(job.candidates[0])
    world.go_to(job.terms.enrolBy)
    for one in reversed(job.candidates):  # the order of reveals does not matter
        job.reveal(one)
    seats = world.ledger.start(job.id).one("Seated").verifiers
    assert seats == drawn(job) == world.cohort.seatsOf(job.id)
    for place, address in enumerate(seats):
        assert world.cohort.memberOf(job.id, address).index == place


def test_r8_withholding_a_value_excludes_and_costs_a_tenth(world: World) -> None:
    job = Job(world, verifiers=5).enrol()
    world.go_to(job.terms.enrolBy)
    silent = job.candidates[1]
    for one in job.candidates:
        if one is not silent:
            job.reveal(one)
    with refused("TooEarly"):
        world.ledger.start(job.id)
    world.wait(job.terms.window)
    with refused("TooLate"):
        job.reveal(silent)
    assert silent.address not in world.ledger.start(job.id).one("Seated").verifiers
    for _ in range(2):  # a second release takes nothing more
        world.cohort.release(job.id, [silent.address])
    assert world.vault.staked(silent.address) == 995 * UNIT
    assert world.vault.locked(silent.address) == 0
    assert world.vault.credit(job.client.address) == 2 * UNIT


def test_a_candidate_without_a_seat_is_released_unharmed(world: World) -> None:
    job = Job(world, verifiers=4).enrol()
    world.go_to(job.terms.enrolBy)
    for one in job.candidates:
        job.reveal(one)
    seats = world.ledger.start(job.id).one("Seated").verifiers
    with refused("StillBound", seats[0]):
        world.cohort.release(job.id, [seats[0]])
    spare = next(one for one in job.candidates if one.address not in seats)
    world.cohort.release(job.id, [spare.address])
    assert (world.vault.staked(spare.address), world.vault.locked(spare.address)) == (1_000 * UNIT, 0)


def test_too_few_reveals_cancel_the_job(world: World) -> None:
    job = Job(world, verifiers=5).enrol()
    world.go_to(job.terms.enrolBy)
    for one in job.candidates[:2]:
        job.reveal(one)
    with refused("TooEarly"):
        world.ledger.cancel(job.id)
    world.wait(job.terms.window)
    with refused("TooFew", VERIFIER, 2, 3):
        world.ledger.start(job.id)
    world.ledger.cancel(job.id)
    world.cohort.release(job.id, [one.address for one in job.candidates])
    stakes = [world.vault.staked(one.address) // UNIT for one in job.candidates]
    assert stakes == [1_000, 1_000, 995, 995, 995]


def test_r13_a_copied_commitment_cannot_be_revealed(world: World) -> None:
    job = Job(world, verifiers=4)
    for one in job.trainers:
        job.enrol_one(one, TRAINER)
    job.enrol_one(job.coordinators[0], COORDINATOR)
    for one in job.candidates[:3]:
        job.enrol_one(one, VERIFIER)
    copied = world.cohort.memberOf(job.id, job.candidates[0].address).commitment
    copier = job.candidates[3]
    world.cohort.enrol(job.id, VERIFIER, copied, sender=copier.address)
    world.go_to(job.terms.enrolBy)
    with refused("CommitmentMismatch", copier.address):
        world.cohort.reveal(job.id, *job.secret(job.candidates[0]), sender=copier.address)


def test_a_value_is_revealed_once_and_only_when_needed(world: World) -> None:
    job = Job(world).enrol()
    world.go_to(job.terms.enrolBy)
    with refused("NothingToReveal"):
        job.reveal(job.candidates[0])
    other = Job(world, verifiers=4, tag="b").enrol()
    world.go_to(other.terms.enrolBy)
    other.reveal(other.candidates[0])
    with refused("NothingToReveal"):
        other.reveal(other.candidates[0])
    with refused("NothingToReveal"):
        world.cohort.reveal(other.id, bytes(32), bytes(32), sender=other.trainers[0].address)


def test_members_are_bound_while_the_job_runs(world: World, job: Job) -> None:
    for one in (job.trainers[0], job.coordinators[0], job.candidates[0]):
        with refused("StillBound", one.address):
            world.cohort.release(job.id, [one.address])
    with refused("NotEnrolled"):
        world.cohort.release(job.id, [job.client.address])


def test_only_the_ledger_commands_the_cohort(world: World, job: Job, terms: Terms) -> None:
    who = {"sender": job.client.address}
    for call in (
        lambda: world.cohort.open(99, job.client.address, terms, 1, **who),
        lambda: world.cohort.seat(job.id, 1, True, **who),
        lambda: world.cohort.cancel(job.id, 1, **who),
        lambda: world.cohort.close(job.id, **who),
        lambda: world.cohort.penalise(job.id, job.trainers[0].address, 10_000, job.client.address, **who),
    ):
        with refused("NotLedger", job.client.address):
            call()


def test_the_ledger_is_named_once_by_the_deployer(world: World) -> None:
    with refused("LedgerAlreadySet"):
        world.cohort.setLedger(world.market, sender=world.deployer.address)
    fresh = world.deploy("Cohort", world.clock, world.vault, world.registry)
    with refused("NotDeployer"):
        fresh.setLedger(world.ledger, sender=Account("stranger").address)


def test_r18_an_operator_enrols_for_its_account(world: World) -> None:
    job = Job(world)
    owner, key = job.trainers[0], Account("hot key")
    world.registry.setOperator(key.address, sender=owner.address)
    world.registry.acceptOperator(owner.address, sender=key.address)
    world.cohort.enrol(job.id, TRAINER, bytes(32), sender=key.address)
    assert world.cohort.memberOf(job.id, owner.address).role == TRAINER
    assert world.vault.locked(owner.address) == 10 * UNIT
