"""`Cohort`: typed calls and views. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

from hansa.chain.abi import Function, View, one, several
from hansa.chain.bindings import structs
from hansa.core.ports import Call
from hansa.core.types import Address

_ATTESTATION_TYPEHASH = Function("ATTESTATION_TYPEHASH()", "(bytes32)")
_COORDINATOR = Function("COORDINATOR()", "(uint8)")
_FETCHED = Function("FETCHED()", "(uint8)")
_FORFEIT_BPS = Function("FORFEIT_BPS()", "(uint256)")
_MAX_CANDIDATES = Function("MAX_CANDIDATES()", "(uint256)")
_MAX_COORDINATORS = Function("MAX_COORDINATORS()", "(uint256)")
_NO_COORDINATOR = Function("NO_COORDINATOR()", "(uint8)")
_TRAINER = Function("TRAINER()", "(uint8)")
_VALID = Function("VALID()", "(uint8)")
_VERIFIER = Function("VERIFIER()", "(uint8)")
_WRONG = Function("WRONG()", "(uint8)")
_ATTENDANCE = Function("attendance(uint256)", "(uint16,uint16)")
_CANCEL = Function("cancel(uint256,uint40)")
_CANDIDATES_OF = Function("candidatesOf(uint256)", "(address[])")
_CLAIM_OF = Function("claimOf(uint256,address)", "(bytes32)")
_CLOCK = Function("clock()", "(address)")
_CLOSE = Function("close(uint256)")
_COORDINATOR_AT = Function("coordinatorAt(uint256,uint8)", "(address)")
_COORDINATORS_OF = Function("coordinatorsOf(uint256)", "(address[])")
_DEPLOYER = Function("deployer()", "(address)")
_DOMAIN_SEPARATOR = Function("domainSeparator()", "(bytes32)")
_EIP712_DOMAIN = Function("eip712Domain()", "(bytes1,string,string,uint256,address,bytes32,uint256[])")
_ENROL = Function("enrol(uint256,uint8,bytes32)")
_EQUIVOCATION = Function("equivocation((uint256,uint32,uint32,bytes32),uint8,(uint8,bytes32,bytes),(uint8,bytes32,bytes))")
_GROUP_OF = Function("groupOf(uint256)", "(uint8,bool,uint16,uint8,bytes32,address)")
_LEAVE_JOB = Function("leaveJob(uint256)")
_LEDGER = Function("ledger()", "(address)")
_MEMBER_OF = Function("memberOf(uint256,address)", "((uint8,uint16,uint32,uint32,bool,bool,bytes32))")
_MUSTER = Function("muster(uint256)", "(uint16)")
_NEXT_COORDINATOR = Function("nextCoordinator(uint256,uint8)", "(uint8)")
_OPEN = Function(
    "open(uint256,address,(bytes32,bytes32,bytes32,uint16,uint8,uint8,uint8,uint16,uint16,uint40,uint40,uint40,uint40,uint128,uint128,uint128,uint128,uint16),uint40)",
    "(uint40)",
)
_PENALISE = Function("penalise(uint256,address,uint256,address)")
_REGISTRY = Function("registry()", "(address)")
_RELEASE = Function("release(uint256,address[])")
_REQUIRE_ALL = Function("requireAll(uint256,bytes32,uint8[],bytes[])")
_REQUIRE_SIGNED = Function("requireSigned(uint256,uint8,bytes32,bytes)")
_REQUIRE_WRONG = Function("requireWrong((uint256,uint32,uint32,bytes32),bytes32,uint8[],bytes[])")
_REVEAL = Function("reveal(uint256,bytes32,bytes32)")
_SEAT = Function("seat(uint256,uint40,bool)", "(uint16)")
_SEATS_OF = Function("seatsOf(uint256)", "(address[])")
_SET_LEDGER = Function("setLedger(address)")
_TAKES_PART = Function("takesPart(uint256,address)", "(bool)")
_TALLY = Function("tally((uint256,uint32,uint32,bytes32),uint8[],uint8[],bytes[])", "(uint256,uint256)")
_TERMS_OF = Function(
    "termsOf(uint256)",
    "((bytes32,bytes32,bytes32,uint16,uint8,uint8,uint8,uint16,uint16,uint40,uint40,uint40,uint40,uint128,uint128,uint128,uint128,uint16))",
)
_VAULT = Function("vault()", "(address)")


class Cohort:
    def __init__(self, address: Address) -> None:
        self.address = address

    def attestation_typehash(self) -> View[bytes]:
        return _ATTESTATION_TYPEHASH.view(one(bytes), self.address)

    def coordinator(self) -> View[int]:
        return _COORDINATOR.view(one(int), self.address)

    def fetched(self) -> View[int]:
        return _FETCHED.view(one(int), self.address)

    def forfeit_bps(self) -> View[int]:
        return _FORFEIT_BPS.view(one(int), self.address)

    def max_candidates(self) -> View[int]:
        return _MAX_CANDIDATES.view(one(int), self.address)

    def max_coordinators(self) -> View[int]:
        return _MAX_COORDINATORS.view(one(int), self.address)

    def no_coordinator(self) -> View[int]:
        return _NO_COORDINATOR.view(one(int), self.address)

    def trainer(self) -> View[int]:
        return _TRAINER.view(one(int), self.address)

    def valid(self) -> View[int]:
        return _VALID.view(one(int), self.address)

    def verifier(self) -> View[int]:
        return _VERIFIER.view(one(int), self.address)

    def wrong(self) -> View[int]:
        return _WRONG.view(one(int), self.address)

    def attendance(self, job: int) -> View[tuple[int, int]]:
        return _ATTENDANCE.view(several(tuple[int, int]), self.address, job)

    def cancel(self, job: int, time: int) -> Call:
        return _CANCEL.call(self.address, job, time)

    def candidates_of(self, job: int) -> View[tuple[Address, ...]]:
        return _CANDIDATES_OF.view(one(tuple[Address, ...]), self.address, job)

    def claim_of(self, job: int, account: Address) -> View[bytes]:
        return _CLAIM_OF.view(one(bytes), self.address, job, account)

    def clock(self) -> View[Address]:
        return _CLOCK.view(one(Address), self.address)

    def close(self, job: int) -> Call:
        return _CLOSE.call(self.address, job)

    def coordinator_at(self, job: int, index: int) -> View[Address]:
        return _COORDINATOR_AT.view(one(Address), self.address, job, index)

    def coordinators_of(self, job: int) -> View[tuple[Address, ...]]:
        return _COORDINATORS_OF.view(one(tuple[Address, ...]), self.address, job)

    def deployer(self) -> View[Address]:
        return _DEPLOYER.view(one(Address), self.address)

    def domain_separator(self) -> View[bytes]:
        return _DOMAIN_SEPARATOR.view(one(bytes), self.address)

    def eip712_domain(self) -> View[tuple[bytes, str, str, int, Address, bytes, tuple[int, ...]]]:
        return _EIP712_DOMAIN.view(several(tuple[bytes, str, str, int, Address, bytes, tuple[int, ...]]), self.address)

    def enrol(self, job: int, role: int, commitment: bytes) -> Call:
        return _ENROL.call(self.address, job, role, commitment)

    def equivocation(self, subject: structs.Subject, seat: int, a: structs.Statement, b: structs.Statement) -> Call:
        return _EQUIVOCATION.call(self.address, subject, seat, a, b)

    def group_of(self, job: int) -> View[tuple[int, bool, int, int, bytes, Address]]:
        return _GROUP_OF.view(several(tuple[int, bool, int, int, bytes, Address]), self.address, job)

    def leave_job(self, job: int) -> Call:
        return _LEAVE_JOB.call(self.address, job)

    def ledger(self) -> View[Address]:
        return _LEDGER.view(one(Address), self.address)

    def member_of(self, job: int, account: Address) -> View[structs.Member]:
        return _MEMBER_OF.view(one(structs.Member), self.address, job, account)

    def muster(self, job: int) -> Call:
        return _MUSTER.call(self.address, job)

    def next_coordinator(self, job: int, index: int) -> View[int]:
        return _NEXT_COORDINATOR.view(one(int), self.address, job, index)

    def open(self, job: int, client: Address, terms: structs.Terms, time: int) -> Call:
        return _OPEN.call(self.address, job, client, terms, time)

    def penalise(self, job: int, account: Address, bps: int, finder: Address) -> Call:
        return _PENALISE.call(self.address, job, account, bps, finder)

    def registry(self) -> View[Address]:
        return _REGISTRY.view(one(Address), self.address)

    def release(self, job: int, accounts: tuple[Address, ...]) -> Call:
        return _RELEASE.call(self.address, job, accounts)

    def require_all(self, job: int, hash: bytes, seats: tuple[int, ...], signatures: tuple[bytes, ...]) -> View[tuple[()]]:
        return _REQUIRE_ALL.view(several(tuple[()]), self.address, job, hash, seats, signatures)

    def require_signed(self, job: int, seat: int, hash: bytes, signature: bytes) -> View[tuple[()]]:
        return _REQUIRE_SIGNED.view(several(tuple[()]), self.address, job, seat, hash, signature)

    def require_wrong(
        self, subject: structs.Subject, digest: bytes, seats: tuple[int, ...], signatures: tuple[bytes, ...]
    ) -> View[tuple[()]]:
        return _REQUIRE_WRONG.view(several(tuple[()]), self.address, subject, digest, seats, signatures)

    def reveal(self, job: int, value: bytes, salt: bytes) -> Call:
        return _REVEAL.call(self.address, job, value, salt)

    def seat(self, job: int, time: int, by_client: bool) -> Call:
        return _SEAT.call(self.address, job, time, by_client)

    def seats_of(self, job: int) -> View[tuple[Address, ...]]:
        return _SEATS_OF.view(one(tuple[Address, ...]), self.address, job)

    def set_ledger(self, ledger: Address) -> Call:
        return _SET_LEDGER.call(self.address, ledger)

    def takes_part(self, job: int, account: Address) -> View[bool]:
        return _TAKES_PART.view(one(bool), self.address, job, account)

    def tally(
        self, subject: structs.Subject, seats: tuple[int, ...], verdicts: tuple[int, ...], signatures: tuple[bytes, ...]
    ) -> View[tuple[int, int]]:
        return _TALLY.view(several(tuple[int, int]), self.address, subject, seats, verdicts, signatures)

    def terms_of(self, job: int) -> View[structs.Terms]:
        return _TERMS_OF.view(one(structs.Terms), self.address, job)

    def vault(self) -> View[Address]:
        return _VAULT.view(one(Address), self.address)
