// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {JobMarket} from "../JobMarket.sol";
import {Enrolment} from "../cohort/Enrolment.sol";
import {Rounds} from "./Rounds.sol";
import {Job, JobPhase, Milestone, RoundPhase} from "./State.sol";

/// @title The money of a job: milestones become payouts, payouts become claims, and what was not done is refunded.
abstract contract Settlement is Rounds {
    uint8 private constant VERIFIER = 3;

    event MilestoneSettled(
        uint256 indexed job,
        uint8 indexed milestone,
        uint256 net,
        uint256 verifierFees,
        bytes32 credits,
        bytes32 model
    );
    event Claimed(uint256 indexed job, address indexed account, uint256 amount, uint256 cumulative);
    event FeeClaimed(uint256 indexed job, uint8 indexed milestone, address indexed account, uint256 amount);

    error WrongMilestone(uint8 milestone, uint8 next);
    error MilestoneNotFinal(uint256 job, uint8 milestone);
    error MilestoneUnsettled(uint256 job, uint8 milestone);
    error NotSeated(address account);
    error NothingToClaim(address account);
    error BadProof(address account, uint256 cumulative);
    error AccrualExceeded(uint256 claimed, uint256 accrued);

    /// @notice Anyone pays the next milestone out, once its last round is final and that round's window has ended; in
    /// order. Reverts with WrongMilestone, MilestoneNotFinal, TooEarly, or the market's errors.
    function settle(uint256 job, uint8 milestone) external nonReentrant {
        uint40 time = _tick();
        Job storage j = _running(job);
        if (milestone != j.settled || milestone >= j.terms.milestones) revert WrongMilestone(milestone, j.settled);
        _checkFrom(time, firmFrom(job, milestone));
        Milestone storage m = j.milestones[milestone];
        uint256 net = _collectKernel(job + milestone, m.credits, m.model);
        uint256 fees = _verifierPots(j, net);
        m.net = uint128(net);
        j.settled = milestone + 1;
        j.accrued += uint128(net - fees);
        j.credits = m.credits;
        emit MilestoneSettled(job, milestone, net, fees, m.credits, m.model);
    }

    /// @notice Anyone has a trainer or coordinator paid up to its cumulative credit under the last settled root; leaf
    /// keccak256(keccak256(abi.encode(job, account, cumulative))). Reverts with NothingToClaim, BadProof, AccrualExceeded.
    function claim(uint256 job, address account, uint256 cumulative, bytes32[] calldata proof) external nonReentrant {
        Job storage j = _jobs[job];
        uint256 before = j.paid[account];
        if (cumulative <= before) revert NothingToClaim(account);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(job, account, cumulative))));
        if (j.credits == 0 || !MerkleProof.verifyCalldata(proof, j.credits, leaf)) revert BadProof(account, cumulative);
        uint256 amount = cumulative - before;
        uint256 claimed = j.claimed + amount;
        if (claimed > j.accrued) revert AccrualExceeded(claimed, j.accrued);
        j.claimed = uint128(claimed);
        j.paid[account] = cumulative;
        emit Claimed(job, account, amount, cumulative);
        _pay(account, amount);
    }

    /// @notice Anyone has a seated verifier paid for the rounds of a settled milestone whose finalising call named it.
    /// Reverts with NotSeated, MilestoneUnsettled, NothingToClaim.
    function claimFee(uint256 job, uint8 milestone, address account) external nonReentrant {
        Job storage j = _jobs[job];
        Enrolment.Member memory member = cohort.memberOf(job, account);
        if (member.role != VERIFIER || member.index >= j.terms.verifiers) revert NotSeated(account);
        if (milestone >= j.settled) revert MilestoneUnsettled(job, milestone);
        Milestone storage m = j.milestones[milestone];
        uint256 seat = uint256(1) << member.index;
        if (m.feesClaimed & seat != 0) revert NothingToClaim(account);
        m.feesClaimed |= uint32(seat);
        uint256 amount = _feeOf(j, milestone, m.net, seat);
        if (amount == 0) revert NothingToClaim(account);
        emit FeeClaimed(job, milestone, account, amount);
        _pay(account, amount);
    }

    /// @notice Anyone, from the deadline on and with no anchor under judgement: milestones that were not completed are
    /// refunded and the job ends. A completed one must be settled first. Reverts with TooEarly, WrongRoundPhase,
    /// MilestoneUnsettled.
    function expire(uint256 job) external nonReentrant {
        uint40 time = _tick();
        Job storage j = _jobs[job];
        if (j.phase != JobPhase.Enrolling && j.phase != JobPhase.Running) revert WrongPhase(job, j.phase);
        _checkFrom(time, j.terms.deadline);
        if (j.roundPhase != RoundPhase.Open) revert WrongRoundPhase(job, j.roundPhase);
        uint8 next = j.settled;
        if (next < j.terms.milestones && _done(j, next)) {
            // Work that is final is paid, unless its kernel job ran out and was refunded in the market.
            (,,,, uint40 expiredAt, JobMarket.Status status) = market.summary(job + next);
            if (status == JobMarket.Status.Funded && time < expiredAt) revert MilestoneUnsettled(job, next);
        }
        if (next == j.terms.milestones) revert WrongMilestone(next, next);
        j.phase = JobPhase.Closed;
        _end(job, next, EXPIRED);
    }

    /// @notice Anyone, once every milestone is settled: the job ends and its locks can be released.
    function close(uint256 job) external nonReentrant {
        Job storage j = _running(job);
        if (j.settled < j.terms.milestones) revert MilestoneUnsettled(job, j.settled);
        j.phase = JobPhase.Closed;
        _end(job, j.settled, COMPLETED);
    }

    /// @notice From when on no proof can undo a milestone any more (protocol time). Reverts with MilestoneNotFinal.
    function firmFrom(uint256 job, uint8 milestone) public view returns (uint40) {
        Job storage j = _jobs[job];
        if (j.terms.milestones <= milestone || !_done(j, milestone)) revert MilestoneNotFinal(job, milestone);
        return j.rounds[(uint256(milestone) + 1) * _span(j)].anchoredAt + j.terms.window;
    }

    function _done(Job storage j, uint8 milestone) internal view returns (bool) {
        return j.round > (uint256(milestone) + 1) * _span(j);
    }

    /// @dev Delivers and accepts the kernel job, then collects what it pays.
    function _collectKernel(uint256 kernel, bytes32 credits, bytes32 model) private returns (uint256 net) {
        market.submit(kernel, credits, "");
        market.complete(kernel, model, "");
        net = market.collect();
        owed += net;
    }

    /// @dev What all rounds of a milestone with payout `net` set aside for verifiers. Round price = net / rounds, the
    /// last round takes the remainder; verifierBps of it, rounded down.
    function _verifierPots(Job storage j, uint256 net) private view returns (uint256) {
        uint256 span = _span(j);
        return (span - 1) * _pot(j, net, 1, span) + _pot(j, net, span, span);
    }

    function _pot(Job storage j, uint256 net, uint256 i, uint256 span) private view returns (uint256) {
        uint256 price = i < span ? net / span : net - (net / span) * (span - 1);
        return (price * j.terms.verifierBps) / 10_000;
    }

    /// @dev One seat's part of a milestone's pots: equal shares of the paid seats, what rounding leaves to the lowest.
    function _feeOf(Job storage j, uint256 milestone, uint256 net, uint256 seat) private view returns (uint256 sum) {
        uint256 span = _span(j);
        for (uint256 i = 1; i <= span; i++) {
            uint256 seats = j.rounds[milestone * span + i].seats;
            if (seats & seat == 0) continue;
            uint256 pot = _pot(j, net, i, span);
            uint256 n = _popcount(seats);
            sum += pot / n;
            if (seats & (seat - 1) == 0) sum += pot % n;
        }
    }

    function _popcount(uint256 bits) private pure returns (uint256 n) {
        for (; bits != 0; bits &= bits - 1) n++;
    }
}
