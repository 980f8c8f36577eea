// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Enrolment} from "../cohort/Enrolment.sol";
import {Verdicts} from "../cohort/Verdicts.sol";
import {Jobs} from "./Jobs.sol";
import {Anchor, Job, JobPhase, Milestone, Round, RoundPhase} from "./State.sol";

/// @title One round: anchored by its coordinator, judged by the seats, and what happens when either is silent.
abstract contract Rounds is Jobs {
    /// @notice An anchor that lapses costs this share of the coordinator's stake (R5: unproven, so not the whole).
    uint256 public constant LAPSE_BPS = 5_000;
    /// @notice A coordinator that is taken over loses this share of its stake.
    uint256 public constant LATE_BPS = 1_000;
    uint8 private constant COORDINATOR = 2;

    event UpdateRegistered(
        uint256 indexed job,
        uint32 indexed round,
        uint32 attempt,
        address indexed trainer,
        bytes32 update,
        uint40 time
    );
    event RoundAnchored(
        uint256 indexed job,
        uint32 indexed round,
        address indexed coordinator,
        bytes32 digest,
        Anchor anchor,
        uint40 anchoredAt,
        uint40 windowEnds
    );
    event RoundFinalised(
        uint256 indexed job,
        uint32 indexed round,
        uint32 attempt,
        bytes32 model,
        bool byTime,
        uint256 seats
    );
    event Challenged(
        uint256 indexed job,
        uint32 indexed round,
        uint32 attempt,
        address indexed challenger,
        uint256 bond,
        uint40 voidsAt
    );
    event BondReturned(uint256 indexed job, address indexed challenger, uint256 amount);
    event BondLost(uint256 indexed job, address indexed challenger, uint256 toCoordinator, uint256 burned);
    event Condemned(uint256 indexed job, uint32 indexed round, uint32 attempt, address indexed coordinator, bytes32 digest);
    event Lapsed(uint256 indexed job, uint32 indexed round, uint32 attempt, address indexed coordinator);
    event Voided(uint256 indexed job, uint32 indexed round, uint32 attempt, address indexed coordinator);
    event CoordinatorReplaced(uint256 indexed job, uint32 indexed round, address previous, address next);

    error WrongRoundPhase(uint256 job, RoundPhase phase);
    error WrongRound(uint32 round, uint32 attempt, uint32 currentRound, uint32 currentAttempt);
    error AllRoundsDone(uint256 job);
    error NotCoordinator(address account);
    error NotTrainer(address account);
    error AlreadyRegistered(address trainer, uint32 round, uint32 attempt);
    error WrongBase(bytes32 base, bytes32 model);
    error WrongAccepted(uint16 accepted, uint256 min, uint256 max);
    error EmptyDigest();
    error UnknownAnchor(bytes32 digest);
    error TooFewVerdicts(uint256 have, uint256 seats);
    error EnoughTrainers(uint256 seated, uint256 quorum);
    error TooFewTrainers(uint256 seated, uint256 quorum);

    /// @notice A trainer that got no receipt puts its update's digest on record while the round is open (R5); once per
    /// attempt. Reverts with WrongRound, WrongRoundPhase, NotTrainer, AlreadyRegistered.
    function registerUpdate(uint256 job, uint32 round, bytes32 update) external {
        uint40 time = _tick();
        Job storage j = _open(job);
        if (round != j.round) revert WrongRound(round, j.attempt, j.round, j.attempt);
        if (update == bytes32(0)) revert EmptyDigest();
        address account = _account();
        if (!cohort.takesPart(job, account)) revert NotTrainer(account);
        bytes32 slot = keccak256(abi.encode(round, j.attempt, account));
        if (j.registered[slot]) revert AlreadyRegistered(account, round, j.attempt);
        j.registered[slot] = true;
        emit UpdateRegistered(job, round, j.attempt, account, update, time);
    }

    /// @notice The current coordinator states the result of the current round; only the statement's hash is stored.
    /// Reverts with WrongRoundPhase, TooLate, NotCoordinator, WrongRound, WrongBase, WrongAccepted, EmptyDigest.
    function anchor(Anchor calldata a) external {
        uint40 time = _tick();
        Job storage j = _open(a.job);
        _checkUntil(time, j.terms.deadline);
        address account = _account();
        if (_coordinator(a.job, j) != account) revert NotCoordinator(account);
        _checkAnchor(j, a);
        bytes32 digest = keccak256(abi.encode(a));
        j.rounds[a.round] = Round(digest, time, a.attempt, a.attempt + 1, j.coordinator, 0, 0, address(0));
        j.roundPhase = RoundPhase.Anchored;
        emit RoundAnchored(a.job, a.round, account, digest, a, time, time + j.terms.window);
    }

    /// @notice Anyone, with valid verdicts of two thirds of the seats (fetched ones may be listed too and are paid).
    /// A challenger's bond is lost: half to the coordinator, half burnt. Reverts with TooFewVerdicts, BadSignature.
    function finalise(
        Anchor calldata a,
        uint8[] calldata seats,
        uint8[] calldata verdicts,
        bytes[] calldata signatures
    ) external nonReentrant {
        (uint256 bitmap, uint256 valid) = _tally(a, seats, verdicts, signatures);
        _judge(a, bitmap, valid, false);
    }

    /// @notice Anyone, once the window passed without a challenge, with verdicts of a third of the seats that at least
    /// fetched every blob (R5). Reverts with WrongRoundPhase, TooEarly, TooFewVerdicts, BadSignature.
    function finaliseByTime(
        Anchor calldata a,
        uint8[] calldata seats,
        uint8[] calldata verdicts,
        bytes[] calldata signatures
    ) external nonReentrant {
        (uint256 bitmap,) = _tally(a, seats, verdicts, signatures);
        _judge(a, bitmap, seats.length, true);
    }

    /// @notice Anyone, two windows after an anchor that found no third of the seats: the coordinator pays half its
    /// stake and the next one reruns the round. Reverts with WrongRoundPhase, TooEarly.
    function lapse(Anchor calldata a) external nonReentrant {
        uint40 time = _tick();
        (Job storage j, Round storage r,) = _current(a);
        if (j.roundPhase != RoundPhase.Anchored) revert WrongRoundPhase(a.job, j.roundPhase);
        _checkFrom(time, r.anchoredAt + 2 * j.terms.window);
        address coordinator = _anchoredBy(a.job, r);
        emit Lapsed(a.job, a.round, a.attempt, coordinator);
        _penalise(a.job, coordinator, LAPSE_BPS, address(0));
        _replace(a.job, j);
        _openRound(a.job, j, time);
    }

    /// @notice Anyone bonds that the anchor is wrong, before its window ends. Reverts with WrongRoundPhase, TooLate.
    function challenge(Anchor calldata a) external nonReentrant {
        uint40 time = _tick();
        (Job storage j, Round storage r,) = _current(a);
        if (j.roundPhase != RoundPhase.Anchored) revert WrongRoundPhase(a.job, j.roundPhase);
        _checkUntil(time, r.anchoredAt + j.terms.window);
        j.roundPhase = RoundPhase.Challenged;
        r.challengedAt = time;
        r.challenger = msg.sender;
        emit Challenged(a.job, a.round, a.attempt, msg.sender, j.terms.challengeBond, time + j.terms.window);
        _pull(msg.sender, j.terms.challengeBond);
    }

    /// @notice Anyone, with wrong verdicts of two thirds of the seats that name the same other digest: the coordinator
    /// loses its whole stake, bonds go back; the finder's share is the challenger's and burns without one, for the
    /// caller may be the liar. A final round can be condemned until its window ends; that undoes it and every later
    /// round. Reverts with UnknownAnchor, TooLate, TooFewVerdicts, BadSignature.
    function condemn(Anchor calldata a, bytes32 digest, uint8[] calldata seats, bytes[] calldata signatures)
        external
        nonReentrant
    {
        uint40 time = _tick();
        (Job storage j, Round storage r, bytes32 stated) = _standing(a, time);
        if (digest == stated) revert UnknownAnchor(stated);
        cohort.requireWrong(_subject(a, stated), digest, seats, signatures);
        uint256 n = j.terms.verifiers;
        if (seats.length * 3 < n * 2) revert TooFewVerdicts(seats.length, n);
        emit Condemned(a.job, a.round, a.attempt, _anchoredBy(a.job, r), digest);
        _undo(j, r, a, time);
    }

    /// @notice Anyone, one window after a challenge that neither side proved: the bond goes back and the next
    /// coordinator reruns the round, nobody is slashed (R7). Reverts with WrongRoundPhase, TooEarly.
    function voidRound(Anchor calldata a) external nonReentrant {
        uint40 time = _tick();
        (Job storage j, Round storage r,) = _current(a);
        if (j.roundPhase != RoundPhase.Challenged) revert WrongRoundPhase(a.job, j.roundPhase);
        _checkFrom(time, r.challengedAt + j.terms.window);
        _returnBond(a.job, j);
        emit Voided(a.job, a.round, a.attempt, _anchoredBy(a.job, r));
        _replace(a.job, j);
        _openRound(a.job, j, time);
    }

    /// @notice Another enrolled coordinator takes an open round over once the current one's patience is spent; the late
    /// one loses a tenth of its stake, unless too few of the round's trainers are still seated for it to end: then
    /// nobody was late. Reverts with NotCoordinator, TooEarly, TooLate, WrongRoundPhase, or EnoughTrainers when
    /// `regroup` is the way on.
    function takeover(uint256 job) external nonReentrant {
        uint40 time = _tick();
        Job storage j = _open(job);
        _checkUntil(time, j.terms.deadline);
        address account = _account();
        address late = _coordinator(job, j);
        Enrolment.Member memory member = cohort.memberOf(job, account);
        if (member.role != COORDINATOR || member.out || account == late) revert NotCoordinator(account);
        _checkFrom(time, j.openedAt + j.terms.patience);
        (bool deserted, uint256 seated) = _attendance(job, j);
        if (deserted && seated >= j.terms.quorum) revert EnoughTrainers(seated, j.terms.quorum);
        j.coordinator = uint8(member.index);
        emit CoordinatorReplaced(job, j.round, late, account);
        _begin(job, j, time);
        if (!deserted) _penalise(job, late, LATE_BPS, address(0));
    }

    /// @notice Anyone opens a round anew, under the next attempt and with all who are seated now, when fewer of its
    /// trainers than the quorum are still seated and a quorum is seated again: at once if it was opened with fewer, from
    /// the end of its patience on if they left since (what they delivered may still make it). Reverts with
    /// WrongRoundPhase, TooLate, EnoughTrainers, TooFewTrainers, TooEarly.
    function regroup(uint256 job) external nonReentrant {
        uint40 time = _tick();
        Job storage j = _open(job);
        _checkUntil(time, j.terms.deadline);
        (bool deserted, uint256 seated) = _attendance(job, j);
        if (!deserted) revert EnoughTrainers(seated, j.terms.quorum);
        if (seated < j.terms.quorum) revert TooFewTrainers(seated, j.terms.quorum);
        if (j.trainers >= j.terms.quorum) _checkFrom(time, j.openedAt + j.terms.patience);
        _openRound(job, j, time);
    }

    /// @dev The rounds of one milestone.
    function _span(Job storage j) internal view returns (uint256) {
        return j.terms.rounds / j.terms.milestones;
    }

    function _subject(Anchor calldata a, bytes32 digest) private pure returns (Verdicts.Subject memory) {
        return Verdicts.Subject(a.job, a.round, a.attempt, digest);
    }

    function _running(uint256 job) internal view returns (Job storage) {
        return _inPhase(job, JobPhase.Running);
    }

    function _open(uint256 job) private view returns (Job storage j) {
        j = _running(job);
        if (j.roundPhase != RoundPhase.Open) revert WrongRoundPhase(job, j.roundPhase);
        if (j.round > j.terms.rounds) revert AllRoundsDone(job);
    }

    function _checkAnchor(Job storage j, Anchor calldata a) private view {
        if (a.round != j.round || a.attempt != j.attempt) revert WrongRound(a.round, a.attempt, j.round, j.attempt);
        if (a.base != j.model) revert WrongBase(a.base, j.model);
        if (a.accepted < j.terms.quorum || a.accepted > j.trainers) {
            revert WrongAccepted(a.accepted, j.terms.quorum, j.trainers);
        }
        bool empty = a.updates == 0 || a.manifest == 0 || a.aggregate == 0 || a.model == 0 || a.credits == 0;
        if (empty || a.manifestSize == 0 || a.modelSize == 0) revert EmptyDigest();
    }

    /// @dev The anchor under judgement; reverts unless `a` is exactly it.
    function _current(Anchor calldata a) private view returns (Job storage j, Round storage r, bytes32 digest) {
        j = _running(a.job);
        if (j.roundPhase == RoundPhase.Open) revert WrongRoundPhase(a.job, j.roundPhase);
        r = j.rounds[j.round];
        digest = keccak256(abi.encode(a));
        if (r.anchor != digest) revert UnknownAnchor(digest);
    }

    /// @dev An anchor that can still be condemned: the one under judgement, or a final one inside its window.
    function _standing(Anchor calldata a, uint40 time)
        private
        view
        returns (Job storage j, Round storage r, bytes32 stated)
    {
        j = _running(a.job);
        r = j.rounds[a.round];
        stated = keccak256(abi.encode(a));
        bool standing = a.round < j.round || (a.round == j.round && j.roundPhase != RoundPhase.Open);
        if (!standing || r.anchor != stated) revert UnknownAnchor(stated);
        if (a.round < j.round) _checkUntil(time, r.anchoredAt + j.terms.window);
    }

    function _undo(Job storage j, Round storage r, Anchor calldata a, uint40 time) private {
        address coordinator = _anchoredBy(a.job, r);
        if (j.roundPhase == RoundPhase.Challenged) _returnBond(a.job, j);
        j.round = a.round;
        j.model = a.base;
        _penalise(a.job, coordinator, 10_000, r.challenger);
        if (_coordinator(a.job, j) == coordinator) _replace(a.job, j);
        _openRound(a.job, j, time);
    }

    /// @dev Whether fewer of the current attempt's trainers than the quorum are still seated; how many are seated in all.
    function _attendance(uint256 job, Job storage j) private view returns (bool deserted, uint256 seated) {
        uint256 leavers;
        (seated, leavers) = cohort.attendance(job);
        deserted = j.trainers < j.terms.quorum + leavers;
    }

    function _tally(
        Anchor calldata a,
        uint8[] calldata seats,
        uint8[] calldata verdicts,
        bytes[] calldata signatures
    ) private view returns (uint256 bitmap, uint256 valid) {
        (,, bytes32 digest) = _current(a);
        return cohort.tally(_subject(a, digest), seats, verdicts, signatures);
    }

    /// @dev `n` is the number of seats that count: those that said valid, or by time all that at least fetched.
    function _judge(Anchor calldata a, uint256 bitmap, uint256 n, bool byTime) private {
        uint40 time = _tick();
        (Job storage j, Round storage r,) = _current(a);
        uint256 seats = j.terms.verifiers;
        if (byTime) {
            if (j.roundPhase != RoundPhase.Anchored) revert WrongRoundPhase(a.job, j.roundPhase);
            _checkFrom(time, r.anchoredAt + j.terms.window);
            if (n * 3 < seats) revert TooFewVerdicts(n, seats);
        } else {
            if (n * 3 < seats * 2) revert TooFewVerdicts(n, seats);
            if (j.roundPhase == RoundPhase.Challenged) _takeBond(a.job, j, r);
        }
        r.seats = uint32(bitmap);
        emit RoundFinalised(a.job, a.round, a.attempt, a.model, byTime, bitmap);
        _advance(j, a, time);
    }

    /// @dev Makes the anchored model the current one and opens the next round, if there is one.
    function _advance(Job storage j, Anchor calldata a, uint40 time) private {
        j.model = a.model;
        j.roundPhase = RoundPhase.Open;
        j.round = a.round + 1;
        uint256 span = _span(j);
        if (a.round % span == 0) {
            Milestone storage m = j.milestones[a.round / span - 1];
            m.credits = a.credits;
            m.model = a.model;
        }
        if (a.round < j.terms.rounds) _openRound(a.job, j, time);
    }

    function _coordinator(uint256 job, Job storage j) private view returns (address) {
        return _coordinatorAt(job, j.coordinator);
    }

    function _anchoredBy(uint256 job, Round storage r) private view returns (address) {
        return _coordinatorAt(job, r.coordinator);
    }

    function _penalise(uint256 job, address account, uint256 bps, address finder) private {
        cohort.penalise(job, account, bps, finder);
    }

    function _replace(uint256 job, Job storage j) private {
        address previous = _coordinator(job, j);
        j.coordinator = cohort.nextCoordinator(job, j.coordinator);
        emit CoordinatorReplaced(job, j.round, previous, _coordinator(job, j));
    }

    function _returnBond(uint256 job, Job storage j) private {
        address challenger = j.rounds[j.round].challenger;
        emit BondReturned(job, challenger, j.terms.challengeBond);
        _credit(challenger, j.terms.challengeBond);
    }

    function _takeBond(uint256 job, Job storage j, Round storage r) private {
        uint256 half = j.terms.challengeBond / 2;
        uint256 burned = j.terms.challengeBond - half;
        emit BondLost(job, r.challenger, half, burned);
        _credit(_anchoredBy(job, r), half);
        _burn(burned);
    }
}
