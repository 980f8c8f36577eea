// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

enum JobPhase {
    None,
    Enrolling,
    Running,
    Closed
}

/// @dev The phase of the current round only: a round with a smaller number is final.
enum RoundPhase {
    Open,
    Anchored,
    Challenged
}

/// @notice Everything a coordinator states about one round; only its hash is stored.
struct Anchor {
    uint256 job;
    uint32 round; // from 1
    uint32 attempt; // from 0, never used twice for one round
    bytes32 base; // digest of the model the round started from
    bytes32 updates; // Merkle root of the update leaves
    bytes32 manifest; // digest of the list of the round's blobs
    uint64 manifestSize;
    bytes32 aggregate;
    bytes32 model; // digest of the model the round ends with
    uint64 modelSize;
    bytes32 credits; // Merkle root of the cumulative credits
    uint16 accepted; // number of accepted updates
}

struct Round {
    bytes32 anchor;
    uint40 anchoredAt;
    uint32 attempt;
    uint32 openings; // attempts opened so far, anchored or not
    uint8 coordinator; // index of the one that anchored
    uint32 seats; // bitmap of the seats paid for this round
    uint40 challengedAt;
    address challenger;
}

struct Milestone {
    bytes32 credits;
    bytes32 model;
    uint128 net; // what the job received for it
    uint32 feesClaimed; // bitmap of seats
}

/// @dev The terms that rounds and money depend on; the whole of them is kept by the cohort.
struct Rules {
    uint16 rounds;
    uint8 milestones;
    uint8 quorum;
    uint8 verifiers;
    uint16 verifierBps;
    uint40 patience;
    uint40 window;
    uint40 deadline;
    uint128 challengeBond;
}

struct Job {
    JobPhase phase;
    RoundPhase roundPhase;
    uint32 round;
    uint32 attempt;
    uint40 openedAt; // when the current coordinator's patience began
    uint8 coordinator; // index in the cohort
    uint8 settled; // milestones settled
    uint16 trainers; // that take part in the current attempt
    address client;
    bytes32 model; // digest of the current model
    bytes32 credits; // root that claims are proven against
    uint128 accrued; // Merkle-claimable so far
    uint128 claimed;
    Rules terms;
    mapping(uint256 round => Round) rounds;
    mapping(uint256 milestone => Milestone) milestones;
    mapping(address account => uint256) paid;
    mapping(bytes32 roundAttemptTrainer => bool) registered;
}
