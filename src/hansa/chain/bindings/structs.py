"""The structs that contracts take and return. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

import msgspec

from hansa.core.types import Address


class Subject(msgspec.Struct, frozen=True, array_like=True):
    job: int
    round: int
    attempt: int
    anchor: bytes


class Statement(msgspec.Struct, frozen=True, array_like=True):
    verdict: int
    digest: bytes
    signature: bytes


class Member(msgspec.Struct, frozen=True, array_like=True):
    role: int
    index: int
    first: int
    last: int
    revealed: bool
    out: bool
    commitment: bytes


class Terms(msgspec.Struct, frozen=True, array_like=True):
    spec: bytes
    genesis: bytes
    acceptance: bytes
    rounds: int
    milestones: int
    quorum: int
    verifiers: int
    coordinator_bps: int
    verifier_bps: int
    enrol_by: int
    patience: int
    window: int
    deadline: int
    trainer_stake: int
    coordinator_stake: int
    verifier_stake: int
    challenge_bond: int
    max_trainers: int


class Job(msgspec.Struct, frozen=True, array_like=True):
    client: Address
    expired_at: int
    status: int
    provider: Address
    evaluator: Address
    budget: int
    description: str


class Model(msgspec.Struct, frozen=True, array_like=True):
    lineage_root: bytes
    approver: Address
    uri: str


class Version(msgspec.Struct, frozen=True, array_like=True):
    status: int
    approver: Address
    training_record: bytes
    eval_record: bytes
    parents: tuple[bytes, ...]
    uri: str


class Call(msgspec.Struct, frozen=True, array_like=True):
    target: Address
    data: bytes


class Result(msgspec.Struct, frozen=True, array_like=True):
    success: bool
    data: bytes


class Node(msgspec.Struct, frozen=True, array_like=True):
    name: str
    endpoint: str
    certificate: bytes
    transport_key: bytes
    roles: int
    operator: Address
    proposed: Address


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    job: int
    round: int
    attempt: int
    base: bytes
    updates: bytes
    manifest: bytes
    manifest_size: int
    aggregate: bytes
    model: bytes
    model_size: int
    credits: bytes
    accepted: int


class JobView(msgspec.Struct, frozen=True, array_like=True):
    phase: int
    round_phase: int
    round: int
    attempt: int
    opened_at: int
    settled: int
    trainers: int
    client: Address
    coordinator: Address
    model: bytes
    credits: bytes
    accrued: int
    claimed: int


class Milestone(msgspec.Struct, frozen=True, array_like=True):
    credits: bytes
    model: bytes
    net: int
    fees_claimed: int


class Round(msgspec.Struct, frozen=True, array_like=True):
    anchor: bytes
    anchored_at: int
    attempt: int
    openings: int
    coordinator: int
    seats: int
    challenged_at: int
    challenger: Address


class Thaw(msgspec.Struct, frozen=True, array_like=True):
    amount: int
    matures: int
