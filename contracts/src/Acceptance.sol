// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Clock} from "./Clock.sol";
import {Cohort} from "./Cohort.sol";
import {IAcceptance} from "./ModelRegistry.sol";
import {RoundLedger} from "./RoundLedger.sol";

/// @title Acceptance on data the trainers never saw (R11): shards committed before funding, opened one by one.
/// @notice It decides which model counts as accepted; no payment waits for it.
contract Acceptance is IAcceptance, EIP712 {
    bytes32 public constant EVALUATION_TYPEHASH = keccak256(
        "Evaluation(uint256 job,uint8 milestone,bytes32 model,bytes32 shard,int64 metric,int64 baseline,bool passed)"
    );

    Clock public immutable clock;
    Cohort public immutable cohort;
    RoundLedger public immutable ledger;

    /// @inheritdoc IAcceptance
    mapping(bytes32 model => bool) public isAccepted;
    /// @notice The digest of the opened shard of a milestone, zero while it is closed.
    mapping(uint256 job => mapping(uint8 milestone => bytes32)) public shardOf;

    event ShardOpened(uint256 indexed job, uint8 indexed milestone, bytes32 digest);
    event Accepted(
        uint256 indexed job,
        uint8 indexed milestone,
        bytes32 indexed model,
        bytes32 shard,
        int64 metric,
        int64 baseline
    );

    error NotClient(address account);
    error TooEarly(uint40 time, uint40 from);
    error ShardAlreadyOpen(uint256 job, uint8 milestone);
    error BadShard(bytes32 digest);
    error WrongModel(bytes32 given, bytes32 expected);
    error TooFewSignatures(uint256 have, uint256 seats);

    constructor(Clock clock_, Cohort cohort_, RoundLedger ledger_) EIP712("hansa Acceptance", "1") {
        clock = clock_;
        cohort = cohort_;
        ledger = ledger_;
    }

    /// @notice The client opens shard `k` once milestone `k` can no longer be undone; leaf of `Terms.acceptance` is
    /// keccak256(keccak256(abi.encode(chainid, this, client, k, digest, salt))). Reverts with NotClient,
    /// ShardAlreadyOpen, BadShard, TooEarly, or the ledger's MilestoneNotFinal.
    function openShard(uint256 job, uint8 k, bytes32 digest, bytes32 salt, bytes32[] calldata proof) external {
        uint40 time = clock.tick();
        address client = ledger.jobState(job).client;
        address account = cohort.registry().accountOf(msg.sender);
        if (account != client) revert NotClient(account);
        // Opened earlier, it could be seen by the trainers of a rerun.
        uint40 from = ledger.firmFrom(job, k);
        if (time < from) revert TooEarly(time, from);
        if (shardOf[job][k] != 0) revert ShardAlreadyOpen(job, k);
        bytes32 leaf = keccak256(
            bytes.concat(keccak256(abi.encode(block.chainid, address(this), client, k, digest, salt)))
        );
        bytes32 root = cohort.termsOf(job).acceptance;
        if (digest == 0 || !MerkleProof.verifyCalldata(proof, root, leaf)) revert BadShard(digest);
        shardOf[job][k] = digest;
        emit ShardOpened(job, k, digest);
    }

    /// @notice Anyone, with evaluations of two thirds of the seats that say `passed`: records the milestone's model as
    /// accepted. `metric` and `baseline` are in the unit the job's specification names. Reverts with WrongModel,
    /// BadShard, TooFewSignatures, or the cohort's BadSignature and SeatsNotAscending.
    function accept(
        uint256 job,
        uint8 milestone,
        bytes32 model,
        bytes32 shard,
        int64 metric,
        int64 baseline,
        uint8[] calldata seats,
        bytes[] calldata signatures
    ) external {
        bytes32 expected = ledger.milestoneOf(job, milestone).model;
        if (model != expected) revert WrongModel(model, expected);
        if (shard == 0 || shard != shardOf[job][milestone]) revert BadShard(shard);
        bytes32 content =
            keccak256(abi.encode(EVALUATION_TYPEHASH, job, milestone, model, shard, metric, baseline, true));
        _requireTwoThirds(job, _hashTypedDataV4(content), seats, signatures);
        isAccepted[model] = true;
        emit Accepted(job, milestone, model, shard, metric, baseline);
    }

    /// @notice EIP-712 domain separator of every evaluation.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _requireTwoThirds(uint256 job, bytes32 hash, uint8[] calldata seats, bytes[] calldata signatures)
        private
        view
    {
        uint256 n = cohort.termsOf(job).verifiers;
        if (seats.length * 3 < n * 2) revert TooFewSignatures(seats.length, n);
        cohort.requireAll(job, hash, seats, signatures);
    }
}
