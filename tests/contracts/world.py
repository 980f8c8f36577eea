"""A network on one EVM: the contracts deployed in the order of the specification, and people with keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from coincurve import PrivateKey, PublicKey
from eth_abi import encode
from eth_utils import keccak, to_checksum_address

from tests.contracts.abi import Contract, Json, Receipt, load
from tests.contracts.evm import DAY

SUPPLY = 10**30
UNIT = 10**18
MAX_GAP = DAY
THAW_DELAY = 14 * DAY
FEE_BPS = 300
TRAINER, COORDINATOR, VERIFIER = 1, 2, 3
VALID, FETCHED, WRONG = 1, 2, 3
ALL_ROLES = 2 + 4 + 8
DOMAIN_TYPE = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
ATTESTATION_TYPE = keccak(text="Attestation(uint256 job,uint32 round,uint32 attempt,bytes32 anchor,uint8 verdict,bytes32 digest)")
EVALUATION_TYPE = keccak(text="Evaluation(uint256 job,uint8 milestone,bytes32 model,bytes32 shard,int64 metric,int64 baseline,bool passed)")


def digest(*parts: object) -> bytes:
    return keccak(text="/".join(map(str, parts)))


class Account:
    """A key made from a name, and its address."""

    def __init__(self, name: str) -> None:
        self.name, self.key = name, PrivateKey(keccak(text=name))

    @cached_property
    def address(self) -> str:
        public: PublicKey = self.key.public_key
        return to_checksum_address(keccak(public.format(compressed=False)[1:])[-20:])

    def sign(self, hash_: bytes) -> bytes:
        signature = self.key.sign_recoverable(hash_, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])

    def __repr__(self) -> str:
        return self.name


class Row:
    def row(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Terms(Row):
    spec: bytes = digest("spec")
    genesis: bytes = digest("genesis")
    acceptance: bytes = bytes(32)
    rounds: int = 4
    milestones: int = 2
    quorum: int = 2
    verifiers: int = 3
    coordinatorBps: int = 1000
    verifierBps: int = 1500
    enrolBy: int = 0
    patience: int = DAY
    window: int = DAY // 2
    deadline: int = 0
    trainerStake: int = 10 * UNIT
    coordinatorStake: int = 100 * UNIT
    verifierStake: int = 50 * UNIT
    challengeBond: int = 5 * UNIT
    maxTrainers: int = 64

    def starting(self, now: int) -> Terms:
        """The same terms with the times that were left at zero set around `now`."""
        return replace(self, enrolBy=self.enrolBy or now + DAY, deadline=self.deadline or now + 40 * DAY)


@dataclass(frozen=True)
class Anchor(Row):
    job: int
    round: int
    attempt: int
    base: bytes
    updates: bytes
    manifest: bytes
    manifestSize: int
    aggregate: bytes
    model: bytes
    modelSize: int
    credits: bytes
    accepted: int

    TYPES = "(uint256,uint32,uint32,bytes32,bytes32,bytes32,uint64,bytes32,bytes32,uint64,bytes32,uint16)"

    @property
    def digest(self) -> bytes:
        return keccak(encode([self.TYPES], [self.row()]))


class World:
    """Deployed contracts and what a test does with them most."""

    def __init__(self, evm: Any, artefact: Callable[[str], Json] = load, gate: str = "OpenGate") -> None:
        self.evm, self.artefact = evm, artefact
        self.deployer, self.treasury = Account("deployer"), Account("treasury")
        self.token = self.deploy("HansaToken", "hansa", "HSA", SUPPLY, self.deployer.address, SUPPLY, "0x" + "00" * 20)
        self.clock = self.deploy("Clock", MAX_GAP)
        self.vault = self.deploy("StakeVault", self.token, self.clock, THAW_DELAY)
        self.gate = self.deploy(gate) if gate == "OpenGate" else self.deploy(gate, self.deployer.address)
        self.registry = self.deploy("NodeRegistry", self.gate, self.vault)
        self.market = self.deploy("JobMarket", self.token, self.clock, self.treasury.address, FEE_BPS)
        self.cohort = self.deploy("Cohort", self.clock, self.vault, self.registry)
        self.ledger = self.deploy("RoundLedger", self.token, self.clock, self.registry, self.market, self.cohort)
        self.cohort.setLedger(self.ledger, sender=self.deployer.address)
        self.acceptance = self.deploy("Acceptance", self.clock, self.cohort, self.ledger)
        self.models = self.deploy("ModelRegistry")
        self.multicall = self.deploy("Multicall")

    def deploy(self, name: str, *args: Any) -> Contract:
        return Contract.deploy(self.evm, self.artefact(name), *args, sender=self.deployer.address)

    @property
    def purses(self) -> list[Contract]:
        return [self.vault, self.market, self.ledger]

    def time(self) -> int:
        return int(self.clock.time())

    def go_to(self, time: int) -> None:
        """Moves protocol time to `time`, ticking on the way so that no gap counts as an outage."""
        while (left := time - self.time()) > 0:
            self.evm.pass_time(min(left, MAX_GAP))
            self.clock.tick()

    def wait(self, seconds: int) -> None:
        self.go_to(self.time() + seconds)

    def fund(self, account: Account, amount: int) -> None:
        self.token.transfer(account.address, amount, sender=self.deployer.address)
        for purse in self.purses:
            self.token.approve(purse, 2**256 - 1, sender=account.address)

    def join(self, name: str, stake: int = 1_000 * UNIT, roles: int = ALL_ROLES) -> Account:
        """A funded account with a node, stake, and the cohort as allowed service."""
        account = Account(name)
        self.fund(account, 2 * stake)
        who = {"sender": account.address}
        self.registry.register(name, f"https://{name}.example", digest("cert", name), digest("key", name), roles, b"", **who)
        if stake:
            self.vault.stake(stake, **who)
        self.vault.setService(self.cohort, True, **who)
        return account

    def domain(self, contract: Contract, name: str) -> bytes:
        parts = [DOMAIN_TYPE, keccak(text=name), keccak(text="1"), self.evm.chain_id, contract.address]
        return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], parts))

    def typed(self, domain: bytes, types: str, *values: Any) -> bytes:
        return keccak(b"\x19\x01" + domain + keccak(encode(types.split(), list(values))))

    def attestation(self, anchor: Anchor, verdict: int, value: bytes) -> bytes:
        types = "bytes32 uint256 uint32 uint32 bytes32 uint8 bytes32"
        subject = (anchor.job, anchor.round, anchor.attempt, anchor.digest)
        return self.typed(self.domain(self.cohort, "hansa Cohort"), types, ATTESTATION_TYPE, *subject, verdict, value)

    def commitment(self, job: int, account: Account, value: bytes, salt: bytes) -> bytes:
        types = ["uint256", "address", "uint256", "address", "bytes32", "bytes32"]
        return keccak(encode(types, [self.evm.chain_id, self.cohort.address, job, account.address, value, salt]))

    def collect(self, purse: Contract, account: Account) -> Receipt:
        return purse.collect(sender=account.address)


class Job:
    """One federated job of a world and the people in it."""

    def __init__(
        self,
        world: World,
        terms: Terms = Terms(),
        *,
        budget: int = 1_000 * UNIT,
        trainers: int = 4,
        coordinators: int = 2,
        verifiers: int | None = None,
        tag: str = "",
    ) -> None:
        self.world, self.tag = world, tag
        self.terms = terms.starting(world.time())
        self.budget = budget
        self.client = Account(f"client{tag}")
        world.fund(self.client, 100 * budget)
        self.id = self.post()
        self.trainers = [world.join(f"trainer{tag}{i}") for i in range(trainers)]
        self.coordinators = [world.join(f"coordinator{tag}{i}") for i in range(coordinators)]
        self.candidates = [world.join(f"verifier{tag}{i}") for i in range(self.terms.verifiers if verifiers is None else verifiers)]
        self.verifiers = list(self.candidates)

    def post(self) -> int:
        w, terms = self.world, self.terms
        count, until = terms.milestones, terms.deadline + 4 * terms.window
        names = [f"milestone {i}" for i in range(count)]
        w.market.createFunded(w.ledger, w.ledger, until, names, [self.budget] * count, sender=self.client.address)
        first = w.market.count() - count + 1
        return int(w.ledger.open(first, terms, sender=self.client.address).value)

    def enrol(self) -> Job:
        for role, people in ((TRAINER, self.trainers), (COORDINATOR, self.coordinators), (VERIFIER, self.candidates)):
            for account in people:
                self.enrol_one(account, role)
        return self

    def enrol_one(self, account: Account, role: int) -> Receipt:
        commitment = self.world.commitment(self.id, account, *self.secret(account)) if role == VERIFIER else bytes(32)
        return self.world.cohort.enrol(self.id, role, commitment, sender=account.address)

    def secret(self, account: Account) -> tuple[bytes, bytes]:
        return digest("value", account.name), digest("salt", account.name)

    def reveal(self, account: Account) -> Receipt:
        return self.world.cohort.reveal(self.id, *self.secret(account), sender=account.address)

    def start(self) -> Job:
        self.world.ledger.start(self.id, sender=self.client.address)
        return self

    def running(self) -> Job:
        return self.enrol().start()

    @property
    def state(self) -> Any:
        return self.world.ledger.jobState(self.id)

    def account(self, address: str) -> Account:
        people = [*self.trainers, *self.coordinators, *self.candidates]
        return next(one for one in people if one.address == address)

    @property
    def coordinator(self) -> Account:
        return self.account(self.state.coordinator)

    def draft(self, **changes: Any) -> Anchor:
        """A well-formed anchor for the current round."""
        state = self.state
        at = (self.id, state.round, state.attempt)
        plain = Anchor(
            *at, state.model, digest("updates", at), digest("manifest", at), 512, digest("aggregate", at), digest("model", at), 4096,
            digest("credits", at), len(self.trainers),
        )  # fmt: skip
        return replace(plain, **changes)

    def anchor(self, **changes: Any) -> Anchor:
        draft = self.draft(**changes)
        self.world.ledger.anchor(draft, sender=self.coordinator.address)
        return draft

    def sign(self, seat: int, anchor: Anchor, verdict: int, wrong: bytes | None = None, signer: Account | None = None) -> bytes:
        value = {VALID: anchor.digest, FETCHED: bytes(32)}.get(verdict, wrong or digest("right", anchor.digest))
        return (signer or self.verifiers[seat]).sign(self.world.attestation(anchor, verdict, value))

    def ballot(self, anchor: Anchor, seats: Sequence[int], verdict: int = VALID) -> tuple[list[int], list[int], list[bytes]]:
        return list(seats), [verdict] * len(seats), [self.sign(seat, anchor, verdict) for seat in seats]

    def finalise(self, anchor: Anchor, seats: Sequence[int] = (0, 1), verdict: int = VALID) -> Receipt:
        return self.world.ledger.finalise(anchor, *self.ballot(anchor, seats, verdict))

    def by_time(self, anchor: Anchor, seats: Sequence[int] = (0,), verdict: int = FETCHED) -> Receipt:
        return self.world.ledger.finaliseByTime(anchor, *self.ballot(anchor, seats, verdict))

    def condemn(self, anchor: Anchor, seats: Sequence[int] = (0, 1), right: bytes | None = None, sender: str | None = None) -> Receipt:
        right = right or digest("right", anchor.digest)
        signatures = [self.sign(seat, anchor, WRONG, right) for seat in seats]
        who = {"sender": sender} if sender else {}
        return self.world.ledger.condemn(anchor, right, list(seats), signatures, **who)

    def challenge(self, anchor: Anchor, who: Account | None = None) -> Account:
        challenger = who or Account(f"challenger{self.tag}")
        self.world.fund(challenger, self.terms.challengeBond)
        self.world.ledger.challenge(anchor, sender=challenger.address)
        return challenger

    def play(self, rounds: int, **changes: Any) -> list[Anchor]:
        """Anchors and finalises that many rounds."""
        anchors = []
        for _ in range(rounds):
            anchors.append(self.anchor(**changes))
            self.finalise(anchors[-1])
        return anchors

    def settle(self, milestone: int) -> Receipt:
        self.world.go_to(self.world.ledger.firmFrom(self.id, milestone))
        return self.world.ledger.settle(self.id, milestone)
