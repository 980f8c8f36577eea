// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clock} from "./Clock.sol";
import {NodeRegistry} from "./NodeRegistry.sol";
import {StakeVault} from "./StakeVault.sol";
import {Enrolment} from "./cohort/Enrolment.sol";
import {Terms} from "./cohort/Terms.sol";
import {Verdicts} from "./cohort/Verdicts.sol";

/// @title The people of a job: who enrolled, who is seated, what is at stake, and whether a seat signed.
contract Cohort is Verdicts {
    constructor(Clock clock_, StakeVault vault_, NodeRegistry registry_) Enrolment(clock_, vault_, registry_) {}

    /// @notice The terms a job was opened with; all zero for an unknown one.
    function termsOf(uint256 job) external view returns (Terms memory) {
        return _groups[job].terms;
    }

    /// @notice An account's role and place in a job.
    function memberOf(uint256 job, address account) external view returns (Member memory) {
        return _groups[job].members[account];
    }

    /// @notice Whether a trainer takes part in what was opened last: seated before it, and not left before it.
    function takesPart(uint256 job, address account) external view returns (bool) {
        Group storage g = _groups[job];
        Member storage member = g.members[account];
        bool left = member.last != 0 && member.last < g.openings;
        return member.role == TRAINER && member.first <= g.openings && !left;
    }

    /// @notice How many trainers are seated now, and how many have left since the last opening that take part in it.
    function attendance(uint256 job) external view returns (uint16 seated, uint16 leavers) {
        Group storage g = _groups[job];
        return (g.trainers, g.leavers);
    }

    /// @notice Phase, numbers and client of a job's cohort.
    function groupOf(uint256 job)
        external
        view
        returns (Phase phase, bool drawn, uint16 trainers, uint8 revealed, bytes32 mix, address client)
    {
        Group storage g = _groups[job];
        return (g.phase, g.drawn, g.trainers, g.revealed, g.mix, g.client);
    }

    /// @notice All verifier candidates.
    function candidatesOf(uint256 job) external view returns (address[] memory) {
        return _groups[job].verifiers;
    }

    /// @notice Coordinators in order of enrolment.
    function coordinatorsOf(uint256 job) external view returns (address[] memory) {
        return _groups[job].coordinators;
    }

    /// @notice The coordinator with this index, zero when there is none (NO_COORDINATOR too).
    function coordinatorAt(uint256 job, uint8 index) external view returns (address) {
        address[] storage list = _groups[job].coordinators;
        return index < list.length ? list[index] : address(0);
    }

    /// @notice Who follows coordinator `index` in order of enrolment and is not out: itself when it is the only one
    /// left, NO_COORDINATOR when nobody is.
    function nextCoordinator(uint256 job, uint8 index) external view returns (uint8) {
        Group storage g = _groups[job];
        uint256 n = g.coordinators.length;
        for (uint256 i = 1; i <= n; i++) {
            uint256 next = (index + i) % n;
            if (!g.members[g.coordinators[next]].out) return uint8(next);
        }
        return NO_COORDINATOR;
    }
}
