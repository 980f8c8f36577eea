"""Signatures of seats: who may sign, what counts, and what contradicting oneself costs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.abi import Contract, refused
from tests.contracts.world import FETCHED, UNIT, VALID, WRONG, Account, Anchor, Job, Row, World, digest


class Statement(Row):
    def __init__(self, job: Job, seat: int, anchor: Anchor, verdict: int, wrong: bytes = digest("right")) -> None:
        self.verdict = verdict
        self.digest = {VALID: anchor.digest, FETCHED: bytes(32)}.get(verdict, wrong)
        self.signature = job.sign(seat, anchor, verdict, wrong)

    def row(self) -> list[object]:
        return [self.verdict, self.digest, self.signature]


def subject(anchor: Anchor) -> list[object]:
    return [anchor.job, anchor.round, anchor.attempt, anchor.digest]


def test_the_domain_names_chain_and_contract(world: World) -> None:
    assert world.cohort.domainSeparator() == world.domain(world.cohort, "hansa Cohort")
    fields = world.cohort.eip712Domain()
    assert fields[1:5] == ("hansa Cohort", "1", world.evm.chain_id, world.cohort.address)


def test_seats_are_strictly_ascending(world: World, job: Job) -> None:
    anchor = job.anchor()
    for seats in ([0, 0], [1, 0]):
        with refused("SeatsNotAscending", seats[1]):
            job.finalise(anchor, seats)


def test_a_seat_must_exist(world: World, job: Job) -> None:
    anchor = job.anchor()
    good = [job.sign(0, anchor, VALID), job.sign(1, anchor, VALID)]
    with refused("UnknownSeat", 3, 3):
        world.ledger.finalise(anchor, [0, 3], [VALID, VALID], good)


def test_lengths_must_agree(world: World, job: Job) -> None:
    anchor = job.anchor()
    good = [job.sign(0, anchor, VALID), job.sign(1, anchor, VALID)]
    with refused("LengthMismatch"):
        world.ledger.finalise(anchor, [0, 1], [VALID, VALID], good[:1])
    with refused("LengthMismatch"):
        world.ledger.finalise(anchor, [0, 1], [VALID], good)


@pytest.mark.parametrize("verdict", [0, WRONG, 4])
def test_only_valid_and_fetched_finalise(world: World, job: Job, verdict: int) -> None:
    anchor = job.anchor()
    signatures = [job.sign(0, anchor, VALID), job.sign(1, anchor, verdict)]
    with refused("BadVerdict", verdict):
        world.ledger.finalise(anchor, [0, 1], [VALID, verdict], signatures)


def test_nobody_signs_for_another_seat(world: World, job: Job) -> None:
    anchor = job.anchor()
    signatures = [job.sign(0, anchor, VALID), job.sign(1, anchor, VALID, signer=job.verifiers[2])]
    with refused("BadSignature", 1, job.verifiers[1].address):
        world.ledger.finalise(anchor, [0, 1], [VALID, VALID], signatures)


def test_a_signature_is_for_one_anchor_one_attempt_one_verdict(world: World, job: Job) -> None:
    anchor = job.anchor()
    for stale in (replace(anchor, attempt=1), replace(anchor, round=2), replace(anchor, model=digest("m"))):
        signatures = [job.sign(seat, stale, VALID) for seat in (0, 1)]
        with refused("BadSignature"):
            world.ledger.finalise(anchor, [0, 1], [VALID, VALID], signatures)
    with refused("BadSignature"):
        world.ledger.finalise(anchor, [0, 1], [VALID, VALID], [job.sign(seat, anchor, FETCHED) for seat in (0, 1)])


def test_a_malformed_signature_is_refused(world: World, job: Job) -> None:
    anchor = job.anchor()
    for broken in (b"", bytes(65), job.sign(1, anchor, VALID)[:64]):
        with refused("BadSignature"):
            world.ledger.finalise(anchor, [0, 1], [VALID, VALID], [job.sign(0, anchor, VALID), broken])


def test_r18_an_operator_signs_for_its_account(world: World, job: Job) -> None:
    owner, key = job.verifiers[0], Account("hot key")
    world.registry.setOperator(key.address, sender=owner.address)
    anchor = job.anchor()
    signatures = [job.sign(0, anchor, VALID, signer=key), job.sign(1, anchor, VALID)]
    with refused("BadSignature", 0, owner.address):
        world.ledger.finalise(anchor, [0, 1], [VALID, VALID], signatures)
    world.registry.acceptOperator(owner.address, sender=key.address)
    world.ledger.finalise(anchor, [0, 1], [VALID, VALID], signatures)


def test_r18_a_rotated_key_speaks_no_more_and_the_seat_stays(world: World, job: Job) -> None:
    owner, old, new = job.coordinators[0], Account("old key"), Account("new key")
    for key in (old, new):
        world.registry.setOperator(key.address, sender=owner.address)
        world.registry.acceptOperator(owner.address, sender=key.address)
    with refused("NotCoordinator", old.address):
        world.ledger.anchor(job.draft(), sender=old.address)
    world.ledger.anchor(job.draft(), sender=new.address)
    assert world.vault.locked(owner.address) == 100 * UNIT


# Runtime code of a contract whose isValidSignature always answers the EIP-1271 magic value.
WALLET = bytes.fromhex("7f1626ba7e" + "00" * 28 + "60005260206000f3")


def test_a_contract_account_signs_by_its_own_rule(world: World, job: Job) -> None:
    # The wallet's code is put where the account already is; on a chain it would have enrolled as a contract.
    import pyrevm

    anchor = job.anchor()
    signatures = [b"whatever the wallet accepts", job.sign(1, anchor, VALID)]
    with refused("BadSignature", 0, job.verifiers[0].address):
        world.ledger.finalise(anchor, [0, 1], [VALID, VALID], signatures)
    wallet = Contract(world.evm, [], world.evm.deploy(bytes.fromhex("6029600c60003960296000f3") + WALLET, world.deployer.address))
    code = world.evm.evm.get_code(wallet.address)
    world.evm.evm.insert_account_info(job.verifiers[0].address, pyrevm.AccountInfo(code=code))
    world.ledger.finalise(anchor, [0, 1], [VALID, VALID], signatures)


def test_equivocation_valid_and_wrong_costs_the_whole_lock(world: World, job: Job) -> None:
    anchor = job.anchor()
    finder = Account("finder")
    statements = Statement(job, 2, anchor, VALID), Statement(job, 2, anchor, WRONG)
    event = world.cohort.equivocation(subject(anchor), 2, *statements, sender=finder.address).one("Equivocated")
    assert (event.account, event.seat) == (job.verifiers[2].address, 2)
    assert world.vault.staked(job.verifiers[2].address) == 950 * UNIT
    assert world.vault.credit(finder.address) == 10 * UNIT
    with refused("SeatExcluded", 2):
        job.finalise(anchor, [0, 1, 2])
    with refused("SeatExcluded", 2):
        world.cohort.equivocation(subject(anchor), 2, *statements)
    job.finalise(anchor, [0, 1])


def test_equivocation_two_wrong_digests(world: World, job: Job) -> None:
    anchor = job.anchor()
    statements = Statement(job, 1, anchor, WRONG, digest("a")), Statement(job, 1, anchor, WRONG, digest("b"))
    world.cohort.equivocation(subject(anchor), 1, *statements)
    assert world.vault.staked(job.verifiers[1].address) == 950 * UNIT


@pytest.mark.parametrize("pair", [(VALID, VALID), (VALID, FETCHED), (FETCHED, WRONG), (WRONG, WRONG), (WRONG, VALID)])
def test_what_does_not_contradict_is_not_equivocation(world: World, job: Job, pair: tuple[int, int]) -> None:
    anchor = job.anchor()
    with refused("NotEquivocation"):
        world.cohort.equivocation(subject(anchor), 0, *[Statement(job, 0, anchor, verdict) for verdict in pair])


def test_a_wrong_verdict_that_names_the_anchor_itself_contradicts_nothing(world: World, job: Job) -> None:
    anchor = job.anchor()
    same = Statement(job, 0, anchor, WRONG, anchor.digest)
    with refused("NotEquivocation"):
        world.cohort.equivocation(subject(anchor), 0, Statement(job, 0, anchor, VALID), same)
    with refused("NotEquivocation"):
        world.cohort.equivocation(subject(anchor), 0, same, Statement(job, 0, anchor, WRONG, digest("b")))


def test_verdicts_about_different_anchors_do_not_contradict(world: World, job: Job) -> None:
    anchor = job.anchor()
    other = replace(anchor, model=digest("after a reorganisation"))
    with refused("BadSignature"):
        world.cohort.equivocation(subject(anchor), 0, Statement(job, 0, anchor, VALID), Statement(job, 0, other, WRONG))


def test_equivocation_must_be_signed_by_that_seat(world: World, job: Job) -> None:
    anchor = job.anchor()
    with refused("BadSignature", 0, job.verifiers[0].address):
        world.cohort.equivocation(subject(anchor), 0, Statement(job, 1, anchor, VALID), Statement(job, 1, anchor, WRONG))
    with refused("UnknownSeat"):
        world.cohort.equivocation(subject(anchor), 3, Statement(job, 1, anchor, VALID), Statement(job, 1, anchor, WRONG))
