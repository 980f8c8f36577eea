// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Protocol time: block time minus the time during which the chain was down (R16).
/// @notice While deadlines are open somebody ticks at least every `maxGap / 2`. A longer pause between two ticks
/// means that nobody could act, so it counts against no deadline.
contract Clock {
    uint40 public constant MIN_GAP = 2;
    uint40 public constant MAX_GAP = 7 days;

    /// @notice Longest pause in seconds that still counts as time.
    uint40 public immutable maxGap;
    /// @notice Block time of the last tick, in seconds.
    uint40 public last;
    /// @notice Seconds that did not count, since deployment.
    uint40 public extension;

    event Extended(uint40 gap, uint40 extension);

    error GapOutOfBounds(uint40 given, uint40 min, uint40 max);

    /// @param maxGap_ seconds, between MIN_GAP and MAX_GAP.
    constructor(uint40 maxGap_) {
        if (maxGap_ < MIN_GAP || maxGap_ > MAX_GAP) revert GapOutOfBounds(maxGap_, MIN_GAP, MAX_GAP);
        maxGap = maxGap_;
        last = uint40(block.timestamp);
    }

    /// @notice Records the block time and answers the protocol time in seconds; anyone may call it, it never reverts.
    function tick() external returns (uint40 now_) {
        uint40 time_ = uint40(block.timestamp);
        uint40 gap = time_ - last;
        if (gap > maxGap) {
            extension += gap;
            emit Extended(gap, extension);
        }
        if (gap > 0) last = time_;
        return time_ - extension;
    }

    /// @notice Protocol time in seconds as a tick in this block would answer it.
    function time() external view returns (uint40) {
        uint40 time_ = uint40(block.timestamp);
        uint40 gap = time_ - last;
        return time_ - extension - (gap > maxGap ? gap : 0);
    }
}
