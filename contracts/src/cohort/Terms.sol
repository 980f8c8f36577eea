// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What a federated job is fixed to when it is opened. Times are protocol seconds, money the smallest unit.
struct Terms {
    bytes32 spec; // digest of the job's specification
    bytes32 genesis; // digest of the model the first round starts from
    bytes32 acceptance; // Merkle root over the salted shards of acceptance data; zero for none
    uint16 rounds;
    uint8 milestones; // each is one kernel job and rounds / milestones rounds
    uint8 quorum; // fewest accepted updates of a round
    uint8 verifiers; // seats
    uint16 coordinatorBps; // share of a round's price
    uint16 verifierBps;
    uint40 enrolBy;
    uint40 patience; // how long a coordinator may take for one round
    uint40 window; // how long an anchor can be challenged
    uint40 deadline; // nothing is anchored from here on
    uint128 trainerStake;
    uint128 coordinatorStake;
    uint128 verifierStake;
    uint128 challengeBond;
    uint16 maxTrainers;
}

/// @title The bounds of every term; nobody can open a job outside them.
library TermsRules {
    uint256 internal constant MAX_MILESTONES = 16;
    uint256 internal constant MAX_ROUNDS_PER_MILESTONE = 64;
    uint256 internal constant MAX_SEATS = 32;
    uint256 internal constant MAX_TRAINERS = 1_024;
    uint256 internal constant MAX_SHARE_BPS = 3_000;
    uint256 internal constant MAX_PATIENCE = 30 days;
    uint256 internal constant MAX_WINDOW = 30 days;
    uint256 internal constant MAX_DURATION = 365 days;
    /// @dev Windows after the deadline within which every anchor, challenge and settlement has its end.
    uint40 internal constant FINALITY_WINDOWS = 4;

    error TermOutOfBounds(string term, uint256 given, uint256 min, uint256 max);

    /// @notice Reverts with TermOutOfBounds, which names the first term outside its bounds at `time`.
    function check(Terms calldata terms, uint256 time) internal pure {
        if (terms.spec == bytes32(0)) revert TermOutOfBounds("spec", 0, 1, type(uint256).max);
        if (terms.genesis == bytes32(0)) revert TermOutOfBounds("genesis", 0, 1, type(uint256).max);
        _within("milestones", terms.milestones, 1, MAX_MILESTONES);
        _within("rounds", terms.rounds, terms.milestones, terms.milestones * MAX_ROUNDS_PER_MILESTONE);
        _within("rounds % milestones", terms.rounds % terms.milestones, 0, 0);
        _within("maxTrainers", terms.maxTrainers, 1, MAX_TRAINERS);
        _within("quorum", terms.quorum, 1, terms.maxTrainers);
        _within("verifiers", terms.verifiers, 1, MAX_SEATS);
        _within("coordinatorBps", terms.coordinatorBps, 0, MAX_SHARE_BPS);
        _within("verifierBps", terms.verifierBps, 0, MAX_SHARE_BPS);
        _within("patience", terms.patience, 1, MAX_PATIENCE);
        _within("window", terms.window, 1, MAX_WINDOW);
        _within("enrolBy", terms.enrolBy, time + 1, time + MAX_DURATION);
        // Room for the reveals and for one round at least.
        uint256 earliest = uint256(terms.enrolBy) + terms.window + terms.patience;
        _within("deadline", terms.deadline, earliest, time + MAX_DURATION);
        _within("coordinatorStake", terms.coordinatorStake, 1, type(uint128).max);
        _within("verifierStake", terms.verifierStake, 1, type(uint128).max);
        _within("challengeBond", terms.challengeBond, 1, type(uint128).max);
    }

    /// @notice When every dispute of a job is over; its kernel jobs and locks last at least this long.
    function finality(Terms storage terms) internal view returns (uint40) {
        return terms.deadline + FINALITY_WINDOWS * terms.window;
    }

    function _within(string memory term, uint256 given, uint256 min, uint256 max) private pure {
        if (given < min || given > max) revert TermOutOfBounds(term, given, min, max);
    }
}
