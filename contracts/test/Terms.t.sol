// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Terms, TermsRules} from "../src/cohort/Terms.sol";
import {Base} from "./Base.sol";

contract TermsTest is Base {
    Terms private kept;

    function check(Terms calldata terms, uint256 time) external pure {
        TermsRules.check(terms, time);
    }

    function _good() private pure returns (Terms memory) {
        return Terms({
            spec: "spec", genesis: "genesis", acceptance: 0, rounds: 4, milestones: 2, quorum: 2, verifiers: 3,
            coordinatorBps: 1_000, verifierBps: 1_500, enrolBy: START + 1 days, patience: 1 days, window: 1 days,
            deadline: START + 30 days, trainerStake: 0, coordinatorStake: 1, verifierStake: 1, challengeBond: 1, maxTrainers: 8
        });
    }

    /// Any accepted mix of rounds and milestones divides evenly and has at most 64 rounds a milestone.
    function testFuzz_rounds_are_whole_milestones(uint16 rounds, uint8 milestones) external view {
        Terms memory terms = _good();
        terms.rounds = rounds;
        terms.milestones = milestones;
        try this.check(terms, START) {
            require(milestones >= 1 && milestones <= 16, "milestones");
            require(rounds % milestones == 0 && rounds / milestones >= 1 && rounds / milestones <= 64, "rounds");
        } catch {
            bool fine = milestones >= 1 && milestones <= 16 && rounds >= milestones;
            require(!fine || rounds % milestones != 0 || rounds / milestones > 64, "refused what is allowed");
        }
    }

    /// Times that are accepted leave room for the reveals and one round, and finality never overflows.
    function testFuzz_accepted_times_leave_room(uint40 enrolBy, uint40 patience, uint40 window, uint40 deadline) external {
        Terms memory terms = _good();
        terms.enrolBy = enrolBy;
        terms.patience = patience;
        terms.window = window;
        terms.deadline = deadline;
        try this.check(terms, START) {
            require(enrolBy > START && uint256(deadline) >= uint256(enrolBy) + patience + window, "order");
            kept = terms;
            require(TermsRules.finality(kept) == uint256(deadline) + 4 * uint256(window), "finality");
        } catch (bytes memory reason) {
            require(bytes4(reason) == TermsRules.TermOutOfBounds.selector, "another failure");
        }
    }
}
