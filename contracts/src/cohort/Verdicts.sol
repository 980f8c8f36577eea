// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Enrolment} from "./Enrolment.sol";

/// @title What seated verifiers sign about an anchor, and how their signatures are checked and counted.
abstract contract Verdicts is Enrolment, EIP712 {
    uint8 public constant VALID = 1;
    uint8 public constant FETCHED = 2;
    uint8 public constant WRONG = 3;

    bytes32 public constant ATTESTATION_TYPEHASH = keccak256(
        "Attestation(uint256 job,uint32 round,uint32 attempt,bytes32 anchor,uint8 verdict,bytes32 digest)"
    );

    /// @notice Which anchor is judged: the hash of its ABI encoding, and where it stands.
    struct Subject {
        uint256 job;
        uint32 round;
        uint32 attempt;
        bytes32 anchor;
    }

    /// @notice What one verifier signed about a subject.
    struct Statement {
        uint8 verdict;
        bytes32 digest;
        bytes signature;
    }

    event Equivocated(uint256 indexed job, uint32 indexed round, uint32 attempt, uint8 seat, address indexed account);

    error LengthMismatch(uint256 seats, uint256 others);
    error SeatsNotAscending(uint8 seat);
    error BadVerdict(uint8 verdict);
    error NotEquivocation();
    error UnknownSeat(uint8 seat, uint256 seats);
    error SeatExcluded(uint8 seat);
    error BadSignature(uint8 seat, address account);

    constructor() EIP712("hansa Cohort", "1") {}

    /// @notice Slashes a seat whole that signed two contradictory verdicts about one anchor: one valid and one wrong, or
    /// two different wrong digests, `b` being a wrong one. The caller gets the finder's share. Reverts with
    /// NotEquivocation, BadSignature, UnknownSeat, SeatExcluded, WrongPhase.
    function equivocation(Subject calldata subject, uint8 seat_, Statement calldata a, Statement calldata b)
        external
        nonReentrant
    {
        Group storage g = _inPhase(subject.job, Phase.Seated);
        bool against = a.verdict == VALID ? a.digest == subject.anchor : a.verdict == WRONG && a.digest != b.digest;
        // A wrong verdict that names the anchor itself is never counted, so it contradicts nothing.
        bool counts = b.verdict == WRONG && b.digest != subject.anchor && (a.verdict == VALID || a.digest != subject.anchor);
        if (!against || !counts) revert NotEquivocation();
        requireSigned(subject.job, seat_, _hash(subject, a.verdict, a.digest), a.signature);
        requireSigned(subject.job, seat_, _hash(subject, WRONG, b.digest), b.signature);
        address account = g.verifiers[seat_];
        emit Equivocated(subject.job, subject.round, subject.attempt, seat_, account);
        _penalise(subject.job, g, account, 10_000, registry.accountOf(msg.sender));
    }

    /// @notice Counts signed valid and fetched verdicts: the bitmap of their seats, and how many were valid. Seats are
    /// strictly ascending. Reverts with LengthMismatch, SeatsNotAscending, BadVerdict, BadSignature.
    function tally(
        Subject calldata subject,
        uint8[] calldata seats,
        uint8[] calldata verdicts,
        bytes[] calldata signatures
    ) external view returns (uint256 bitmap, uint256 valid) {
        _checkSeats(seats, signatures.length);
        if (verdicts.length != seats.length) revert LengthMismatch(seats.length, verdicts.length);
        bytes32 validHash = _hash(subject, VALID, subject.anchor);
        bytes32 fetchedHash = _hash(subject, FETCHED, bytes32(0));
        for (uint256 i = 0; i < seats.length; i++) {
            bool isValid = verdicts[i] == VALID;
            if (!isValid && verdicts[i] != FETCHED) revert BadVerdict(verdicts[i]);
            requireSigned(subject.job, seats[i], isValid ? validHash : fetchedHash, signatures[i]);
            bitmap |= uint256(1) << seats[i];
            if (isValid) valid++;
        }
    }

    /// @notice Reverts unless every listed seat signed that the anchor is wrong and should have been `digest`.
    function requireWrong(
        Subject calldata subject,
        bytes32 digest,
        uint8[] calldata seats,
        bytes[] calldata signatures
    ) external view {
        requireAll(subject.job, _hash(subject, WRONG, digest), seats, signatures);
    }

    /// @notice Reverts unless every listed seat signed `hash`. Seats are strictly ascending.
    function requireAll(uint256 job, bytes32 hash, uint8[] calldata seats, bytes[] calldata signatures) public view {
        _checkSeats(seats, signatures.length);
        for (uint256 i = 0; i < seats.length; i++) requireSigned(job, seats[i], hash, signatures[i]);
    }

    /// @notice Reverts unless the account of `seat_` signed `hash`: by its key, by its operator's key (R18), or by its
    /// contract's own rule (EIP-1271). Errors: UnknownSeat, SeatExcluded, BadSignature.
    function requireSigned(uint256 job, uint8 seat_, bytes32 hash, bytes calldata signature) public view {
        Group storage g = _groups[job];
        if (seat_ >= g.terms.verifiers) revert UnknownSeat(seat_, g.terms.verifiers);
        address account = g.verifiers[seat_];
        if (g.members[account].out) revert SeatExcluded(seat_);
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, signature);
        if (failure == ECDSA.RecoverError.NoError && (signer == account || registry.accountOf(signer) == account)) return;
        if (account.code.length > 0 && SignatureChecker.isValidERC1271SignatureNow(account, hash, signature)) return;
        revert BadSignature(seat_, account);
    }

    /// @notice EIP-712 domain separator of every verdict.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _hash(Subject calldata s, uint8 verdict, bytes32 digest) private view returns (bytes32) {
        bytes32 content =
            keccak256(abi.encode(ATTESTATION_TYPEHASH, s.job, s.round, s.attempt, s.anchor, verdict, digest));
        return _hashTypedDataV4(content);
    }

    /// @dev Strictly ascending, so that nobody is counted twice.
    function _checkSeats(uint8[] calldata seats, uint256 signatures) private pure {
        if (seats.length != signatures) revert LengthMismatch(seats.length, signatures);
        for (uint256 i = 1; i < seats.length; i++) {
            if (seats[i] <= seats[i - 1]) revert SeatsNotAscending(seats[i]);
        }
    }
}
