// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clock} from "../Clock.sol";
import {Cohort} from "../Cohort.sol";
import {JobMarket} from "../JobMarket.sol";
import {NodeRegistry} from "../NodeRegistry.sol";
import {Purse} from "../Purse.sol";
import {Terms} from "../cohort/Terms.sol";
import {Job, JobPhase, RoundPhase, Rules} from "./State.sol";

/// @title How a federated job begins, and how it ends when too few come.
abstract contract Jobs is Purse {
    uint8 internal constant COMPLETED = 1;
    uint8 internal constant EXPIRED = 2;
    uint8 internal constant CANCELLED = 3;

    Clock public immutable clock;
    NodeRegistry public immutable registry;
    JobMarket public immutable market;
    Cohort public immutable cohort;

    mapping(uint256 job => Job) internal _jobs;
    /// @notice The federated job a kernel job belongs to, 0 for none.
    mapping(uint256 kernelJob => uint256 job) public jobOf;

    event JobOpened(uint256 indexed job, address indexed client, Terms terms);
    event JobStarted(uint256 indexed job, uint16 trainers, bytes32 model);
    event RoundOpened(
        uint256 indexed job,
        uint32 indexed round,
        uint32 attempt,
        bytes32 base,
        address indexed coordinator,
        uint40 openedAt
    );
    event JobClosed(uint256 indexed job, uint8 reason);

    error WrongPhase(uint256 job, JobPhase phase);
    error KernelMismatch(
        uint256 kernelJob,
        address client,
        address provider,
        address evaluator,
        JobMarket.Status status,
        uint40 expiredAt
    );
    error KernelTaken(uint256 kernelJob, uint256 job);
    error TooEarly(uint40 time, uint40 from);
    error TooLate(uint40 time, uint40 until);

    constructor(Clock clock_, NodeRegistry registry_, JobMarket market_, Cohort cohort_) {
        clock = clock_;
        registry = registry_;
        market = market_;
        cohort = cohort_;
    }

    /// @notice Opens a federated job over `terms.milestones` consecutive kernel jobs, all funded by the caller with this
    /// contract as provider and evaluator; the job's id is `firstKernelJob`. Reverts with TermOutOfBounds, KernelTaken,
    /// or KernelMismatch with the kernel job that is not the client's, not for this contract, or not lasting long enough.
    function open(uint256 firstKernelJob, Terms calldata terms) external returns (uint256 job) {
        uint40 time = _tick();
        job = firstKernelJob;
        address client = _account();
        Job storage j = _inPhase(job, JobPhase.None);
        j.phase = JobPhase.Enrolling;
        j.client = client;
        j.model = terms.genesis;
        j.terms = Rules({
            rounds: terms.rounds,
            milestones: terms.milestones,
            quorum: terms.quorum,
            verifiers: terms.verifiers,
            verifierBps: terms.verifierBps,
            patience: terms.patience,
            window: terms.window,
            deadline: terms.deadline,
            challengeBond: terms.challengeBond
        });
        emit JobOpened(job, client, terms);
        uint40 finality = cohort.open(job, client, terms, time);
        for (uint256 i = 0; i < terms.milestones; i++) _takeKernel(firstKernelJob + i, job, client, finality);
    }

    /// @notice Fixes the seats and opens round 1: by anyone after `enrolBy`, or earlier by the client when quorum and
    /// all seats are filled and nobody is too many. Reverts with TooLate, or the cohort's TooFew and TooEarly.
    function start(uint256 job) external nonReentrant {
        uint40 time = _tick();
        Job storage j = _inPhase(job, JobPhase.Enrolling);
        if (time >= j.terms.deadline) revert TooLate(time, j.terms.deadline);
        j.phase = JobPhase.Running;
        j.round = 1;
        emit JobStarted(job, cohort.seat(job, time, _account() == j.client), j.model);
        _openRound(job, j, time);
    }

    /// @notice Anyone, after `enrolBy`, when too few enrolled or revealed: every milestone is refunded to the client.
    /// Reverts with WrongPhase, or the cohort's TooEarly and EnoughEnrolled.
    function cancel(uint256 job) external nonReentrant {
        uint40 time = _tick();
        _inPhase(job, JobPhase.Enrolling).phase = JobPhase.Closed;
        cohort.cancel(job, time);
        _end(job, 0, CANCELLED);
    }

    function _tick() internal returns (uint40) {
        return clock.tick();
    }

    function _coordinatorAt(uint256 job, uint8 index) internal view returns (address) {
        return cohort.coordinatorAt(job, index);
    }

    /// @dev The account behind the caller: itself, or the owner of the operator key that calls (R18).
    function _account() internal view returns (address) {
        return registry.accountOf(msg.sender);
    }

    function _inPhase(uint256 job, JobPhase phase) internal view returns (Job storage j) {
        j = _jobs[job];
        if (j.phase != phase) revert WrongPhase(job, j.phase);
    }

    function _checkFrom(uint40 time, uint40 from) internal pure {
        if (time < from) revert TooEarly(time, from);
    }

    function _checkUntil(uint40 time, uint40 until) internal pure {
        if (time >= until) revert TooLate(time, until);
    }

    /// @dev Opens the current round under a new attempt number, with the trainers that are seated now.
    function _openRound(uint256 job, Job storage j, uint40 time) internal {
        // An attempt number of a round is never used again, anchored or not, not even after later proof undid the round:
        // so no signature, receipt or registration of one opening can be read as one of another.
        j.attempt = j.rounds[j.round].openings++;
        j.roundPhase = RoundPhase.Open;
        j.trainers = cohort.muster(job);
        _begin(job, j, time);
    }

    /// @dev Starts the current coordinator's patience.
    function _begin(uint256 job, Job storage j, uint40 time) internal {
        j.openedAt = time;
        emit RoundOpened(job, j.round, j.attempt, j.model, _coordinatorAt(job, j.coordinator), time);
    }

    /// @dev Ends a job that is marked closed: kernel jobs from milestone `first` on are rejected, which credits the client in the market.
    function _end(uint256 job, uint256 first, uint8 reason) internal {
        emit JobClosed(job, reason);
        cohort.close(job);
        uint256 n = _jobs[job].terms.milestones;
        for (uint256 i = first; i < n; i++) {
            // One that expired in the market has been refunded there already.
            (,,,,, JobMarket.Status status) = market.summary(job + i);
            if (status == JobMarket.Status.Funded) market.reject(job + i, bytes32(i), "");
        }
    }

    function _takeKernel(uint256 kernel, uint256 job, address client, uint40 finality) private {
        if (jobOf[kernel] != 0) revert KernelTaken(kernel, jobOf[kernel]);
        jobOf[kernel] = job;
        (address owner, address provider, address evaluator,, uint40 expiredAt, JobMarket.Status status) =
            market.summary(kernel);
        bool ours = provider == address(this) && evaluator == address(this);
        if (owner != client || !ours || status != JobMarket.Status.Funded || expiredAt < finality) {
            revert KernelMismatch(kernel, owner, provider, evaluator, status, expiredAt);
        }
    }
}
