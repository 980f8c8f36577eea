"""One verdict on one anchor: valid exactly when everything recomputes, and each way to be wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.types import Address, BlobRef, Digest, FaultKind, Judgement, Verdict, Wei
from hansa.identity.keys import AccountKey
from hansa.identity.statements import HoldReceipt, UpdateStatement
from hansa.identity.typed import Domain
from hansa.learning.schema import Numeric, Schema
from hansa.learning.strategies.fedavg import FedAvg
from hansa.learning.strategy import LocalTraining
from hansa.model import codec
from hansa.model.architectures import Linear, Objective, initial
from hansa.model.update import Update
from hansa.rounds import manifest
from hansa.rounds.anchor import Anchor, updates_root
from hansa.rounds.assemble import Standing, draft, outcome
from hansa.rounds.events import Terms
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Accepted, Credit, Held, Manifest, credit_rows
from hansa.rounds.spec import Acceptance, JobSpec, write_spec
from hansa.storage import unixfs
from hansa.verification.judge import fault_digest, judge

TRAINERS = [AccountKey(bytes([number]) * 32) for number in (1, 2, 3)]
COORDINATOR, STRANGER, HOLDER = Address("0x" + "0c" * 20), AccountKey(b"\x09" * 32), AccountKey(b"\x08" * 32)
DOMAIN = Domain(31337, Address("0x" + "0d" * 20))
BASE = initial(Linear(3), 7)
DATASET = Digest(sha256(b"salted"))


def name(data: bytes) -> bytes:
    return unixfs.root(data).digest


GENESIS = unixfs.root(codec.encode(BASE))
SPEC = JobSpec(
    title="t", data=Schema((Numeric("a"), Numeric("b"), Numeric("c")), "y", {"no": 0, "yes": 1}), architecture=Linear(3),
    objective=Objective.BINARY, strategy=FedAvg(LocalTraining(rate=0.1, batch=4, epochs=1)), seed=1, genesis=GENESIS, progress=GENESIS,
    acceptance=Acceptance("accuracy", 1, 0, "chance"), max_weight=9,
)  # fmt: skip
TERMS = Terms(
    spec=sha256(write_spec(SPEC)), genesis=GENESIS.digest, acceptance=bytes(32), rounds=4, milestones=2, quorum=2, verifiers=3,
    coordinator_bps=1_000, verifier_bps=1_500, enrol_by=1, patience=40, window=16, deadline=9_000, trainer_stake=1,
    coordinator_stake=1, verifier_stake=1, challenge_bond=1, max_trainers=3,
)  # fmt: skip
JOB = JobState(
    5, "0xclient", TERMS, (1_000, 1_000), Phase.ANCHORED, GENESIS.digest, tuple(sorted(key.address for key in TRAINERS)),
    (COORDINATOR,), verifiers=(HOLDER.address,), coordinator=COORDINATOR, since=100, round=1,
)  # fmt: skip


def signed(key: AccountKey, value: int, weight: int = 1, job: JobState = JOB, **said: object) -> tuple[Accepted, bytes]:
    """An update of constant value, signed by a key; `said` changes its statement."""
    shape = SPEC.update_format(job)
    data = shape.encode(Update(shape.layout, shape.scales, np.full(shape.layout.size, value, np.int16), weight), DATASET)
    ref = unixfs.root(data)
    statement = UpdateStatement(job.id, job.round, key.address, job.base, ref.digest, ref.size, weight, DATASET)
    statement = replace(statement, **said)
    return Accepted(statement, statement.sign(DOMAIN, key)), data


@dataclass
class Case:
    """A round as its coordinator presents it; every field may be falsified before it is judged."""

    accepted: Sequence[Accepted]
    blobs: dict[bytes, bytes]
    anchor: Anchor
    page: Manifest
    job: JobState = JOB
    before: Mapping[Address, Wei] = field(default_factory=dict)
    left: Mapping[str, bytes] = field(default_factory=dict)

    def verdict(self) -> Verdict:
        before = Standing(BASE, self.before)
        return judge(SPEC, self.job, self.anchor, self.page, before, self.blobs, self.left, DOMAIN, lambda key: key, name)


def honest(*, keys: Sequence[AccountKey] = TRAINERS, values: Sequence[int] = (10, -20, 30), weights: Sequence[int] = (1, 1, 1)) -> Case:
    """What an honest coordinator anchors of these updates."""
    pairs = [signed(key, value, weight) for key, value, weight in zip(keys, values, weights, strict=False)]
    return present([accepted for accepted, _ in pairs], {accepted.statement.update: data for accepted, data in pairs})


def promise(ref: BlobRef, *, by: AccountKey = HOLDER, **said: object) -> Held:
    """A holder's word that it serves a blob; `said` changes what it says."""
    receipt = replace(HoldReceipt(JOB.id, JOB.round, ref.digest, ref.size, TERMS.deadline + 8), **said)
    return Held(receipt, by.address, receipt.sign(DOMAIN, by))


def present(accepted: Sequence[Accepted], blobs: dict[bytes, bytes], *, summed: Sequence[Accepted] | None = None) -> Case:
    accepted = sorted(accepted, key=lambda each: each.statement.trainer)
    made = outcome(SPEC, JOB, Standing(BASE), summed or accepted, blobs, COORDINATOR)
    aggregate, model = unixfs.root(made.aggregate), unixfs.root(made.model)
    held = tuple(promise(ref) for ref in (*(each.ref for each in accepted), aggregate, model))
    page = Manifest(5, 1, 0, COORDINATOR, GENESIS, tuple(accepted), aggregate, model, credit_rows(made.credits), held)
    listing = manifest.write(page)
    roots = (updates_root(each.statement for each in accepted), Digest(name(listing)), Digest(aggregate.digest), Digest(model.digest))
    return Case(accepted, blobs, draft(JOB, made, roots, len(listing), len(accepted)), page)


def test_an_honest_round_is_valid() -> None:
    verdict = honest().verdict()
    assert verdict == Verdict(Judgement.VALID, honest().anchor.digest())


@given(
    st.permutations(range(3)),
    st.lists(st.integers(-32767, 32767), min_size=3, max_size=3),
    st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def test_the_order_in_which_updates_came_does_not_matter(order: list[int], values: list[int], weights: list[int]) -> None:
    straight = honest(values=values, weights=weights)
    mixed = honest(keys=[TRAINERS[place] for place in order], values=[values[p] for p in order], weights=[weights[p] for p in order])
    assert mixed.anchor == straight.anchor and mixed.verdict().judgement is Judgement.VALID


def wrong_aggregate(case: Case) -> None:
    case.anchor = replace(case.anchor, aggregate=sha256(b"another"))


def wrong_root(case: Case) -> None:
    case.anchor = replace(case.anchor, updates=sha256(b"another"))


def wrong_count(case: Case) -> None:
    case.anchor = replace(case.anchor, accepted=2)


def wrong_model(case: Case) -> None:
    case.anchor = replace(case.anchor, model=sha256(b"another"))


def wrong_model_size(case: Case) -> None:
    case.anchor = replace(case.anchor, model_size=case.anchor.model_size + 1)


def wrong_credits(case: Case) -> None:
    case.anchor = replace(case.anchor, credits=sha256(b"another"))


def wrong_table(case: Case) -> None:
    rows = list(case.page.credits)
    rows[0] = Credit(rows[0].account, str(int(rows[0].amount) + 1))
    case.page = replace(case.page, credits=tuple(rows))


def wrong_base(case: Case) -> None:
    case.anchor = replace(case.anchor, base=sha256(b"another"))


def wrong_base_in_manifest(case: Case) -> None:
    case.page = replace(case.page, base=BlobRef(sha256(b"another"), 5))


def other_model_in_manifest(case: Case) -> None:
    other = BlobRef(sha256(b"another"), case.page.model.size)
    case.page = replace(case.page, model=other, held=(*case.page.held, promise(other)))


def larger_aggregate_in_manifest(case: Case) -> None:
    case.page = replace(case.page, aggregate=BlobRef(case.page.aggregate.digest, 1 << 40))


def other_attempt(case: Case) -> None:
    case.page = replace(case.page, attempt=1)


def other_coordinator(case: Case) -> None:
    case.page = replace(case.page, coordinator=STRANGER.address)


def below_quorum(case: Case) -> None:
    case.__dict__.update(honest(keys=TRAINERS[:1], values=[10], weights=[1]).__dict__)


def by_a_stranger(case: Case) -> None:
    extra, data = signed(STRANGER, 5)
    case.blobs[extra.statement.update] = data
    case.__dict__.update(present([*case.accepted[:2], extra], case.blobs).__dict__)


def with_anothers_signature(case: Case) -> None:
    first, *rest = case.accepted
    forged = Accepted(first.statement, STRANGER.sign(first.statement.digest(DOMAIN)))
    case.page = replace(case.page, updates=(forged, *rest))


def with_a_broken_signature(case: Case) -> None:
    first, *rest = case.accepted
    case.page = replace(case.page, updates=(Accepted(first.statement, b"\x00" * 65), *rest))


def of_another_round(case: Case) -> None:
    stale, data = signed(TRAINERS[0], 10, job=replace(JOB, round=2))
    case.blobs[stale.statement.update] = data
    rest = [each for each in case.accepted if each.statement.trainer != stale.statement.trainer]
    case.page = replace(case.page, updates=tuple(sorted([stale, *rest], key=lambda each: each.statement.trainer)))


def that_say_another_weight(case: Case) -> None:
    heavy, data = signed(TRAINERS[0], 10, 1)
    said = replace(heavy.statement, weight=9)
    forged = Accepted(said, said.sign(DOMAIN, TRAINERS[0]))
    rest = [each for each in case.accepted if each.statement.trainer != said.trainer]
    case.page = replace(case.page, updates=tuple(sorted([forged, *rest], key=lambda each: each.statement.trainer)))


def without_a_promise(case: Case) -> None:
    case.page = replace(case.page, held=case.page.held[1:])


def with_a_promise_for_too_short(case: Case) -> None:
    case.page = replace(case.page, held=(promise(case.page.updates[0].ref, until=TERMS.deadline - 1), *case.page.held[1:]))


def with_a_strangers_promise(case: Case) -> None:
    case.page = replace(case.page, held=(promise(case.page.updates[0].ref, by=STRANGER), *case.page.held[1:]))


def with_a_forged_promise(case: Case) -> None:
    forged = replace(promise(case.page.updates[0].ref, by=STRANGER), holder=HOLDER.address)
    case.page = replace(case.page, held=(forged, *case.page.held[1:]))


def omitted(case: Case) -> None:
    absent = next(each for each in case.accepted if each.statement.trainer == TRAINERS[2].address)
    rest = [each for each in case.accepted if each is not absent]
    case.__dict__.update(present(rest, case.blobs).__dict__)
    case.job = replace(JOB, registered=((absent.statement.trainer, absent.statement.update),))
    case.left = {absent.statement.trainer: absent.statement.update}


Falsify = Callable[[Case], None]
WAYS: list[tuple[Falsify, FaultKind]] = [
    (wrong_aggregate, FaultKind.WRONG_AGGREGATE), (wrong_root, FaultKind.WRONG_AGGREGATE), (wrong_count, FaultKind.WRONG_AGGREGATE),
    (other_model_in_manifest, FaultKind.WRONG_AGGREGATE), (larger_aggregate_in_manifest, FaultKind.WRONG_AGGREGATE),
    (other_attempt, FaultKind.WRONG_AGGREGATE), (other_coordinator, FaultKind.WRONG_AGGREGATE), (wrong_model, FaultKind.WRONG_MODEL),
    (wrong_model_size, FaultKind.WRONG_MODEL), (wrong_credits, FaultKind.WRONG_CREDITS), (wrong_table, FaultKind.WRONG_CREDITS),
    (wrong_base, FaultKind.WRONG_BASE), (wrong_base_in_manifest, FaultKind.WRONG_BASE), (below_quorum, FaultKind.BELOW_QUORUM),
    (by_a_stranger, FaultKind.FORGED_UPDATE), (with_anothers_signature, FaultKind.FORGED_UPDATE),
    (with_a_broken_signature, FaultKind.FORGED_UPDATE), (of_another_round, FaultKind.FORGED_UPDATE),
    (that_say_another_weight, FaultKind.FORGED_UPDATE), (omitted, FaultKind.OMITTED_UPDATE),
    (without_a_promise, FaultKind.UNAVAILABLE), (with_a_promise_for_too_short, FaultKind.UNAVAILABLE),
    (with_a_strangers_promise, FaultKind.UNAVAILABLE), (with_a_forged_promise, FaultKind.UNAVAILABLE),
]  # fmt: skip


@pytest.mark.parametrize(("falsify", "kind"), WAYS, ids=[falsify.__name__ for falsify, _ in WAYS])
def test_each_lie_is_found_named_and_answered_with_one_digest(falsify: Falsify, kind: FaultKind) -> None:
    case = honest()
    falsify(case)
    verdict = case.verdict()
    assert verdict.judgement is Judgement.WRONG and kind in {fault.kind for fault in verdict.faults}
    assert {fault.account for fault in verdict.faults} == {COORDINATOR}
    assert verdict.digest != case.anchor.digest(), "a wrong verdict that names the anchor itself is counted by no contract"
    # Every honest verifier signs the same: two thirds of them are to agree.
    again = honest()
    falsify(again)
    assert again.verdict().digest == verdict.digest


def test_where_the_sum_is_wrong_the_digest_is_that_of_the_right_anchor() -> None:
    right = honest()
    for falsify in (wrong_aggregate, wrong_root, wrong_model, wrong_model_size, wrong_credits):
        case = honest()
        falsify(case)
        assert case.verdict().digest == right.anchor.digest()


def test_a_lie_of_one_unit_in_one_coordinate_is_found() -> None:
    case = honest()
    false, data = signed(TRAINERS[0], 11)
    summed = [false if each.statement.trainer == false.statement.trainer else each for each in case.accepted]
    lying = present(case.accepted, {**case.blobs, false.statement.update: data}, summed=summed)
    verdict = lying.verdict()
    assert {fault.kind for fault in verdict.faults} == {FaultKind.WRONG_AGGREGATE, FaultKind.WRONG_MODEL}
    assert verdict.digest == replace(case.anchor, manifest=lying.anchor.manifest, manifest_size=lying.anchor.manifest_size).digest()


def test_what_was_registered_binds_where_this_verifier_holds_it_and_only_there() -> None:
    case = honest()
    omitted(case)
    assert case.verdict().judgement is Judgement.WRONG
    for left in ({}, {TRAINERS[2].address: sha256(b"another")}, {TRAINERS[1].address: case.job.registered[0][1]}):
        case.left = left
        assert case.verdict().judgement is Judgement.VALID
    # One that was left here and never registered binds nobody either.
    case.left, case.job = {TRAINERS[2].address: sha256(b"x")}, JOB
    assert case.verdict().judgement is Judgement.VALID


def test_a_trainer_that_is_listed_was_heard_whatever_else_it_registered() -> None:
    case = honest()
    other = sha256(b"another of mine")
    case.job, case.left = replace(JOB, registered=((TRAINERS[0].address, other),)), {TRAINERS[0].address: other}
    assert case.verdict().judgement is Judgement.VALID


def test_credits_go_on_from_the_round_before() -> None:
    case = honest()
    case.before = {TRAINERS[0].address: Wei(7)}
    assert FaultKind.WRONG_CREDITS in {fault.kind for fault in case.verdict().faults}


def test_of_several_faults_all_are_named_and_the_digest_is_one() -> None:
    case = honest()
    wrong_base(case)
    with_anothers_signature(case)
    verdict = case.verdict()
    assert {fault.kind for fault in verdict.faults} == {FaultKind.WRONG_BASE, FaultKind.FORGED_UPDATE}
    assert verdict.digest == fault_digest(case.anchor, FaultKind.WRONG_BASE)


def test_a_fault_has_one_digest_in_one_anchor_and_another_in_every_other() -> None:
    first, second = honest().anchor, honest(values=(1, 2, 3)).anchor
    digests = {fault_digest(anchor, kind) for anchor in (first, second) for kind in FaultKind}
    assert len(digests) == 2 * len(FaultKind)


def test_every_fault_that_an_anchor_can_have_is_found_by_some_case() -> None:
    # Lateness is judged by the ledger's clock, and equivocation by two signatures.
    elsewhere = {FaultKind.LATE, FaultKind.EQUIVOCATION}
    assert {kind for _, kind in WAYS} | elsewhere == set(FaultKind)
