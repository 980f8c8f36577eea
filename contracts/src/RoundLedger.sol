// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {Clock} from "./Clock.sol";
import {Cohort} from "./Cohort.sol";
import {JobMarket} from "./JobMarket.sol";
import {NodeRegistry} from "./NodeRegistry.sol";
import {Purse} from "./Purse.sol";
import {Jobs} from "./ledger/Jobs.sol";
import {Settlement} from "./ledger/Settlement.sol";
import {Job, JobPhase, Milestone, Round, RoundPhase} from "./ledger/State.sol";

/// @title Federated jobs: who takes part, what each round produced, who judged it, who is paid.
/// @notice Provider and evaluator of the kernel jobs it is given; see SPEC.md for its state machines.
contract RoundLedger is Settlement {
    struct JobView {
        JobPhase phase;
        RoundPhase roundPhase;
        uint32 round;
        uint32 attempt;
        uint40 openedAt;
        uint8 settled;
        uint16 trainers;
        address client;
        address coordinator;
        bytes32 model;
        bytes32 credits;
        uint256 accrued;
        uint256 claimed;
    }

    constructor(ERC20Burnable token_, Clock clock_, NodeRegistry registry_, JobMarket market_, Cohort cohort_)
        Purse(token_)
        Jobs(clock_, registry_, market_, cohort_)
    {}

    /// @notice Where a job stands; all zero for an unknown one.
    function jobState(uint256 job) external view returns (JobView memory) {
        Job storage j = _jobs[job];
        return JobView({
            phase: j.phase,
            roundPhase: j.roundPhase,
            round: j.round,
            attempt: j.attempt,
            openedAt: j.openedAt,
            settled: j.settled,
            trainers: j.trainers,
            client: j.client,
            coordinator: _coordinatorAt(job, j.coordinator),
            model: j.model,
            credits: j.credits,
            accrued: j.accrued,
            claimed: j.claimed
        });
    }

    /// @notice The last anchor of a round, final if the job's current round is greater.
    function roundOf(uint256 job, uint32 round) external view returns (Round memory) {
        return _jobs[job].rounds[round];
    }

    /// @notice A milestone's root, model, payout and who claimed its fees.
    function milestoneOf(uint256 job, uint8 milestone) external view returns (Milestone memory) {
        return _jobs[job].milestones[milestone];
    }

    /// @notice What `account` has claimed under the job's credit roots.
    function paidTo(uint256 job, address account) external view returns (uint256) {
        return _jobs[job].paid[account];
    }

    /// @notice Protocol times from which the current round can be taken over, finalised by time, lapsed and voided;
    /// zero where it does not apply.
    function deadlines(uint256 job)
        external
        view
        returns (uint40 takeoverFrom, uint40 windowEnds, uint40 lapsesFrom, uint40 voidsFrom)
    {
        Job storage j = _jobs[job];
        if (j.phase != JobPhase.Running) return (0, 0, 0, 0);
        Round storage r = j.rounds[j.round];
        uint40 window = j.terms.window;
        if (j.roundPhase == RoundPhase.Open) return (j.openedAt + j.terms.patience, 0, 0, 0);
        if (j.roundPhase == RoundPhase.Challenged) return (0, 0, 0, r.challengedAt + window);
        return (0, r.anchoredAt + window, r.anchoredAt + 2 * window, 0);
    }
}
